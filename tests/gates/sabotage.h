// SPDX-License-Identifier: Apache-2.0
//
// One deliberate fault in the hot path, chosen by the name that sabotage.sh defines. The compiler's command
// line includes this file first: into bench/hot_path/operations.c for the setter, into core/trace/speculation.c
// for the decision, and into core/trace/begin_fast.c, end_fast.c and path_fast.c for the others, where it takes effect
// with the clock read of one function: nsp__end_on if nothing else is said. The sources themselves are not changed.
#ifndef NSP_GATES_SABOTAGE_H
#define NSP_GATES_SABOTAGE_H

#include <nanospan/nanospan.h>

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define SABOTAGE static inline __attribute__((unused, always_inline)) void
#define SABOTAGE_APART                                                                                       \
    static __attribute__((unused, noinline)) void // so that the fault is not visible in the function itself

#if defined(SABOTAGE_fence)
SABOTAGE sabotage(void)
{
    __asm__ __volatile__("mfence" : : : "memory");
}
#elif defined(SABOTAGE_locked) || defined(SABOTAGE_path_locked)
SABOTAGE sabotage(void)
{
    __asm__ __volatile__("lock orq $0, (%%rsp)" : : : "memory", "cc");
}
#elif defined(SABOTAGE_allocation) || defined(SABOTAGE_path_allocation)
SABOTAGE_APART sabotage(void)
{
    void *volatile memory = malloc(16);
    free(memory);
}
#elif defined(SABOTAGE_system_call)
SABOTAGE sabotage(void)
{
    long number = 110; // getppid
    __asm__ __volatile__("syscall" : "+a"(number) : : "rcx", "r11", "memory");
}
#elif defined(SABOTAGE_fault)
// A new page for each span.
SABOTAGE_APART sabotage(void)
{
    const size_t bytes = (size_t)1 << 30, page = 4096;
    static volatile char *pages;
    static size_t next;
    if (pages == NULL) {
        void *memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            abort();
        madvise(memory, bytes, MADV_NOHUGEPAGE);
        pages = memory;
    }
    pages[next % bytes] = 1;
    next += page;
}
#elif defined(SABOTAGE_page)
// A page that nothing else uses.
SABOTAGE sabotage(void)
{
    static char pages[3 * 4096];
    ((volatile char *)pages)[4096] = 1;
}
#elif defined(SABOTAGE_wait)
SABOTAGE_APART sabotage(void)
{
    nanosleep(&(struct timespec){0, 1000}, NULL);
}
#elif defined(SABOTAGE_setter)
// Twenty more instructions for each integer.
SABOTAGE sabotage(void)
{
    __asm__ __volatile__(".rept 20\n\tnop\n\t.endr");
}
#define SABOTAGED ""
#undef nsp_span_set_i64 // the macro of the same name around the function
#define nsp_span_set_i64(span, key, value) (sabotage(), (nsp_span_set_i64)(span, key, value))
#elif defined(SABOTAGE_decision)
// Twelve more instructions where the end of a root decides.
SABOTAGE sabotage(void)
{
    __asm__ __volatile__(".rept 12\n\tnop\n\t.endr");
}
#define SABOTAGED ""
#include "trace/speculation.h"
#define nsp__ruled_seen(producer) (sabotage(), nsp__ruled_seen(producer))
#elif defined(SABOTAGE_slow)
// Two extra readings of the counter before each of a span's two readings: three times as long.
SABOTAGE sabotage(void)
{
    for (int i = 0; i < 2; i++) {
        uint64_t ticks = nsp__counter_read();
        __asm__ __volatile__("" : : "r"(ticks));
    }
}
#define SABOTAGED __func__ // in every function that reads it
#elif defined(SABOTAGE_nothing)
SABOTAGE sabotage(void) {}
#else
#error "no kind of sabotage was chosen"
#endif

#if defined(SABOTAGE_allocation)
#define SABOTAGED "nsp__begin_root"
#elif defined(SABOTAGE_path_allocation)
#define SABOTAGED "nsp__path_begin_root"
#elif defined(SABOTAGE_path_locked)
#define SABOTAGED "nsp__path_end_on"
#elif !defined(SABOTAGED)
#define SABOTAGED "nsp__end_on"
#endif

#define nsp__counter_read()                                                                                  \
    (__builtin_strcmp(__func__, SABOTAGED) == 0 ? sabotage() : (void)0, nsp__counter_read())

#endif
