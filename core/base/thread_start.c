// SPDX-License-Identifier: Apache-2.0
#include "base/thread_start.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

// CPUs 0 to CPU_LIMIT - 1 can be named. The kernel accepts masks that are longer than its number of CPUs, and
// clips them to the cpuset.
enum { CPU_LIMIT = 8192, NAME_SIZE = 16 };

typedef struct cpu_mask {
    cpu_set_t parts[CPU_LIMIT / CPU_SETSIZE];
} cpu_mask;

typedef struct start {
    void *(*run)(void *);
    void *argument;
    char name[NAME_SIZE];
} start;

// Reads a CPU number and moves past it. False if there is none or it is out of range.
static bool read_cpu(const char **text, unsigned *cpu)
{
    if (**text < '0' || **text > '9')
        return false;
    *cpu = 0;
    for (; **text >= '0' && **text <= '9'; ++*text) {
        *cpu = *cpu * 10 + (unsigned)(**text - '0');
        if (*cpu >= CPU_LIMIT)
            return false;
    }
    return true;
}

// mask may be NULL.
static bool parse_cpus(const char *text, cpu_mask *mask)
{
    if (text == NULL)
        return false;
    for (;;) {
        unsigned first, last;
        if (!read_cpu(&text, &first))
            return false;
        last = first;
        if (*text == '-') {
            ++text;
            if (!read_cpu(&text, &last) || last < first)
                return false;
        }
        for (unsigned cpu = first; mask != NULL && cpu <= last; ++cpu)
            CPU_SET_S(cpu, sizeof *mask, mask->parts);
        if (*text == 0)
            return true;
        if (*text++ != ',')
            return false;
    }
}

bool nsp__cpu_list_valid(const char *cpus)
{
    return parse_cpus(cpus, NULL);
}

static void *enter(void *argument)
{
    start begin = *(start *)argument;
    free(argument);
    pthread_setname_np(pthread_self(), begin.name);
    // The kernel may round our sleeps by 50 us unless told otherwise, and polling intervals are of that size.
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    return begin.run(begin.argument);
}

// One attempt, with the requested CPUs (NULL: those of the caller) and, if wanted, the ordinary scheduler.
static int create(pthread_t *thread, const cpu_mask *mask, bool ordinary, start *begin)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    if (ordinary) {
        struct sched_param parameters = {.sched_priority = 0};
        pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
        pthread_attr_setschedpolicy(&attributes, SCHED_OTHER);
        pthread_attr_setschedparam(&attributes, &parameters);
    }
    if (mask != NULL)
        error = pthread_attr_setaffinity_np(&attributes, sizeof *mask, mask->parts);
    if (!error)
        error = pthread_create(thread, &attributes, enter, begin);
    pthread_attr_destroy(&attributes);
    return error;
}

// ---- the CPUs of the process ----

// The main thread's mask when the library was loaded. That is normally before main, which may pin itself.
static cpu_mask mask_at_load;
static bool mask_at_load_known;

// Uses the main thread's mask, because the caller is often a trading thread that is pinned.
static bool leader_mask(cpu_mask *mask)
{
    memset(mask, 0, sizeof *mask);
    return sched_getaffinity(getpid(), sizeof *mask, mask->parts) == 0;
}

__attribute__((constructor(101))) static void look_at_mask(void)
{
    mask_at_load_known = leader_mask(&mask_at_load);
}

// A main thread that has since been narrowed to one CPU has been pinned, as main often is before nsp_init;
// that is the one CPU that our threads should leave alone. Any other change (taskset -p, a main that keeps
// its process on one node) is meant for the process. If the mask cannot be read, all bits are set, which
// means every CPU of the process's cpuset.
static void process_mask(cpu_mask *mask)
{
    bool known = leader_mask(mask);
    if (mask_at_load_known && (!known || CPU_COUNT_S(sizeof *mask, mask->parts) == 1))
        *mask = mask_at_load;
    else if (!known)
        memset(mask, 0xff, sizeof *mask);
}

// The CPUs are set before the thread first runs, so it never takes time on the CPU of a pinned caller.
static int create_somewhere(pthread_t *thread, const char *name, const char *cpus, start *begin)
{
    cpu_mask mask;
    memset(&mask, 0, sizeof mask);
    if (cpus != NULL && *cpus) {
        if (parse_cpus(cpus, &mask) && create(thread, &mask, true, begin) == 0)
            return 0;
        nsp__log(NSP_LOG_WARN, "cpus",
                 "thread %s: \"%s\" names no usable CPU; the thread may run on all CPUs of the process", name,
                 cpus);
    }
    process_mask(&mask);
    int error = create(thread, &mask, true, begin);
    // A sandbox may forbid choosing CPUs or a scheduler. A thread with the caller's settings is better than
    // none.
    if (error && error != EAGAIN)
        error = create(thread, NULL, false, begin);
    return error;
}

nsp_status nsp__thread_start(pthread_t *thread, const char *name, const char *cpus, void *(*run)(void *),
                             void *argument)
{
    start *begin = calloc(1, sizeof *begin);
    if (begin == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory to start the thread %s", name);
    begin->run = run;
    begin->argument = argument;
    strncpy(begin->name, name, sizeof begin->name - 1);

    // A new thread inherits the signal mask. Signals are blocked here, so that none can arrive before the
    // thread blocks them itself.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = create_somewhere(thread, name, cpus, begin);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        free(begin);
        return nsp__fail(NSP_ERR_SYSTEM, "cannot start the thread %s: %s", name, strerror(error));
    }
    return NSP_OK;
}
