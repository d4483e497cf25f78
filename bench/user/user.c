// SPDX-License-Identifier: Apache-2.0
//
// What a span costs a user: a program with the shared library, its exporter at work. Every round counts; what
// the machine did in it splits the figures, and never leaves one out. Only rounds in which spans were dropped
// or refused say nothing about spans that are recorded; they are counted.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/distribution.h"
#include "user/child.h"

typedef struct subject {
    const char *name, *what;
    bool advised; // placed as docs/latency.md advises; false: wherever the system places the threads
    user_operation operation;
    size_t in_a_row;
    unsigned threads;
} subject;

static const subject means[] = {
    {"user_sustained_0", "20,000 spans in a row without attributes, nothing pinned", false, USER_SPAN0, 20000,
     1},
    {"user_sustained_3", "20,000 spans in a row with 3 attributes, nothing pinned", false, USER_SPAN3, 20000,
     1},
    {"user_thousand_0", "1,000 spans in a row without attributes, nothing pinned", false, USER_SPAN0, 1000,
     1},
    {"user_thousand_3", "1,000 spans in a row with 3 attributes, nothing pinned", false, USER_SPAN3, 1000, 1},
    {"user_burst_0", "400 spans in a row without attributes, nothing pinned", false, USER_SPAN0, 400, 1},
    {"user_burst_3", "400 spans in a row with 3 attributes, nothing pinned", false, USER_SPAN3, 400, 1},
    {"user_sustained_path6", "3,333 declared paths of six spans in a row, nothing pinned", false, USER_PATH6,
     3333, 1},
    {"user_thousand_path6", "167 declared paths of six spans in a row, nothing pinned", false, USER_PATH6,
     167, 1},
    {"user_burst_path6", "67 declared paths of six spans in a row, nothing pinned", false, USER_PATH6, 67, 1},
    {"user_advised_sustained_0", "as user_sustained_0, with two CPUs chosen", true, USER_SPAN0, 20000, 1},
    {"user_advised_sustained_3", "as user_sustained_3, with two CPUs chosen", true, USER_SPAN3, 20000, 1},
    {"user_advised_thousand_0", "as user_thousand_0, with two CPUs chosen", true, USER_SPAN0, 1000, 1},
    {"user_advised_thousand_3", "as user_thousand_3, with two CPUs chosen", true, USER_SPAN3, 1000, 1},
    {"user_advised_burst_0", "as user_burst_0, with two CPUs chosen", true, USER_SPAN0, 400, 1},
    {"user_advised_burst_3", "as user_burst_3, with two CPUs chosen", true, USER_SPAN3, 400, 1},
    {"user_advised_sustained_path6", "as user_sustained_path6, with two CPUs chosen", true, USER_PATH6, 3333,
     1},
    {"user_advised_thousand_path6", "as user_thousand_path6, with two CPUs chosen", true, USER_PATH6, 167, 1},
    {"user_advised_burst_path6", "as user_burst_path6, with two CPUs chosen", true, USER_PATH6, 67, 1},
    {"user_advised_sustained_trace6", "the spans of user_advised_sustained_path6 by ordinary calls", true,
     USER_TRACE6, 3333, 1},
};

static const subject singles[] = {
    {"user_tail_sustained_0", "20,000 spans without attributes, nothing pinned", false, USER_SPAN0, 20000, 1},
    {"user_tail_sustained_3", "20,000 spans with 3 attributes, nothing pinned", false, USER_SPAN3, 20000, 1},
    {"user_tail_burst_3", "400 spans with 3 attributes, nothing pinned", false, USER_SPAN3, 400, 1},
    {"user_tail_threads_3", "4 threads, each 5,000 spans with 3 attributes in a row, nothing pinned", false,
     USER_SPAN3, 5000, 4},
    {"user_advised_tail_sustained_0", "as user_tail_sustained_0, with two CPUs chosen", true, USER_SPAN0,
     20000, 1},
    {"user_advised_tail_sustained_3", "as user_tail_sustained_3, with two CPUs chosen", true, USER_SPAN3,
     20000, 1},
    {"user_advised_tail_burst_3", "as user_tail_burst_3, with two CPUs chosen", true, USER_SPAN3, 400, 1},
};

// The default ring holds fewer than 20,000 spans.
static const user_setting long_ring = {"NSP_RING_BYTES", "4 MiB"};

// ---- the state of the machine in a round ----

// Adds what is known of the rounds as a whole.
static void add_states(const user_page *page, bench_result *out)
{
    static double distance[USER_ROUNDS];
    size_t counted = 0, looks = 0;
    for (unsigned i = 0; i < page->task.rounds; i++) {
        counted += !page->round[i].lost;
        if (!isnan(page->round[i].distance))
            distance[looks++] = page->round[i].distance;
    }
    rounds_note(out, counted, page->task.rounds);
    if (looks != 0)
        result_add_estimate(out, "distance_ns", estimate_median(distance, looks));
}

// ---- means ----

static void report_means(const user_page *page, bench_result *out)
{
    static double ratio[USER_ROUNDS], plain[USER_ROUNDS], ns[USER_ROUNDS], additions[USER_ROUNDS];
    size_t count = 0;
    for (unsigned i = 0; i < page->task.rounds; i++) {
        const user_round *round = &page->round[i];
        if (round->lost)
            continue;
        ns[count] = round->span;
        plain[count] = round->span / round->plain;
        additions[count] = round->noise.additions;
        ratio[count++] = round->span / round->noise.two_reads;
    }
    result_add_estimate(out, "ratio", estimate_median(ratio, count));
    result_add_estimate(out, "to_plain", estimate_median(plain, count));
    result_add_estimate(out, "span_ns", estimate_median(ns, count));
    result_add(out, "p10_ns", quantile(ns, count, 0.1));
    result_add(out, "p90_ns", quantile(ns, count, 0.9));
    rounds_by_core(out, rounds_core, ratio, additions, count);
}

// ---- single operations ----

// The operations of a round, of all threads.
static size_t operations(const user_task *task)
{
    return task->in_a_row * task->threads;
}

// Copies the ticks of the chosen rounds to the buffer, and sorts them. quiet_only: of those that had the core
// to themselves.
static size_t gather(const user_page *page, const uint32_t *ticks, bool quiet_only, uint32_t *to)
{
    size_t count = 0, each = operations(&page->task);
    for (unsigned i = 0; i < page->task.rounds; i++) {
        if (page->round[i].lost || (quiet_only && !noise_core_alone(page->round[i].noise.additions)))
            continue;
        memcpy(to + count, ticks + i * each, each * sizeof *to);
        count += each;
    }
    sort_u32(to, count);
    return count;
}

static void report_single(const user_page *page, bench_result *out)
{
    static uint32_t buffer[USER_SAMPLES];
    static const struct {
        const char *name, *empty, *quiet;
        double part;
    } points[] = {{"p50_ns", NULL, NULL, 0.5},
                  {"p99_ns", "empty_p99_ns", "core_alone_p99_ns", 0.99},
                  {"p99.9_ns", "empty_p99.9_ns", "core_alone_p99.9_ns", 0.999},
                  {"p99.99_ns", "empty_p99.99_ns", "core_alone_p99.99_ns", 0.9999}};
    enum { POINTS = sizeof points / sizeof points[0] };
    const uint32_t *sources[] = {page->subject, page->empty, page->subject};
    size_t counts[3];
    for (int part = 0; part < 3; part++) {
        size_t count = counts[part] = gather(page, sources[part], part == 2, buffer);
        for (size_t p = 0; p < POINTS; p++) {
            const char *name = part == 0 ? points[p].name : part == 1 ? points[p].empty : points[p].quiet;
            if (name != NULL)
                result_add(out, name,
                           count != 0 ? percentile(buffer, count, points[p].part) * page->tick_ns : NAN);
        }
        if (part < 2 && count != 0)
            distribution_plot(out, "single operations of a user's program",
                              part == 0 ? out->name : "empty harness", buffer, count, page->tick_ns);
    }
    rounds_judged_by_core(out);
    result_add(out, "core_alone_percent", 100.0 * (double)counts[2] / (double)counts[0]);
}

// ---- the groups ----

static const user_page *run(const subject *the, user_job job, unsigned rounds, const bench_setup *setup,
                            bench_result *out)
{
    char cpu[16];
    snprintf(cpu, sizeof cpu, "%d", setup->collector_cpu);
    user_setting settings[USER_SETTINGS] = {{NULL, NULL}};
    size_t count = 0;
    if (the->in_a_row > 1000)
        settings[count++] = long_ring;
    if (the->advised && setup->collector_cpu >= 0)
        settings[count++] = (user_setting){"NSP_COLLECTOR_CPUS", cpu};
    user_task task = {.job = job,
                      .operation = the->operation,
                      .traced = true,
                      .in_a_row = the->in_a_row,
                      .threads = the->threads,
                      .rounds = rounds,
                      .pin_to = the->advised ? setup->hot_cpu : -1,
                      .collector_cpu = the->advised ? setup->collector_cpu : -1};
    return user_run(&task, settings, setup, out);
}

static void measure_means(size_t index, const bench_setup *setup, bench_result *out)
{
    unsigned rounds = setup->rounds < USER_ROUNDS ? setup->rounds : USER_ROUNDS;
    const user_page *page = run(&means[index], USER_MEANS, rounds, setup, out);
    if (page == NULL)
        return;
    report_means(page, out);
    add_states(page, out);
}

static void measure_singles(size_t index, const bench_setup *setup, bench_result *out)
{
    // As many operations with --quick as the last percentile needs, 30 of which lie beyond it.
    size_t all = setup->quick ? 300000 : USER_SAMPLES;
    size_t rounds = all / (singles[index].in_a_row * singles[index].threads);
    const user_page *page =
        run(&singles[index], USER_SINGLE, rounds < USER_ROUNDS ? (unsigned)rounds : USER_ROUNDS, setup, out);
    if (page == NULL)
        return;
    report_single(page, out);
    add_states(page, out);
}

BENCH_DESCRIBE_AS(describe_means, means, sizeof means / sizeof means[0])
BENCH_DESCRIBE_AS(describe_singles, singles, sizeof singles / sizeof singles[0])

const bench_group group_user = {
    .name = "as users meet it",
    .method =
        "a program with the shared library that sends to a receiver on the other CPU; after each round a "
        "flush and 100 us of sleep; every round counts in which no span was lost; ratio to two clock reads "
        "(2T) timed in the same round; core_alone: the ratio where nothing else used the core",
    .describe = describe_means,
    .measure = measure_means,
};

const bench_group group_user_tails = {
    .name = "as users meet it, single operations",
    .method =
        "the same program, each operation timed alone, including fences; percentiles of all operations of "
        "all rounds in which no span was lost; core_alone: of the rounds where nothing else used the core",
    .describe = describe_singles,
    .measure = measure_singles,
};
