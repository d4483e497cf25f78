// SPDX-License-Identifier: Apache-2.0
#include "pipeline/load.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "common/time.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "trace/thread_state.h"

enum { THREADS_MAX = 64, BURST = 64, RATE_BURST = 16 };

static void rest(long ns)
{
    struct timespec pause = {.tv_nsec = ns};
    nanosleep(&pause, NULL);
}

// ---- the threads ----

typedef struct recorder {
    const load_options *options;
    pthread_barrier_t *start;
    pthread_t thread;
    load_outcome outcome;
} recorder;

static void burst(recorder *me, size_t count)
{
    uint64_t start = nsp_now();
    me->options->operation->run(count);
    me->outcome.busy_ns += nsp_now() - start; // in ticks; converted at the end
    me->outcome.spans += count * me->options->operation->spans;
}

static bool half_full(void)
{
    const nsp__producer *producer = nsp__producer_self();
    uint64_t consumed = __atomic_load_n(&producer->slot->consumed, __ATOMIC_ACQUIRE);
    return nsp__ring_tail(&producer->ring) - consumed > nsp__ring_capacity(&producer->ring) / 2;
}

static void run_until(recorder *me, uint64_t end)
{
    const load_options *options = me->options;
    bool held = options->pace == LOAD_HELD;
    while (nsp__clock_ns(CLOCK_MONOTONIC) < end) {
        for (int i = 0; i < 16 && !(held && half_full()); i++)
            burst(me, BURST);
        while (held && half_full())
            rest(50000);
    }
}

static void run_at_rate(recorder *me, uint64_t start, uint64_t end)
{
    const load_options *options = me->options;
    size_t spans = RATE_BURST * options->operation->spans;
    double step = 1e9 * (double)(spans * options->threads) / options->rate, next = (double)start;
    for (uint64_t now = start; now < end; now = nsp__clock_ns(CLOCK_MONOTONIC)) {
        for (; next <= (double)now; next += step)
            burst(me, RATE_BURST);
        double left = next - (double)now;
        if (left > 100000)
            rest((long)left - 60000);
        else
            relax();
    }
}

static void *recorder_run(void *argument)
{
    recorder *me = argument;
    if (me->options->cpu >= 0)
        pin_to(me->options->cpu);
    else
        unpin();
    nsp_thread_attach(NULL);
    pthread_barrier_wait(me->start);
    uint64_t start = nsp__clock_ns(CLOCK_MONOTONIC), cpu = nsp__clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t end = start + (uint64_t)(me->options->seconds * 1e9);
    if (me->options->pace == LOAD_RATE)
        run_at_rate(me, start, end);
    else
        run_until(me, end);
    me->outcome.first_ns = start;
    me->outcome.last_ns = nsp__clock_ns(CLOCK_MONOTONIC);
    me->outcome.cpu_ns = nsp__clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    me->outcome.busy_ns = (uint64_t)((double)me->outcome.busy_ns * ticks_ns());
    return NULL;
}

bool load_run(const load_options *options, load_outcome *out, bench_result *result)
{
    static recorder recorders[THREADS_MAX];
    unsigned count = options->threads < THREADS_MAX ? options->threads : THREADS_MAX;
    pthread_barrier_t start;
    ticks_ns(); // measured here, so that no recorder has to
    // Each recorder waits for the others. If one cannot be started, the others would wait forever, so the
    // process ends.
    pthread_barrier_init(&start, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        recorders[i] = (recorder){.options = options, .start = &start};
        if (pthread_create(&recorders[i].thread, NULL, recorder_run, &recorders[i]) != 0) {
            if (i == 0) {
                result_fail(result, "cannot start a thread");
                return false;
            }
            perror("nanospan-bench: cannot start a recording thread");
            _Exit(1);
        }
    }
    *out = (load_outcome){.first_ns = UINT64_MAX};
    for (unsigned i = 0; i < count; i++) {
        pthread_join(recorders[i].thread, NULL);
        const load_outcome *one = &recorders[i].outcome;
        out->spans += one->spans;
        out->busy_ns += one->busy_ns;
        out->cpu_ns += one->cpu_ns;
        out->first_ns = one->first_ns < out->first_ns ? one->first_ns : out->first_ns;
        out->last_ns = one->last_ns > out->last_ns ? one->last_ns : out->last_ns;
    }
    pthread_barrier_destroy(&start);
    return true;
}

// ---- the session ----

bool pipeline_start(const bench_setup *setup, const pipeline_options *options, bench_result *out)
{
    // The library's threads may run where the thread that starts them may run.
    if (!options->pinned)
        unpin();
    nsp_config config;
    session_configure(setup, &config);
    if (!options->pinned)
        config.collector_cpus = NULL;
    if (options->url != NULL) {
        config.custom_exporter = NULL;
        config.exporter = "otlp";
        config.endpoint = options->url;
        config.endpoint_exact = false;
        config.compression = options->gzip ? "gzip" : "none";
        config.log_level = NSP_LOG_ERROR; // no warnings: a backend in trouble is part of the test
    }
    nsp_status status = nsp_init(&config);
    if (!options->pinned)
        pin_to(setup->hot_cpu);
    if (status != NSP_OK)
        result_fail(out, "cannot start a session: %s: %.80s", nsp_status_str(status), nsp_error_detail());
    return status == NSP_OK;
}

static bool first_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(line, size, file) != NULL;
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return read;
}

uint64_t thread_cpu_ns(const char *name)
{
    uint64_t sum = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[64];
        unsigned long long ns;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        if (!first_line(path, line, sizeof line) || strcmp(line, name) != 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", task->d_name);
        if (first_line(path, line, sizeof line) && sscanf(line, "%llu", &ns) == 1)
            sum += ns;
    }
    closedir(tasks);
    return sum;
}
