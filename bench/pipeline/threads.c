// SPDX-License-Identifier: Apache-2.0
//
// How many spans a second a process can handle, by the number of recording threads: throttled so that nothing
// is lost, and at full speed, where rings overflow and the losses are counted.
#include <math.h>

#include <nanospan/nanospan.h>

#include "common/time.h"
#include "harness/receiver.h"
#include "harness/session.h"
#include "pipeline/load.h"

enum { RUNS_MAX = 16, THREADS_MAX = 64 };

// Medians over several runs: millions of spans a second, exported and recorded; shares of all attempted
// spans; ns per span.
typedef struct medians {
    estimate exported, recorded, dropped, refused, hot_ns;
    unsigned runs;
} medians;

typedef struct samples {
    double exported[RUNS_MAX], recorded[RUNS_MAX], dropped[RUNS_MAX], refused[RUNS_MAX], hot_ns[RUNS_MAX];
    unsigned count;
} samples;

static bool measure_run(const bench_setup *setup, unsigned threads, load_pace pace, const char *url,
                        samples *to, bench_result *out)
{
    pipeline_options options = {.url = url};
    load_options how = {.operation = operation_find("span3"),
                        .pace = pace,
                        .threads = threads,
                        .seconds = setup->quick ? 0.25 : 0.5,
                        .cpu = -1};
    load_outcome load;
    if (!pipeline_start(setup, &options, out))
        return false;
    bool fine = load_run(&how, &load, out);
    nsp_flush(UINT64_C(10) * 1000 * 1000 * 1000);
    uint64_t end = nsp__monotonic_ns();
    session_end(out);
    const nsp_stats *stats = &out->stats;
    uint64_t recorded = stats->attempted - stats->dropped, lost = stats->dropped + stats->roots_refused;
    if (recorded != stats->exported)
        result_fail(out, "%llu recorded, %llu exported", (unsigned long long)recorded,
                    (unsigned long long)stats->exported);
    if (pace == LOAD_HELD && lost != 0)
        result_fail(out, "%llu spans were lost although the threads were throttled",
                    (unsigned long long)lost);
    if (!fine)
        return false;
    double tried = (double)(stats->attempted + stats->roots_refused);
    unsigned i = to->count++;
    to->exported[i] = (double)stats->exported * 1000 / (double)(end - load.first_ns);
    to->recorded[i] = (double)recorded * 1000 / (double)(load.last_ns - load.first_ns);
    to->dropped[i] = (double)stats->dropped / tried;
    to->refused[i] = (double)stats->roots_refused / tried;
    to->hot_ns[i] = (double)load.busy_ns / (double)load.spans;
    return true;
}

static bool measure_run_http(const bench_setup *setup, load_pace pace, samples *to, bench_result *out)
{
    receiver sink;
    receiver_options wanted = {.cpu = -1, .spans_expected = 4000000};
    char problem[100];
    if (!receiver_start(&sink, &wanted, problem, sizeof problem)) {
        result_fail(out, "%s", problem);
        return false;
    }
    bool fine = measure_run(setup, 1, pace, sink.url, to, out);
    receiver_counts seen = receiver_stop(&sink);
    if (seen.distinct != out->stats.exported)
        result_fail(out, "%llu exported, %llu received", (unsigned long long)out->stats.exported,
                    (unsigned long long)seen.distinct);
    return fine;
}

static medians measure_runs(const bench_setup *setup, unsigned threads, load_pace pace, bool http,
                            bench_result *out)
{
    samples all = {.count = 0};
    unsigned wanted = setup->quick ? 3 : 7;
    while (all.count < wanted && setup->rounds != 0) {
        if (!(http ? measure_run_http(setup, pace, &all, out)
                   : measure_run(setup, threads, pace, NULL, &all, out)))
            break;
    }
    return (medians){estimate_median(all.exported, all.count), estimate_median(all.recorded, all.count),
                     estimate_median(all.dropped, all.count),  estimate_median(all.refused, all.count),
                     estimate_median(all.hot_ns, all.count),   all.count};
}

// ---- by threads, nothing lost ----

static unsigned cores(void)
{
    int count = CPU_COUNT(cpus_given());
    return count < 1 ? 1 : count > THREADS_MAX / 2 ? THREADS_MAX / 2 : (unsigned)count;
}

static void measure_held(const bench_setup *setup, bench_result *out)
{
    static const char x[] = "recording threads", y[] = "million spans/s";
    enum { STEPS = 8 }; // one of them is the number of cores
    unsigned most = 2 * cores(), before = 0;
    bench_series *held = result_add_series(out, "threads", "nothing lost", x, y);
    estimate one = {NAN, NAN, NAN}, each = one, twice = one;
    for (unsigned step = 0; step <= STEPS && setup->rounds != 0; step++) {
        unsigned threads = step == 0 ? 1 : most * step / STEPS;
        if (threads <= before)
            continue;
        before = threads;
        progress(out, step, STEPS);
        medians now = measure_runs(setup, threads, LOAD_HELD, false, out);
        series_add(held, threads, now.exported);
        out->rounds += now.runs;
        one = threads == 1 ? now.exported : one;
        each = threads == cores() ? now.exported : each;
        twice = threads == most ? now.exported : twice;
    }
    progress(out, STEPS, STEPS);
    result_add_estimate(out, "threads1_spans_per_s_millions", one);
    result_add_estimate(out, "cores_spans_per_s_millions", each);
    result_add_estimate(out, "twice_cores_spans_per_s_millions", twice);
}

// ---- saturated ----

static void measure_full(const bench_setup *setup, unsigned threads, bool http, bench_result *out)
{
    medians now = measure_runs(setup, threads, LOAD_FULL, http, out);
    out->rounds = now.runs;
    result_add_estimate(out, "recorded_per_s_millions", now.recorded);
    result_add_estimate(out, "exported_per_s_millions", now.exported);
    result_add_estimate(out, "refused_share", now.refused);
    result_add_estimate(out, "dropped_share", now.dropped);
    result_add_estimate(out, "hot_ns", now.hot_ns);
}

static const struct {
    const char *name, *what;
    unsigned threads;
    bool http;
} subjects[] = {
    {"threads", "throttled so that nothing is lost; 1 thread to twice the cores", 0, false},
    {"saturated_1", "one thread at full speed: spans exported and spans lost", 1, false},
    {"saturated_2", "two threads at full speed", 2, false},
    {"saturated_http", "one thread at full speed, over loopback HTTP to another process", 1, true},
};

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    if (subjects[index].threads == 0)
        measure_held(setup, out);
    else
        measure_full(setup, subjects[index].threads, subjects[index].http, out);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_threads = {
    .name = "threads",
    .method = "spans with 3 attributes, encoded and counted, or sent; threads run wherever the system "
              "schedules them; shares are of all attempted spans; hot_ns: mean for the recording thread, "
              "including preemption",
    .describe = describe,
    .measure = measure,
};
