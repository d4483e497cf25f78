// SPDX-License-Identifier: Apache-2.0
//
// Draining an engine from outside, beside draining it from inside: spans of one process that another one takes out
// and encodes, against spans that a process takes out and encodes itself. The passes alternate, so both meet the
// machine in the same state. What a span costs the engine then is measured by outside_cost.c.
#include <stdlib.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "harness/session.h"
#include "harness/ticks.h"
#include "pipeline/outside.h"

static burst_rounds inside, outside; // ns of a span

// ---- the engines ----

static void drain_oneself(const bench_setup *setup, engine_answer *out)
{
    pin_to(setup->hot_cpu);
    noise_pause();
    bench_noise noise = noise_look();
    uint64_t start = ticks_fenced();
    size_t spans = nsp_do_work(SIZE_MAX);
    out->ns = (double)(ticks_fenced() - start) * ticks_ns() / (double)spans;
    out->noise = noise_mean(noise, noise_look());
    out->lost = spans != out->spans;
}

// Fills two thirds of its ring, on the CPU where the records of an engine come from.
static void fill_and_drain(const engine_plan *plan, engine_answer *out)
{
    static uint64_t spans; // of each time
    const bool first = spans == 0;
    if (first) {
        plan->operation->run(1);
        spans = (uint64_t)((double)session_ring_bytes() / 1.5 / (double)session_published());
    }
    if (plan->setup->collector_cpu >= 0)
        pin_to(plan->setup->collector_cpu);
    plan->operation->run((size_t)spans - first);
    out->spans = spans;
    if (plan->config.collector == NSP_COLLECTOR_INVOKER)
        drain_oneself(plan->setup, out);
}

// ---- the passes ----

static void drain_other(nsp_drainer *drainer, uint64_t recorded, bench_result *out)
{
    noise_pause();
    bench_noise noise = noise_look();
    uint64_t start = ticks_fenced();
    uint64_t spans = nsp_drainer_work(drainer, NULL);
    double ns = (double)(ticks_fenced() - start) * ticks_ns() / (double)spans;
    if (spans != recorded)
        result_fail(out, "%llu of %llu spans were drained", (unsigned long long)spans,
                    (unsigned long long)recorded);
    bursts_add_one(&outside, ns, noise_mean(noise, noise_look()));
    outside.measured++;
}

static void passes(const engine *self, const engine *other, nsp_drainer *drainer, const bench_setup *setup,
                   bench_result *out)
{
    inside.count = inside.measured = outside.count = outside.measured = 0;
    for (unsigned pass = 0; pass < setup->rounds && out->problem[0] == 0; pass++) {
        engine_answer done;
        if (!engine_ask(self, &done, out))
            return;
        if (done.lost)
            result_fail(out, "the engine that drains itself has lost spans");
        bursts_add_one(&inside, done.ns, done.noise);
        inside.measured++;
        if (!engine_ask(other, &done, out))
            return;
        drain_other(drainer, done.spans, out);
        progress(out, pass + 1, setup->rounds);
    }
}

// Of passes that followed one another. None is ever left out.
static estimate share_of_inside(void)
{
    static double shares[ROUNDS_LIMIT];
    for (size_t i = 0; i < outside.count; i++)
        shares[i] = inside.ns[i] / outside.ns[i];
    return estimate_median(shares, outside.count);
}

static void report(bench_result *out)
{
    burst_cost from_inside = bursts_cost(&inside, out), from_outside = bursts_cost(&outside, out);
    const estimate *there = &from_outside.ns, *here = &from_inside.ns;
    result_add_estimate(out, "spans_per_s_millions",
                        (estimate){1000 / there->value, 1000 / there->high, 1000 / there->low});
    result_add_estimate(out, "inside_per_s_millions",
                        (estimate){1000 / here->value, 1000 / here->high, 1000 / here->low});
    result_add_estimate(out, "to_inside", share_of_inside());
    result_add_estimate(out, "ratio", from_outside.ratio);
    result_add_estimate(out, "inside_ratio", from_inside.ratio);
    rounds_by_core(out, rounds_core, outside.ratio, outside.additions, outside.count);
}

static void measure_drain(const bench_operation *operation, const bench_setup *setup, bench_result *out)
{
    engine_plan own = {.operation = operation, .setup = setup, .answer = fill_and_drain}, others = own;
    engine self = {-1, -1, -1}, other = self;
    nsp_config config;
    session_configure(setup, &config);
    own.config = others.config = config;
    own.config.collector = NSP_COLLECTOR_INVOKER;
    others.config.collector = NSP_COLLECTOR_EXTERNAL;
    others.config.custom_exporter = NULL;
    nsp_drainer *drainer = NULL;
    if (engine_start(&self, &own, out) && engine_start(&other, &others, out))
        drainer = engine_take_over(&others, &config, &exporter_nowhere, out);
    if (drainer != NULL) {
        nsp_drainer_work(drainer, NULL);
        passes(&self, &other, drainer, setup, out);
        if (out->problem[0] == 0 && outside.count != 0)
            report(out);
    }
    engine_stop(&self, &own);
    engine_stop(&other, &others);
    nsp_drainer_close(drainer, UINT64_C(1000000000));
}

// ---- the group ----

static const struct {
    const char *name, *what, *operation;
    void (*measure)(const bench_operation *operation, const bench_setup *setup, bench_result *out);
} subjects[] = {
    {"outside_0", "drain and encode, spans without attributes", "span0", measure_drain},
    {"outside_3", "drain and encode, 3 attributes", "span3", measure_drain},
    {"outside_8", "drain and encode, 8 attributes", "span8", measure_drain},
    {"external_0", "a span without attributes, for the engine", "span0", outside_cost_measure},
    {"external_3", "a span with 3 attributes, for the engine", "span3", outside_cost_measure},
};

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    subjects[index].measure(operation_find(subjects[index].operation), setup, out);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_outside = {
    .name = "outside",
    .method = "outside_: a process drains and encodes the spans of another one, and in alternating passes an "
              "engine its "
              "own, both on the same core, of records from another CPU; to_inside: the share of the engine's "
              "own speed. "
              "external_: bursts of spans of an engine that a drainer drains and sends from, in alternating "
              "rounds with "
              "an engine with a collector thread; cost_to_inside: the median of both costs' quotients. "
              "Medians; ratios "
              "are to two clock reads (2T) timed in the same round",
    .describe = describe,
    .measure = measure,
};
