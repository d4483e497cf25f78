// SPDX-License-Identifier: Apache-2.0
//
// Single operations at low rates, open loop: each one has a time at which it is due, and counts from there.
// Until then the thread reads the clock, like one that waits for the market. The longer it waits, the more of
// what an operation touches has left the caches and the processor's tables of pages. Between two operations,
// the empty harness takes its turn.
#include "harness/distribution.h"
#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"

enum { OPERATIONS_MOST = 10000 };

static const struct {
    const char *name, *what, *operation;
    unsigned per_second, seconds;
} subjects[] = {
    {"by_rate_100", "100 spans with 3 attributes a second", "span3", 100, 4},
    {"by_rate_1000", "1,000 spans a second", "span3", 1000, 2},
    {"by_rate_10000", "10,000 spans a second", "span3", 10000, 1},
    {"by_rate_unsampled_100", "100 roots a second that are not sampled, 3 setters", "unsampled3", 100, 4},
    {"by_rate_unsampled_1000", "1,000 of these a second", "unsampled3", 1000, 2},
    {"by_rate_unsampled_10000", "10,000 of these a second", "unsampled3", 10000, 1},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static struct {
    uint32_t subject[OPERATIONS_MOST], empty[OPERATIONS_MOST]; // ticks since they were due
    double ns[OPERATIONS_MOST], service[OPERATIONS_MOST]; // of the subject: since it was due, since it began
    double additions[OPERATIONS_MOST];                    // bench_noise.additions after it
} taken;

// Returns the ticks from when it was due, and stores those from when it began.
static uint32_t run_at(uint64_t due, void (*run)(size_t), uint64_t *service)
{
    uint64_t begin, end;
    while ((begin = nsp__counter_read()) < due)
        ;
    run(1);
    end = ticks_fenced();
    *service = end - begin;
    return end - due < UINT32_MAX ? (uint32_t)(end - due) : UINT32_MAX;
}

// Returns how many operations there were.
static size_t run_operations(const bench_operation *operation, size_t count, double per_second,
                             const bench_setup *setup, bench_result *out)
{
    uint64_t step = (uint64_t)(1e9 / per_second / ticks_ns()), due = ticks_fenced() + step;
    uint64_t service;
    size_t i = 0;
    for (; i < count && setup->rounds != 0; i++, due += step) {
        taken.subject[i] = run_at(due, operation->run, &service);
        taken.service[i] = (double)service * ticks_ns();
        taken.additions[i] = noise_look().additions; // touches no memory, and ends before the next turn
        taken.empty[i] = run_at(due + step / 2, run_empty, &service);
        taken.ns[i] = taken.subject[i] * ticks_ns();
        if (i % (count / 100) == 0)
            progress(out, (unsigned)i, (unsigned)count);
    }
    return i;
}

static void report(size_t count, bench_result *out)
{
    static const round_names core = {"core_alone_service_p50_ns", "core_alone_percent",
                                     "core_shared_service_p50_ns"};
    rounds_note(out, count, count);
    result_add_estimate(out, "p50_ns", estimate_median(taken.ns, count));
    result_add(out, "p90_ns", quantile(taken.ns, count, 0.9));
    if (count >= 1000)
        result_add(out, "p99_ns", quantile(taken.ns, count, 0.99));
    result_add(out, "max_ns", quantile(taken.ns, count, 1));
    result_add_estimate(out, "service_p50_ns", estimate_median(taken.service, count));
    result_add(out, "service_p90_ns", quantile(taken.service, count, 0.9));
    sort_u32(taken.subject, count);
    sort_u32(taken.empty, count);
    result_add(out, "empty_p50_ns", percentile(taken.empty, count, 0.5) * ticks_ns());
    result_add(out, "empty_p90_ns", percentile(taken.empty, count, 0.9) * ticks_ns());
    rounds_by_core(out, core, taken.service, taken.additions, count);
    distribution_plot(out, "single operations at low rates", out->name, taken.subject, count, ticks_ns());
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const bench_operation *operation = operation_find(subjects[index].operation);
    unsigned seconds_in_quarters = subjects[index].seconds * (setup->quick ? 1 : 4);
    size_t count = (size_t)subjects[index].per_second * seconds_in_quarters / 4;
    if (!operation_begin(operation, setup, out))
        return;
    count = run_operations(operation, count, subjects[index].per_second, setup, out);
    if (count != 0)
        report(count, out);
    operation_end(operation, out);
}

BENCH_DESCRIBE(subjects, SUBJECTS)

const bench_group group_rate = {
    .name = "low rates",
    .method =
        "single operations at intended times, while the thread spins on the clock in between; latency from "
        "when each was due, and service time from when it began, including a fence; rounds: operations; "
        "core_alone: where nothing else used the core",
    .describe = describe,
    .measure = measure,
};
