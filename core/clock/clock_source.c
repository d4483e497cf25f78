// SPDX-License-Identifier: Apache-2.0
#include "clock/clock_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "common/descriptor.h"
#include "common/time.h"

bool nsp__clock_is_counter;

static uint64_t system_realtime(void)
{
    return nsp__clock_ns(CLOCK_REALTIME);
}

// The hot path reads the counter unordered. Here the read must stay between two clock readings, so it waits
// for the instructions before it.
static uint64_t system_counter(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("lfence" ::: "memory");
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
    return nsp__counter_read();
}

static void system_pause(uint64_t ns)
{
    struct timespec left = nsp__timespec_of(ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

const nsp__clock_source nsp__clock_system = {system_counter, nsp__monotonic_ns, system_realtime,
                                             system_pause};

static const nsp__clock_source *current_source = &nsp__clock_system;

void nsp__clock_source_use(const nsp__clock_source *source)
{
    // CS0: with CS1, the reader of the pointer sees the source it points to.
    __atomic_store_n(&current_source, source != NULL ? source : &nsp__clock_system, __ATOMIC_RELEASE);
}

const nsp__clock_source *nsp__clock_source_get(void)
{
    return __atomic_load_n(&current_source, __ATOMIC_ACQUIRE); // CS1: with CS0
}

uint64_t nsp__clock_fallback(void)
{
    return nsp__clock_source_get()->monotonic();
}

#if defined(__x86_64__)

static bool processor_promises_invariance(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
}

// The kernel's clock source, or "" if unknown. Uses only system calls, because constructors of other
// libraries may not have run yet.
static void read_kernel_source(char *name, size_t size)
{
    name[0] = '\0';
    int fd =
        nsp__open(AT_FDCWD, "/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY, 0);
    if (fd < 0)
        return;
    ssize_t length = read(fd, name, size - 1);
    close(fd);
    name[length > 0 ? length : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

// The processor promises that each core's counter runs evenly; the kernel has checked whether the counters
// agree. A kernel that keeps time by the counter vouches for it. One that uses a slow timer chip has found
// the counter unreliable, whatever the processor says. A kernel on a hypervisor's clock source does not judge
// the counter, so the processor's promise counts.
static bool counter_is_trustworthy(void)
{
    int access = 0;
    if (prctl(PR_GET_TSC, &access) == 0 && access == PR_TSC_SIGSEGV)
        return false; // rdtsc is forbidden here and would kill the process
    char source[64];
    read_kernel_source(source, sizeof source);
    if (strcmp(source, "tsc") == 0)
        return true;
    static const char *const slow[] = {"hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies"};
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++)
        if (strcmp(source, slow[i]) == 0)
            return false;
    return processor_promises_invariance();
}

#elif defined(__aarch64__)

// The architecture requires one system-wide counter of constant frequency.
static bool counter_is_trustworthy(void)
{
    return true;
}

#else

static bool counter_is_trustworthy(void)
{
    return false;
}

#endif

void nsp__clock_select(nsp_clock_mode mode)
{
#if defined(__x86_64__) || defined(__aarch64__)
    const bool has_counter = true;
#else
    const bool has_counter = false;
#endif
    bool counter =
        has_counter && (mode == NSP_CLOCK_COUNTER || (mode == NSP_CLOCK_AUTO && counter_is_trustworthy()));
    // Threads read it all the time, so it is written only when it changes.
    if (nsp__clock_is_counter != counter)
        __atomic_store_n(&nsp__clock_is_counter, counter, __ATOMIC_RELAXED);
}

// Runs early, so that the clock is already chosen when the constructors of a statically linked program run.
__attribute__((constructor(101))) static void select_at_load(void)
{
    nsp__clock_select(NSP_CLOCK_AUTO);
}
