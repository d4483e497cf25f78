// SPDX-License-Identifier: Apache-2.0
//
// How the cost of a span, to the thread that records it and to the collector, grows with the number of rings,
// names and attributes and with the rate. The collector's share is measured in invoker mode, on the same CPU.
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <nanospan/nanospan.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "pipeline/bursts.h"
#include "pipeline/load.h"

enum { BURST = 500 };
static const char ns_a_span[] = "ns per span";

static unsigned rounds_of(const bench_setup *setup)
{
    return setup->rounds > 41 ? 41 : setup->rounds;
}

// Adds passes of the collector over what run(count) left in the ring, in ns per span; with count 0, passes
// over empty rings, in ns per pass.
static void drains_add(burst_rounds *to, void (*run)(size_t), size_t count, const bench_setup *setup,
                       bench_result *out)
{
    for (unsigned i = 0; i < rounds_of(setup); i++) {
        noise_pause();
        run(count);
        bench_noise noise = noise_look();
        uint64_t start = ticks_fenced();
        size_t spans = nsp_do_work(SIZE_MAX);
        double ns = (double)(ticks_fenced() - start) * ticks_ns() / (count != 0 ? (double)count : 1);
        to->measured++;
        bursts_add_one(to, ns, noise_mean(noise, noise_look()));
        if (spans != count)
            result_fail(out, "a pass took %zu spans of %zu out of the ring", spans, count);
    }
}

static burst_rounds rounds;

static void rounds_clear(void)
{
    rounds.count = rounds.measured = 0;
}

// Medians of bursts while the collector works on the other CPU.
static burst_cost hot_cost(const bench_setup *setup, void (*run)(size_t), bench_result *out)
{
    if (!session_start(setup, NSP_COLLECTOR_THREAD, NULL, out))
        return burst_cost_unknown;
    run(64);
    rounds_clear();
    bursts_add(&rounds, run, BURST, 1, LOSES_NOTHING, rounds_of(setup), setup, out);
    session_end(out);
    return bursts_cost(&rounds, out);
}

static burst_cost drain_cost(const bench_setup *setup, void (*run)(size_t), bench_result *out)
{
    if (!session_start(setup, NSP_COLLECTOR_INVOKER, NULL, out))
        return burst_cost_unknown;
    run(BURST);
    nsp_do_work(SIZE_MAX);
    rounds_clear();
    drains_add(&rounds, run, BURST, setup, out);
    session_end(out);
    return bursts_cost(&rounds, out);
}

// ---- names ----

enum { NAMES_MOST = 6000 }; // leaves some room for other names in the process's table
static nsp_name names[NAMES_MOST];
static size_t name_count;

static __attribute__((noinline)) void run_names(size_t count)
{
    static size_t next;
    for (size_t i = 0; i < count; i++) {
        next = next + 1 < name_count ? next + 1 : 0;
        nsp_span *span = nsp_span_begin(names[next]);
        nsp_span_set_i64(span, names[name_count - 1 - next], (int64_t)i);
        nsp_span_end(span);
    }
}

static void intern_names(void)
{
    for (int i = 0; i < NAMES_MOST; i++) {
        char text[32];
        int length = snprintf(text, sizeof text, "growth.name.%d", i);
        names[i] = nsp_intern(text, (size_t)length);
    }
}

static void grow_names(const bench_setup *setup, bench_result *out)
{
    static const size_t counts[] = {1, 10, 100, 1000, NAMES_MOST};
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    bench_series *hot = result_add_series(out, "names", "recording", "names in use", ns_a_span);
    bench_series *drain = result_add_series(out, "names", "drain and encode", "names in use", ns_a_span);
    burst_cost first = burst_cost_unknown, last = first, first_drain = first, last_drain = first;
    intern_names();
    for (size_t i = 0; i < COUNTS; i++) {
        progress(out, (unsigned)i, COUNTS);
        name_count = counts[i];
        last = hot_cost(setup, run_names, out);
        series_add(hot, (double)name_count, last.ns);
        last_drain = drain_cost(setup, run_names, out);
        series_add(drain, (double)name_count, last_drain.ns);
        first = i == 0 ? last : first;
        first_drain = i == 0 ? last_drain : first_drain;
    }
    progress(out, COUNTS, COUNTS);
    result_add_estimate(out, "least_span_ns", first.ns);
    result_add_estimate(out, "most_span_ns", last.ns);
    result_add_estimate(out, "least_drain_ns", first_drain.ns);
    result_add_estimate(out, "most_drain_ns", last_drain.ns);
}

// ---- attributes ----

enum { ATTRIBUTES_MOST = 16 };
static nsp_name keys[ATTRIBUTES_MOST];
static unsigned attribute_count;

static __attribute__((noinline)) void run_attributes(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("attributes"));
        for (unsigned k = 0; k < attribute_count; k++)
            nsp_span_set_i64(span, keys[k], (int64_t)i);
        nsp_span_end(span);
    }
}

static void grow_attributes(const bench_setup *setup, bench_result *out)
{
    static const unsigned counts[] = {0, 1, 2, 4, 8, 12, 16};
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    bench_series *hot = result_add_series(out, "span size", "recording", "attributes", ns_a_span);
    bench_series *drain = result_add_series(out, "span size", "drain and encode", "attributes", ns_a_span);
    burst_cost none = burst_cost_unknown, hot0 = none, drain0 = none, cost = none, drained = none;
    for (int k = 0; k < ATTRIBUTES_MOST; k++) {
        char text[16];
        keys[k] = nsp_intern(text, (size_t)snprintf(text, sizeof text, "key%d", k));
    }
    for (size_t i = 0; i < COUNTS; i++) {
        progress(out, (unsigned)i, COUNTS);
        attribute_count = counts[i];
        cost = hot_cost(setup, run_attributes, out);
        series_add(hot, counts[i], cost.ns);
        drained = drain_cost(setup, run_attributes, out);
        series_add(drain, counts[i], drained.ns);
        hot0 = i == 0 ? cost : hot0;
        drain0 = i == 0 ? drained : drain0;
    }
    progress(out, COUNTS, COUNTS);
    result_add_estimate(out, "least_span_ns", hot0.ns);
    result_add_estimate(out, "most_span_ns", cost.ns);
    result_add_estimate(out, "least_drain_ns", drain0.ns);
    result_add_estimate(out, "most_drain_ns", drained.ns);
    result_add(out, "attribute_ns", (cost.ns.value - hot0.ns.value) / ATTRIBUTES_MOST);
    result_add(out, "attribute_drain_ns", (drained.ns.value - drain0.ns.value) / ATTRIBUTES_MOST);
}

// ---- rings ----

enum { RINGS_MOST = 64 };

// Threads that have a ring, but record nothing.
typedef struct idlers {
    pthread_t threads[RINGS_MOST];
    unsigned count;
    pthread_barrier_t attached, leave;
} idlers;

static void *idle(void *argument)
{
    idlers *all = argument;
    nsp_thread_attach(NULL);
    pthread_barrier_wait(&all->attached);
    pthread_barrier_wait(&all->leave);
    return NULL;
}

static void idlers_start(idlers *all, unsigned count)
{
    all->count = count;
    pthread_barrier_init(&all->attached, NULL, count + 1);
    pthread_barrier_init(&all->leave, NULL, count + 1);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&all->threads[i], NULL, idle, all) != 0) {
            perror("nanospan-bench: an idle thread");
            _Exit(1);
        }
    pthread_barrier_wait(&all->attached);
}

static void idlers_end(idlers *all)
{
    pthread_barrier_wait(&all->leave);
    for (unsigned i = 0; i < all->count; i++)
        pthread_join(all->threads[i], NULL);
    pthread_barrier_destroy(&all->attached);
    pthread_barrier_destroy(&all->leave);
}

static void grow_rings(const bench_setup *setup, bench_result *out)
{
    static const unsigned counts[] = {1, 2, 4, 8, 16, 32, RINGS_MOST};
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    const bench_operation *operation = operation_find("span3");
    bench_series *empty =
        result_add_series(out, "empty rings", "a pass of the collector", "rings", "ns per pass");
    bench_series *drain =
        result_add_series(out, "rings", "drain and encode, one ring in use", "rings", ns_a_span);
    burst_cost none = burst_cost_unknown, pass1 = none, pass = none, drain1 = none, drained = none;
    for (size_t i = 0; i < COUNTS; i++) {
        static idlers others;
        progress(out, (unsigned)i, COUNTS);
        if (!session_start(setup, NSP_COLLECTOR_INVOKER, NULL, out))
            return;
        idlers_start(&others, counts[i] - 1);
        operation->run(BURST);
        nsp_do_work(SIZE_MAX);
        rounds_clear();
        drains_add(&rounds, operation->run, 0, setup, out);
        pass = bursts_cost(&rounds, out);
        series_add(empty, counts[i], pass.ns);
        rounds_clear();
        drains_add(&rounds, operation->run, BURST, setup, out);
        drained = bursts_cost(&rounds, out);
        series_add(drain, counts[i], drained.ns);
        idlers_end(&others);
        session_end(out);
        pass1 = i == 0 ? pass : pass1;
        drain1 = i == 0 ? drained : drain1;
    }
    progress(out, COUNTS, COUNTS);
    result_add_estimate(out, "least_pass_ns", pass1.ns);
    result_add_estimate(out, "most_pass_ns", pass.ns);
    result_add(out, "empty_ring_ns", (pass.ns.value - pass1.ns.value) / (RINGS_MOST - 1));
    result_add_estimate(out, "least_drain_ns", drain1.ns);
    result_add_estimate(out, "most_drain_ns", drained.ns);
}

// ---- rate ----

// Open loop on the measured CPU: bursts of 16, each at its intended time. The figure is the mean over all
// bursts, so that it includes interruptions, and the median of several runs.
static void grow_rate(const bench_setup *setup, bench_result *out)
{
    static const double rates[] = {1e4, 1e5, 3e5, 1e6, 2e6, 4e6};
    enum { COUNTS = sizeof rates / sizeof rates[0], RUNS = 7 };
    bench_series *hot = result_add_series(out, "rate", "recording", "spans/s", ns_a_span);
    estimate first = {NAN, NAN, NAN}, last = first;
    uint64_t refused = 0, tried = 0;
    for (size_t i = 0; i < COUNTS && setup->rounds != 0; i++) {
        double ns[RUNS];
        size_t runs = 0;
        progress(out, (unsigned)i, COUNTS);
        for (; runs < (setup->quick ? 3 : RUNS); runs++) {
            load_options how = {.operation = operation_find("span3"),
                                .pace = LOAD_RATE,
                                .threads = 1,
                                .rate = rates[i],
                                .seconds = 0.15,
                                .cpu = setup->hot_cpu};
            load_outcome load;
            pipeline_options options = {.pinned = true};
            if (!pipeline_start(setup, &options, out))
                return;
            bool fine = load_run(&how, &load, out);
            session_end(out);
            if (!fine)
                return;
            ns[runs] = (double)load.busy_ns / (double)load.spans;
            refused += out->stats.roots_refused + out->stats.dropped;
            tried += load.spans;
        }
        last = estimate_median(ns, runs);
        series_add(hot, rates[i], last);
        first = i == 0 ? last : first;
        out->rounds += (unsigned)runs;
    }
    progress(out, COUNTS, COUNTS);
    result_add_estimate(out, "least_span_ns", first);
    result_add_estimate(out, "most_span_ns", last);
    result_add(out, "lost_share", (double)refused / (double)tried);
}

// ---- the group ----

static const struct {
    const char *name, *what;
    void (*measure)(const bench_setup *setup, bench_result *out);
} subjects[] = {
    {"by_rings", "a pass of the collector: 1 to 64 rings, all but one idle", grow_rings},
    {"by_names", "1 to 6000 names and as many keys in turn; an attribute each", grow_names},
    {"by_attributes", "0 to 16 integer attributes", grow_attributes},
    {"by_rate", "10 thousand to 4 million spans a second, open loop", grow_rate},
};

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    subjects[index].measure(setup, out);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_growth = {
    .name = "growth",
    .method = "how the cost grows: recording in bursts as in the hot path group; drain and encode on the "
              "same CPU, with the contents of the ring still in its caches",
    .describe = describe,
    .measure = measure,
};
