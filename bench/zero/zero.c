// SPDX-License-Identifier: Apache-2.0
//
// What the hot path must never do: a million spans of each operation, and what the recording thread did
// meanwhile besides computing. First, a control shows that each counter works.
//
// An operation runs in bursts on a thread of a child process, while the collector drains on another. The
// windows are open only during the bursts, not while the thread waits for the ring to be drained. The bursts
// use the ring many times over, including its first lap, so memory that is first touched after attach would
// be noticed.
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "harness/session.h"
#include "hot_path/operations.h"
#include "zero/child.h"
#include "zero/watch.h"

// The kernel may take a page or a CPU away from any thread, so a finding is checked again. What the code
// itself does occurs in each attempt.
enum { ATTEMPTS = 3 };
enum { SECONDS_MOST = 60, ENOUGH = 10000 }; // this many findings need no further attempt

typedef struct findings {
    watch_counts counts;
    uint64_t spans;
    bool unable; // the kernel does not allow the watching
    bench_result result;
} findings;

// Not named zero_*, so that a budget can demand that all zero_* are zero.
static const char control_name[] = "control_zero";

static findings *found; // shared with the child processes

typedef struct job {
    const bench_setup *setup;
    const bench_operation *operation;
    sem_t done;
} job;

static uint64_t sum(const watch_counts *counts)
{
    return counts->allocations + counts->system_calls + counts->page_faults + counts->voluntary_switches +
           counts->log_lines;
}

// ---- the control: it does this much of each, and all of it must be counted ----

static const watch_counts deeds = {
    .allocations = 10, .system_calls = 7, .page_faults = 11, .voluntary_switches = 13, .log_lines = 3};

// Who is preempted just before it sleeps may find that the time is over, and has not waited.
static void wait_a_moment(void)
{
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    do {
        nanosleep(&(struct timespec){0, 500000}, NULL);
        getrusage(RUSAGE_THREAD, &after);
    } while (after.ru_nvcsw == before.ru_nvcsw);
}

static void control(void *argument)
{
    (void)argument;
    watch_counts seen = {0}, ignored;
    found->unable = !watch_system_calls();
    for (int warm = 0; warm < 2; warm++) {
        watch_begin();
        watch_end(&ignored);
    }

    watch_begin();
    for (uint64_t i = 0; i < deeds.allocations / 2; i++) {
        void *volatile memory = malloc(16);
        free(memory);
    }
    watch_end(&seen);
    found->counts.allocations = seen.allocations;

    watch_begin();
    for (uint64_t i = 0; i < deeds.system_calls; i++)
        syscall(SYS_getppid);
    watch_end(&seen);
    found->counts.system_calls = seen.system_calls;

    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = page * deeds.page_faults;
    char *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        _exit(1);
    madvise(pages, bytes, MADV_NOHUGEPAGE);
    seen = (watch_counts){0};
    watch_begin();
    for (size_t i = 0; i < deeds.page_faults; i++)
        ((volatile char *)pages)[i * page] = 1;
    watch_end(&seen);
    found->counts.page_faults = seen.page_faults;

    seen = (watch_counts){0};
    watch_begin();
    for (uint64_t i = 0; i < deeds.voluntary_switches; i++)
        wait_a_moment();
    watch_end(&seen);
    found->counts.voluntary_switches = seen.voluntary_switches;

    watch_begin();
    for (uint64_t i = 0; i < deeds.log_lines; i++)
        watch_log(NULL, NSP_LOG_WARN, "a line");
    watch_end(&seen);
    found->counts.log_lines = seen.log_lines;
    _exit(0);
}

static void add_counts(bench_result *out, const watch_counts *counts)
{
    result_add(out, "allocations_count", (double)counts->allocations);
    result_add(out, "system_calls_count", (double)counts->system_calls);
    result_add(out, "page_faults_count", (double)counts->page_faults);
    result_add(out, "voluntary_switches_count", (double)counts->voluntary_switches);
    result_add(out, "log_lines_count", (double)counts->log_lines);
}

static void check(bench_result *out, const char *what, uint64_t done, uint64_t seen)
{
    if (done != seen)
        result_fail(out, "the control did %llu %s, but %llu were counted", (unsigned long long)done, what,
                    (unsigned long long)seen);
}

static void measure_control(bench_result *out)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        memset(found, 0, sizeof *found);
        if (!child_run(control, NULL, SECONDS_MOST, out))
            return;
        if (found->unable) {
            result_skip(out, "this kernel does not let a thread watch its own system calls");
            return;
        }
        if (memcmp(&found->counts, &deeds, sizeof deeds) == 0)
            break;
        out->invalid++;
    }
    out->rounds = 1;
    add_counts(out, &found->counts);
    check(out, "allocations", deeds.allocations, found->counts.allocations);
    check(out, "system calls", deeds.system_calls, found->counts.system_calls);
    check(out, "page faults", deeds.page_faults, found->counts.page_faults);
    check(out, "voluntary switches", deeds.voluntary_switches, found->counts.voluntary_switches);
    check(out, "log lines", deeds.log_lines, found->counts.log_lines);
}

// The result of the control, which runs once.
static const bench_result *controls(void)
{
    static bench_result once = {.name = control_name};
    if (once.rounds == 0 && once.problem[0] == '\0' && once.skipped[0] == '\0') {
        if (watch_missing() != NULL)
            result_skip(&once, "%s", watch_missing());
        else if (found == NULL && (found = child_page(sizeof *found)) == NULL)
            result_fail(&once, "cannot map shared memory");
        else
            measure_control(&once);
    }
    return &once;
}

// ---- the operations ----

// The number of operations that fill about a quarter of the ring.
static size_t burst_size(const bench_operation *operation)
{
    enum { TRIAL = 64, MOST = 20000 };
    if (operation->burst_most != 0)
        return operation->burst_most;
    if (operation->state != SAMPLED)
        return MOST;
    uint64_t from = session_published();
    operation_time(operation, TRIAL);
    uint64_t bytes = session_published() - from;
    size_t size = bytes != 0 ? (size_t)(session_ring_bytes() / 4 * TRIAL / bytes) : MOST;
    return size < MOST ? size : MOST;
}

// Runs one burst and adds its counts. False, with a problem, if the rings were not drained or spans were lost
// that should not be.
static bool watch_burst(const bench_operation *operation, size_t burst, watch_counts *counts)
{
    const bool session = operation->state != DISABLED;
    if (operation->state == SAMPLED && !session_drained()) {
        result_fail(&found->result, "the collector did not drain the ring");
        return false;
    }
    operation_before(operation, burst);
    uint64_t losses = session ? session_losses() : 0;
    watch_begin();
    operation->run(burst);
    watch_end(counts);
    uint64_t lost = session ? session_losses() - losses : 0;
    operation_after(operation);
    if (lost != operation_losses(operation, burst))
        result_fail(&found->result, "%llu spans were lost in a burst", (unsigned long long)lost);
    return found->result.problem[0] == '\0';
}

static void watch_bursts(const job *work)
{
    const uint64_t wanted = work->setup->quick ? 300000 : 1000000;
    const size_t burst = burst_size(work->operation);
    // The first burst brings in the program's own pages, which a forked child has not mapped yet, and those
    // of a quarter of the ring.
    watch_counts ignored = {0};
    bool fine = watch_burst(work->operation, burst, &ignored);
    while (fine && found->spans < wanted && sum(&found->counts) < ENOUGH) {
        fine = watch_burst(work->operation, burst, &found->counts);
        found->spans += burst * work->operation->spans;
    }
}

// Must not return; see watch.h.
static __attribute__((noreturn)) void *watched_thread(void *argument)
{
    job *work = argument;
    if (work->operation->state != DISABLED && nsp_thread_attach(NULL) != NSP_OK)
        result_fail(&found->result, "cannot attach");
    else if (!operation_prepare(work->operation))
        result_fail(&found->result, "the operation cannot be prepared");
    else if (!watch_system_calls())
        result_fail(&found->result, "cannot watch system calls");
    else
        watch_bursts(work);
    operation_finish(work->operation);
    sem_post(&work->done);
    for (;;)
        pause();
}

static void watch_operation(void *argument)
{
    job *work = argument;
    bool session = work->operation->state != DISABLED;
    if (session) {
        nsp_config config;
        session_configure(work->setup, &config);
        config.collector = operation_collector(work->operation);
        config.log = watch_log;
        if (!session_start_with(&config, &found->result))
            _exit(0);
    }
    operation_other_cpu = work->setup->collector_cpu;
    pthread_t thread;
    sem_init(&work->done, 0, 0);
    if (pthread_create(&thread, NULL, watched_thread, work) != 0)
        _exit(1);
    while (sem_wait(&work->done) != 0)
        ;
    if (session)
        session_end(&found->result);
    _exit(0);
}

static bool repeatable(const watch_counts *counts)
{
    return counts->allocations + counts->system_calls + counts->log_lines != 0;
}

static void measure_operation(const bench_operation *operation, const bench_setup *setup, bench_result *out)
{
    job work = {.setup = setup, .operation = operation};
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        memset(found, 0, sizeof *found);
        if (!child_run(watch_operation, &work, SECONDS_MOST, out))
            return;
        progress(out, attempt + 1, ATTEMPTS);
        if (sum(&found->counts) == 0 || repeatable(&found->counts))
            break;
        out->invalid += attempt + 1 < ATTEMPTS;
    }
    progress(out, ATTEMPTS, ATTEMPTS);
    out->rounds = 1;
    if (found->result.problem[0] != '\0')
        result_fail(out, "%s", found->result.problem);
    out->stats = found->result.stats;
    add_counts(out, &found->counts);
    result_add(out, "spans_millions", (double)found->spans / 1e6);
}

// ---- the group: the control, then the operations ----

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const bench_result *before = controls();
    if (before->skipped[0] != '\0') {
        result_skip(out, "%s", before->skipped);
    } else if (index == 0) {
        out->rounds = before->rounds;
        out->invalid = before->invalid;
        out->count = before->count;
        memcpy(out->figures, before->figures, sizeof out->figures);
        memcpy(out->problem, before->problem, sizeof out->problem);
    } else if (before->problem[0] != '\0') {
        result_fail(out, "the counters do not work: %s", before->problem);
    } else {
        measure_operation(&operations[index - 1], setup, out);
    }
}

static bool describe(size_t index, bench_result *out)
{
    static char names[64][40];
    if (index > operation_count || index >= sizeof names / sizeof names[0])
        return false;
    if (index != 0)
        snprintf(names[index], sizeof names[0], "zero_%s", operations[index - 1].name);
    out->name = index == 0 ? control_name : names[index];
    out->what = index == 0
                    ? "the control: it does 10 allocations, 7 system calls, 11 faults, 13 waits, 3 log lines"
                    : operations[index - 1].what;
    return true;
}

const bench_group group_zero = {
    .name = "zero",
    .method = "what the recording thread does besides computing, counted over a million spans (--quick: "
              "300,000) while the collector drains; everything must be zero, except for the control",
    .describe = describe,
    .measure = measure,
};
