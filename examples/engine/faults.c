// SPDX-License-Identifier: Apache-2.0
#include "engine/faults.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum { PAGE = 4096, PAGES = 512, LONGEST_WAIT = 1000 }; // the last one in times of the hold

static const char *const TEXTS[FAULTS] = {"none", "preemption", "page-fault", "lock", "strategy"};

const char *fault_text(enum fault fault)
{
    return TEXTS[fault];
}

bool faults_parse(const char *list, unsigned *kinds)
{
    *kinds = 0;
    if (strcmp(list, "all") == 0)
        *kinds = (1u << FAULTS) - 2;
    while (*kinds == 0 || *list == ',') {
        list += *list == ',';
        enum fault fault = FAULT_PREEMPTION;
        const size_t length = strcspn(list, ",");
        while (fault < FAULTS && (strlen(TEXTS[fault]) != length || memcmp(TEXTS[fault], list, length) != 0))
            fault++;
        if (fault == FAULTS)
            return false;
        *kinds |= 1u << fault;
        list += length;
    }
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Computes until the time is over; the result only keeps the compiler from leaving it out.
static double compute(uint64_t ns)
{
    const uint64_t until = now_ns() + ns;
    double sum = 0;
    do {
        for (int i = 1; i < 500; i++)
            sum += 1.0 / (sum + i);
    } while (now_ns() < until);
    return sum;
}

// ---- the other thread ----

static void take_processor(struct faults *faults)
{
    if (faults->helper_cpu != faults->cpu) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)faults->cpu, &set);
        pthread_setaffinity_np(pthread_self(), sizeof set, &set);
        faults->helper_cpu = faults->cpu;
    }
    compute(faults->hold_ns);
    __atomic_store_n(&faults->done, true, __ATOMIC_RELEASE);
}

static void hold_lock(struct faults *faults)
{
    const struct timespec time = {.tv_sec = (time_t)(faults->hold_ns / 1000000000u),
                                  .tv_nsec = (long)(faults->hold_ns % 1000000000u)};
    pthread_mutex_lock(&faults->lock);
    sem_post(&faults->holding);
    nanosleep(&time, NULL);
    pthread_mutex_unlock(&faults->lock);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ;
}

static void *help(void *argument)
{
    struct faults *faults = argument;
    pthread_setname_np(pthread_self(), "trouble");
    for (;;) {
        wait_for(&faults->asked);
        if (faults->end)
            return NULL;
        if (faults->request == FAULT_PREEMPTION)
            take_processor(faults);
        else
            hold_lock(faults);
    }
}

bool faults_start(struct faults *faults)
{
    if (faults->kinds == 0)
        return true;
    faults->random = faults->seed * 2 + 1;
    faults->helper_cpu = -1;
    faults->memory =
        mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sem_init(&faults->asked, 0, 0);
    sem_init(&faults->holding, 0, 0);
    pthread_mutex_init(&faults->lock, NULL);
    if (faults->memory == MAP_FAILED || pthread_create(&faults->helper, NULL, help, faults) != 0) {
        fprintf(stderr, "engine: cannot prepare faults\n");
        return false;
    }
    madvise(faults->memory, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE); // one large page would be a single fault
    faults->started = true;
    return true;
}

void faults_stop(struct faults *faults)
{
    if (!faults->started)
        return;
    faults->end = true;
    sem_post(&faults->asked);
    pthread_join(faults->helper, NULL);
    munmap(faults->memory, (size_t)PAGES * PAGE);
    pthread_mutex_destroy(&faults->lock);
    sem_destroy(&faults->asked);
    sem_destroy(&faults->holding);
    faults->started = false;
}

// ---- the trading thread ----

// xorshift64*: the same seed holds up the same orders in the same way.
static uint32_t draw(struct faults *faults)
{
    faults->random ^= faults->random >> 12;
    faults->random ^= faults->random << 25;
    faults->random ^= faults->random >> 27;
    return (uint32_t)(faults->random * 2685821657736338717u >> 32);
}

void faults_draw(struct faults *faults)
{
    faults->drawn = faults->struck = FAULT_NONE;
    faults->preempted = false;
    if (draw(faults) % faults->every != 0)
        return;
    faults->hold_ns = faults->time_ns / 2 + faults->time_ns * 2 * (draw(faults) % 1024) / 1024;
    enum fault fault;
    do
        fault = (enum fault)(draw(faults) % FAULTS);
    while ((faults->kinds >> fault & 1) == 0);
    faults->drawn = fault;
}

// Works on until the other thread has taken this processor away for as long as it needs. If this thread may run on
// others, the kernel may give it another one instead.
static void be_preempted(struct faults *faults)
{
    faults->request = FAULT_PREEMPTION;
    faults->cpu = sched_getcpu();
    faults->done = false;
    sem_post(&faults->asked);
    const uint64_t until = now_ns() + LONGEST_WAIT * faults->hold_ns;
    while (!__atomic_load_n(&faults->done, __ATOMIC_ACQUIRE) && now_ns() < until)
        ;
}

static void wait_for_lock(struct faults *faults)
{
    faults->request = FAULT_LOCK;
    sem_post(&faults->asked);
    wait_for(&faults->holding);
    pthread_mutex_lock(&faults->lock);
    pthread_mutex_unlock(&faults->lock);
}

// Touches pages that the kernel has to bring, over and over.
static void fault_pages(struct faults *faults)
{
    const uint64_t until = now_ns() + faults->hold_ns;
    for (;;) {
        for (size_t i = 0; i < PAGES; i++) {
            *(volatile uint8_t *)(faults->memory + i * PAGE) = 1;
            if (now_ns() >= until)
                break;
        }
        madvise(faults->memory, (size_t)PAGES * PAGE, MADV_DONTNEED);
        if (now_ns() >= until)
            return;
    }
}

static uint64_t preemptions(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_nivcsw : 0;
}

void faults_strike(struct faults *faults)
{
    const uint64_t before = preemptions();
    switch (faults->drawn) {
    case FAULT_PREEMPTION: be_preempted(faults); break;
    case FAULT_PAGE_FAULT: fault_pages(faults); break;
    case FAULT_LOCK: wait_for_lock(faults); break;
    case FAULT_STRATEGY: compute(faults->hold_ns); break;
    default: return;
    }
    faults->held_up[faults->drawn]++;
    faults->struck = faults->drawn;
    faults->preempted = preemptions() > before;
}
