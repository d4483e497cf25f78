// SPDX-License-Identifier: Apache-2.0
//
// Do our threads disturb a thread that does not trace? It spins on its own CPU and reads the counter. A gap
// between two readings means that something took the CPU away: an interrupt, another thread, the hypervisor.
// Measured without our threads, with an idle session, and with a busy one: collector, sender and a thread
// that records.
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <nanospan/nanospan.h>

#include "harness/receiver.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"

enum { ROUNDS_MOST = 25, GAPS_MOST = 1 << 16, THRESHOLDS = 3 };

static const double slice_ns = 40e6;
static const double threshold_ns[THRESHOLDS] = {1000, 10000, 100000};

typedef enum jitter_state { NOTHING, IDLE, WORKING } jitter_state;

static const struct {
    const char *name, *line, *what;
    jitter_state state;
} subjects[] = {
    {"jitter_nothing", "without our threads", "the control: without our threads, compared with itself",
     NOTHING},
    {"jitter_idle", "idle session", "a session whose collector and sender are idle", IDLE},
    {"jitter_working", "collector and sender busy",
     "a thread on the collector's CPU records; collector and sender are busy", WORKING},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

// ---- the work ----

// Records about a million spans a second, in bursts with sleeps in between, because it shares its CPU with
// the collector and the sender.
typedef struct recorder {
    pthread_t thread;
    int cpu;
    bool stop;
} recorder;

static void *recorder_run(void *argument)
{
    recorder *me = argument;
    const bench_operation *operation = operation_find("span3");
    if (me->cpu >= 0)
        pin_to(me->cpu);
    nsp_thread_attach(NULL);
    while (!__atomic_load_n(&me->stop, __ATOMIC_RELAXED)) {
        operation->run(500);
        nanosleep(&(struct timespec){.tv_nsec = 450 * 1000}, NULL);
    }
    return NULL;
}

// ---- the spinning thread ----

typedef struct spin {
    uint32_t *gaps; // all gaps longer than the smallest threshold, in ticks
    size_t count;
    uint64_t readings;
    double seconds;
} spin;

// Records every gap above the smallest threshold for one slice of time.
static void spin_slice(spin *out)
{
    uint64_t least = (uint64_t)(threshold_ns[0] / ticks_ns()), readings = 0;
    uint64_t begin = ticks_fenced(), last = begin, end = begin + (uint64_t)(slice_ns / ticks_ns());
    while (last < end) {
        uint64_t now = nsp__counter_read(), gap = now - last;
        readings++;
        if (gap > least && out->count < GAPS_MOST)
            out->gaps[out->count++] = gap < UINT32_MAX ? (uint32_t)gap : UINT32_MAX;
        last = now;
    }
    out->readings += readings;
    out->seconds += (double)(last - begin) * ticks_ns() / 1e9;
}

static double gaps_per_second(const spin *in, size_t from, double over_ns, double seconds)
{
    size_t count = 0;
    for (size_t i = from; i < in->count; i++)
        count += in->gaps[i] * ticks_ns() > over_ns;
    return (double)count / seconds;
}

// ---- the rounds ----

typedef struct jitter {
    jitter_state state;
    nsp_config config;
    spin nothing, subject;
    double added[THRESHOLDS][ROUNDS_MOST]; // gaps a second, by round
} jitter;

// The middle of a round: two slices with our threads. Each round has its own session, whose span counters
// must balance.
static bool spin_subject(jitter *run, const bench_setup *setup, bench_result *out)
{
    if (run->state == NOTHING) {
        spin_slice(&run->subject);
        spin_slice(&run->subject);
        return true;
    }
    recorder work = {.cpu = setup->collector_cpu};
    if (!session_start_with(&run->config, out))
        return false;
    bool working = run->state == WORKING && pthread_create(&work.thread, NULL, recorder_run, &work) == 0;
    if (run->state == WORKING && !working)
        result_fail(out, "cannot start a thread");
    nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL); // until all threads run
    spin_slice(&run->subject);
    spin_slice(&run->subject);
    if (working) {
        __atomic_store_n(&work.stop, true, __ATOMIC_RELAXED);
        pthread_join(work.thread, NULL);
    }
    session_end(out);
    if (working && out->stats.exported == 0)
        result_fail(out, "nothing was exported");
    return out->problem[0] == '\0';
}

// A round: nothing, subject, subject, nothing.
static bool measure_round(jitter *run, unsigned round, const bench_setup *setup, bench_result *out)
{
    size_t nothing_from = run->nothing.count, subject_from = run->subject.count;
    double seconds = run->subject.seconds;
    spin_slice(&run->nothing);
    if (!spin_subject(run, setup, out))
        return false;
    spin_slice(&run->nothing);
    seconds = run->subject.seconds - seconds;
    for (size_t t = 0; t < THRESHOLDS; t++) {
        double nothing = gaps_per_second(&run->nothing, nothing_from, threshold_ns[t], seconds);
        run->added[t][round] =
            gaps_per_second(&run->subject, subject_from, threshold_ns[t], seconds) - nothing;
    }
    return true;
}

// Plots all readings of the subject's slices as percentiles. Only the long gaps were stored, and only they
// matter.
static void plot(const jitter *run, const char *name, bench_result *out)
{
    bench_series *line = result_add_series(out, "gaps of a spinning thread", name, "percentile", "ns");
    const spin *in = &run->subject;
    double step = pow(10, 0.1);
    for (double rank = (double)in->count; rank >= 1; rank /= step)
        series_add(line, (double)in->readings / rank,
                   (estimate){in->gaps[in->count - (size_t)rank] * ticks_ns(), NAN, NAN});
}

static void report(jitter *run, unsigned rounds, const char *name, bench_result *out)
{
    static const char *const rate[THRESHOLDS] = {"over_1us_per_s", "over_10us_per_s", "over_100us_per_s"};
    static const char *const added[THRESHOLDS] = {"added_1us_per_s", "added_10us_per_s", "added_100us_per_s"};
    spin *in = &run->subject;
    out->rounds = rounds;
    for (size_t t = 0; t < THRESHOLDS; t++)
        result_add(out, rate[t], gaps_per_second(in, 0, threshold_ns[t], in->seconds));
    for (size_t t = 0; t < THRESHOLDS; t++)
        result_add_estimate(out, added[t], estimate_median(run->added[t], rounds));
    double sum = 0;
    for (size_t i = 0; i < in->count; i++)
        sum += in->gaps[i] * ticks_ns();
    sort_u32(in->gaps, in->count);
    result_add(out, "away", sum / 1e9 / in->seconds);
    result_add(out, "longest_ns", in->count != 0 ? in->gaps[in->count - 1] * ticks_ns() : 0);
    if (in->count == GAPS_MOST || run->nothing.count == GAPS_MOST)
        result_fail(out, "there were more than %d gaps", GAPS_MOST);
    plot(run, name, out);
}

static void measure_with(jitter *run, const bench_setup *setup, const char *name, bench_result *out)
{
    unsigned rounds = setup->rounds < ROUNDS_MOST ? setup->rounds : ROUNDS_MOST, done = 0;
    run->nothing.gaps = malloc(GAPS_MOST * sizeof *run->nothing.gaps);
    run->subject.gaps = malloc(GAPS_MOST * sizeof *run->subject.gaps);
    if (run->nothing.gaps == NULL || run->subject.gaps == NULL)
        result_fail(out, "out of memory");
    while (out->problem[0] == '\0' && done < rounds && measure_round(run, done, setup, out))
        progress(out, ++done, rounds);
    if (out->problem[0] == '\0')
        report(run, done, name, out);
    free(run->nothing.gaps);
    free(run->subject.gaps);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static jitter run;
    run = (jitter){.state = subjects[index].state};
    receiver backend;
    receiver_options options = {
        .cpu = setup->collector_cpu, .mode = RECEIVER_TAKES, .spans_expected = 1 << 20};
    if (run.state != NOTHING && !receiver_start(&backend, &options, out->problem, sizeof out->problem))
        return;
    if (run.state != NOTHING) {
        session_configure(setup, &run.config);
        run.config.custom_exporter = NULL;
        run.config.exporter = "otlp";
        run.config.endpoint = backend.url;
    }
    measure_with(&run, setup, subjects[index].line, out);
    if (run.state != NOTHING)
        receiver_stop(&backend);
}

BENCH_DESCRIBE(subjects, SUBJECTS)

const bench_group group_jitter = {
    .name = "jitter",
    .method =
        "gaps between two readings of the counter in a thread that spins on its own CPU; added: compared "
        "with the same without our threads, A B B A, medians of rounds with 95 % intervals; away: share "
        "of the time in gaps",
    .describe = describe,
    .measure = measure,
};
