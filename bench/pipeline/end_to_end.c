// SPDX-License-Identifier: Apache-2.0
//
// From the recording thread to a receiver in another process that walks every field: the complete path, on
// the CPUs of this machine, wherever the system schedules the threads.
#include <nanospan/nanospan.h>

#include "harness/receiver.h"
#include "harness/session.h"
#include "pipeline/load.h"

enum { RUNS_MAX = 32 };
static const uint64_t flush_ns = UINT64_C(10) * 1000 * 1000 * 1000;

typedef struct subject {
    const char *name, *what, *operation;
    unsigned threads;
    bool gzip;
    double rate; // 0: as fast as possible
} subject;

static const subject subjects[] = {
    {"e2e_3", "one recording thread, 3 attributes", "span3", 1, false, 0},
    {"e2e_3_threads2", "two recording threads, 3 attributes", "span3", 2, false, 0},
    {"e2e_0", "one recording thread, no attributes", "span0", 1, false, 0},
    {"e2e_8", "one recording thread, 8 attributes", "span8", 1, false, 0},
    {"e2e_trace6", "one recording thread, traces of six spans", "trace6_at", 1, false, 0},
    {"e2e_path6", "one recording thread, declared paths of six spans", "path6", 1, false, 0},
    {"e2e_3_gzip", "one recording thread, 3 attributes, gzip", "span3", 1, true, 0},
    {"e2e_3_1M", "one recording thread at 1 million spans a second, open loop", "span3", 1, false, 1e6},
};

// The values of all runs, one array per figure.
typedef struct runs {
    double rate[RUNS_MAX], recorder[RUNS_MAX], collector[RUNS_MAX], sender[RUNS_MAX], receiver[RUNS_MAX],
        hot[RUNS_MAX];
    double wire_bytes[RUNS_MAX];
    double lost[RUNS_MAX];
    size_t count;
} runs;

// The numbers of recorded, exported and received spans must be equal. Except in an open loop, which does not
// wait for room, nothing may be refused.
static bool nothing_lost(const subject *the, const load_outcome *load, const receiver_counts *seen,
                         bench_result *out)
{
    const nsp_stats *stats = &out->stats;
    uint64_t recorded = load->spans - (the->rate > 0 ? stats->roots_refused + stats->dropped : 0);
    if (stats->attempted - stats->dropped == recorded && stats->exported == recorded &&
        seen->distinct == recorded && seen->spans == recorded)
        return true;
    result_fail(out,
                "spans were lost: %llu recorded, %llu dropped, %llu refused, %llu exported, %llu received, "
                "%llu distinct",
                (unsigned long long)load->spans, (unsigned long long)stats->dropped,
                (unsigned long long)stats->roots_refused, (unsigned long long)stats->exported,
                (unsigned long long)seen->spans, (unsigned long long)seen->distinct);
    return false;
}

static bool measure_run(const subject *the, const bench_setup *setup, double seconds, runs *to,
                        bench_result *out)
{
    receiver sink;
    receiver_options wanted = {.cpu = -1, .spans_expected = (uint64_t)(seconds * 12e6)};
    char problem[100];
    if (!receiver_start(&sink, &wanted, problem, sizeof problem)) {
        result_fail(out, "%s", problem);
        return false;
    }
    pipeline_options options = {.url = sink.url, .gzip = the->gzip};
    load_outcome load = {0};
    bool fine = pipeline_start(setup, &options, out);
    if (fine) {
        load_options how = {.operation = operation_find(the->operation),
                            .pace = the->rate > 0 ? LOAD_RATE : LOAD_HELD,
                            .threads = the->threads,
                            .rate = the->rate,
                            .seconds = seconds,
                            .cpu = -1};
        fine = load_run(&how, &load, out);
        nsp_flush(flush_ns);
        to->collector[to->count] = (double)thread_cpu_ns("nsp-collector") / (double)load.spans;
        to->sender[to->count] = (double)thread_cpu_ns("nsp-sender") / (double)load.spans;
        session_end(out);
    }
    receiver_counts seen = receiver_stop(&sink);
    if (!fine || !nothing_lost(the, &load, &seen, out))
        return false;
    double spans = (double)seen.distinct;
    to->rate[to->count] = spans * 1000 / (double)(seen.last_ns - load.first_ns);
    to->recorder[to->count] = (double)load.cpu_ns / spans;
    to->hot[to->count] = (double)load.busy_ns / spans;
    to->receiver[to->count] = (double)seen.cpu_ns / spans;
    to->lost[to->count] = 1 - spans / (double)load.spans;
    to->wire_bytes[to->count++] = (double)seen.wire_bytes / spans;
    return true;
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static runs measured;
    unsigned count = setup->quick ? 3 : 7;
    measured.count = 0;
    for (unsigned i = 0; i < count && setup->rounds != 0; i++) {
        progress(out, i, count);
        if (!measure_run(&subjects[index], setup, setup->quick ? 0.4 : 0.6, &measured, out))
            break;
    }
    progress(out, count, count);
    out->rounds = (unsigned)measured.count;
    result_add_estimate(out, "spans_per_s_millions", estimate_median(measured.rate, measured.count));
    result_add(out, "lost_share", estimate_median(measured.lost, measured.count).value);
    result_add(out, "hot_ns", estimate_median(measured.hot, measured.count).value);
    result_add(out, "recorder_cpu_ns", estimate_median(measured.recorder, measured.count).value);
    result_add(out, "collector_cpu_ns", estimate_median(measured.collector, measured.count).value);
    result_add(out, "sender_cpu_ns", estimate_median(measured.sender, measured.count).value);
    result_add(out, "receiver_cpu_ns", estimate_median(measured.receiver, measured.count).value);
    result_add(out, "wire_bytes", estimate_median(measured.wire_bytes, measured.count).value);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_end_to_end = {
    .name = "end to end",
    .method =
        "over loopback HTTP to another process that walks every field and counts distinct span ids; from "
        "the first span to the last answer; CPU time per span",
    .describe = describe,
    .measure = measure,
};
