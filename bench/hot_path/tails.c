// SPDX-License-Identifier: Apache-2.0
//
// The distribution of single operations: each one is timed by itself, and compared with an empty harness. The
// steps of the counter (about 10 ns on many virtual machines) make the middle of the distribution coarse; it
// is meant to show the tail.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/distance.h"
#include "harness/distribution.h"
#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"

enum { SAMPLES = 20000, ROUNDS = 31, QUICK_ROUNDS = 15, OPERATIONS_MAX = 64 };

// The smallest base for the ratio of a tail: below it, one timer interrupt more or less would decide.
static const double base_least_ns = 100;

// The samples of a round, in ticks.
typedef struct samples {
    uint32_t empty[SAMPLES], subject[SAMPLES];
    double distance; // of the collector's CPU, in ns; NAN: not known
} samples;
static samples rounds_of[ROUNDS];

// Small bursts, so that a step ends before the noise of the machine changes.
static size_t burst_of(const bench_operation *operation)
{
    return operation->spans == 1 ? 250 : 100;
}

// One step of a round, A B B A, at a moment when the machine is quiet. True if it is valid.
static bool measure_step(const bench_operation *operation, uint32_t *empty, uint32_t *subject)
{
    const bool session = operation->state != DISABLED;
    size_t burst = burst_of(operation);
    operation_time(operation, 32);
    operation_before(operation, 2 * burst);
    ticks_each(run_empty, empty, burst); // warms up the harness
    uint64_t losses = session ? session_losses() : 0;
    long switches = noise_switches();
    ticks_each(run_empty, empty, burst);
    ticks_each(operation->run, subject, burst);
    ticks_each(operation->run, subject + burst, burst);
    ticks_each(run_empty, empty + burst, burst);
    bool undisturbed = noise_switches() == switches &&
                       (!session || session_losses() - losses == operation_losses(operation, 2 * burst));
    operation_after(operation);
    return undisturbed && noise_accepts(noise_look());
}

// Runs steps until there are enough samples. False if the patience runs out.
static bool measure_steps(const bench_operation *operation, const bench_setup *setup, double *patience,
                          samples *out, bench_result *result)
{
    for (size_t done = 0; done < SAMPLES;) {
        // The collector drains meanwhile, as it does in production; the ring stays well below its watermark.
        if (operation->state == SAMPLED && !session_drained_to(session_ring_bytes() / 4)) {
            result_fail(result, "the collector did not drain the ring");
            return false;
        }
        if (setup->rounds == 0 || !noise_wait(patience))
            return false;
        uint64_t from = ticks_fenced();
        if (measure_step(operation, out->empty + done, out->subject + done)) {
            done += 2 * burst_of(operation);
        } else {
            result->invalid++;
            *patience -= (double)(ticks_fenced() - from) * ticks_ns() / 1e9;
        }
    }
    return true;
}

// Repeats a round until the collector's CPU was near both before and after it.
static bool measure_round(const bench_operation *operation, const bench_setup *setup, double *patience,
                          samples *out, bench_result *result)
{
    for (;;) {
        uint64_t from = ticks_fenced();
        out->distance = distance_wait(patience);
        if (!measure_steps(operation, setup, patience, out, result))
            return false;
        double behind = distance_look();
        if (distance_accepts(out->distance) && distance_accepts(behind))
            return true;
        result->invalid += (unsigned)(SAMPLES / 2 / burst_of(operation));
        *patience -= (double)(ticks_fenced() - from) * ticks_ns() / 1e9;
    }
}

static const struct {
    const char *name, *empty_name, *ratio_name;
    double part;
} points[] = {{"p50_ns", NULL, NULL, 0.5},
              {"p90_ns", NULL, NULL, 0.9},
              {"p99_ns", NULL, NULL, 0.99},
              {"p99.9_ns", "empty_p99.9_ns", "p99.9", 0.999},
              {"p99.99_ns", "empty_p99.99_ns", "p99.99", 0.9999}};
enum { POINTS = sizeof points / sizeof points[0] };

// Plots the samples of all rounds together, and reports the longest. The empty harness needs only one line in
// the plot.
static void report_pool(const char *name, size_t rounds, bench_result *out)
{
    static uint32_t pool[ROUNDS * SAMPLES];
    static bool empty_drawn;
    for (int of_empty = !empty_drawn; of_empty >= 0; of_empty--) {
        for (size_t i = 0; i < rounds; i++)
            memcpy(pool + i * SAMPLES, of_empty ? rounds_of[i].empty : rounds_of[i].subject,
                   sizeof rounds_of[i].subject);
        sort_u32(pool, rounds * SAMPLES);
        distribution_plot(out, "single operations", of_empty ? "empty harness" : name, pool, rounds * SAMPLES,
                          ticks_ns());
    }
    empty_drawn = true;
    result_add(out, "max_ns", pool[rounds * SAMPLES - 1] * ticks_ns());
}

static void report(const char *name, size_t rounds, bench_result *out)
{
    static double at[POINTS][ROUNDS], empty_at[POINTS][ROUNDS], ratio[POINTS][ROUNDS], distance[ROUNDS];
    size_t looks = 0;
    for (size_t i = 0; i < rounds; i++) {
        sort_u32(rounds_of[i].empty, SAMPLES);
        sort_u32(rounds_of[i].subject, SAMPLES);
        if (!isnan(rounds_of[i].distance))
            distance[looks++] = rounds_of[i].distance;
        for (size_t p = 0; p < POINTS; p++) {
            at[p][i] = percentile(rounds_of[i].subject, SAMPLES, points[p].part) * ticks_ns();
            empty_at[p][i] = percentile(rounds_of[i].empty, SAMPLES, points[p].part) * ticks_ns();
            ratio[p][i] = at[p][i] / fmax(empty_at[p][i], base_least_ns);
        }
    }
    for (size_t p = 0; p < POINTS; p++)
        result_add(out, points[p].name, estimate_median(at[p], rounds).value);
    report_pool(name, rounds, out);
    for (size_t p = 0; p < POINTS; p++)
        if (points[p].empty_name != NULL)
            result_add(out, points[p].empty_name, estimate_median(empty_at[p], rounds).value);
    for (size_t p = 0; p < POINTS; p++)
        if (points[p].ratio_name != NULL)
            result_add_estimate(out, points[p].ratio_name, estimate_median(ratio[p], rounds));
    if (looks != 0)
        result_add(out, "distance_ns", estimate_median(distance, looks).value);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const bench_operation *operation = &operations[index];
    if (!operation_begin(operation, setup, out))
        return;
    unsigned most = setup->quick ? QUICK_ROUNDS : ROUNDS, done = 0;
    if (setup->rounds < most)
        most = setup->rounds;
    double patience = setup->quick ? 5 : 8;
    if (operation->state == SAMPLED) // other operations share no cache lines with the collector
        distance_start(setup->collector_cpu);
    while (done < most && measure_round(operation, setup, &patience, &rounds_of[done], out))
        progress(out, ++done, most);
    distance_stop();
    out->rounds = done;
    if (done < ROUNDS_LEAST)
        result_fail(out, "too noisy: %u rounds, %d are needed", done, ROUNDS_LEAST);
    if (done != 0)
        report(operation->name, done, out);
    operation_end(operation, out);
}

static bool describe(size_t index, bench_result *out)
{
    static char names[OPERATIONS_MAX][40];
    if (index >= operation_count || index >= OPERATIONS_MAX)
        return false;
    snprintf(names[index], sizeof names[0], "tail_%s", operations[index].name);
    out->name = names[index];
    out->what = operations[index].what;
    return true;
}

const bench_group group_tails = {
    .name = "single operations",
    .method = "each operation timed alone, including fences; medians of rounds of 20,000, maximum of all; "
              "p99.9 and "
              "p99.99 are ratios to those of the empty harness, which count as at least 100 ns; distance_ns: "
              "a cache "
              "line to the collector's CPU and back; invalid counts steps of rounds",
    .describe = describe,
    .measure = measure,
};
