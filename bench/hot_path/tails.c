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

enum { SAMPLES = 20000, BURST_LEAST = 100, ROUNDS = 31, QUICK_ROUNDS = 15, OPERATIONS_MAX = 64 };

// The smallest base for the ratio of a tail: below it, one timer interrupt more or less would decide.
static const double base_least_ns = 100;

// A round: its samples, in ticks, and what else the machine did.
typedef struct tail_round {
    uint32_t empty[SAMPLES], subject[SAMPLES];
    double additions; // the median of a look after each step, in ns
    double distance;  // of the collector's CPU, in ns; NAN: not known
} tail_round;
static tail_round rounds_of[ROUNDS];

// Small bursts, so that the collector keeps up, and each look at the machine is close to what was timed.
static size_t burst_of(const bench_operation *operation)
{
    return operation->spans == 1 ? 250 : BURST_LEAST;
}

// One step of a round, A B B A. False if spans were lost in it.
static bool measure_step(const bench_operation *operation, uint32_t *empty, uint32_t *subject)
{
    const bool session = operation->state != DISABLED;
    size_t burst = burst_of(operation);
    operation_time(operation, 32);
    operation_before(operation, 2 * burst);
    ticks_each(run_empty, empty, burst); // warms up the harness
    uint64_t losses = session ? session_losses() : 0;
    ticks_each(run_empty, empty, burst);
    ticks_each(operation->run, subject, burst);
    ticks_each(operation->run, subject + burst, burst);
    ticks_each(run_empty, empty + burst, burst);
    bool lossless = !session || session_losses() - losses == operation_losses(operation, 2 * burst);
    operation_after(operation);
    return lossless;
}

// False if spans were lost in the round.
static bool measure_round(const bench_operation *operation, tail_round *out, bench_result *result)
{
    bool lossless = true;
    size_t burst = burst_of(operation), looks = 0;
    double additions[SAMPLES / 2 / BURST_LEAST];
    out->distance = distance_look();
    for (size_t done = 0; done < SAMPLES; done += 2 * burst) {
        noise_pause();
        // The collector drains meanwhile, as it does in production; the ring stays well below its watermark.
        if (operation->state == SAMPLED && !session_drained_to(session_ring_bytes() / 4)) {
            result_fail(result, "the collector did not drain the ring");
            return false;
        }
        lossless &= measure_step(operation, out->empty + done, out->subject + done);
        additions[looks++] = noise_look().additions;
    }
    out->additions = estimate_median(additions, looks).value;
    return lossless;
}

static const struct {
    const char *name, *empty_name, *ratio_name;
    double part;
} points[] = {{"p50_ns", NULL, NULL, 0.5},
              {"p90_ns", NULL, NULL, 0.9},
              {"p99_ns", NULL, NULL, 0.99},
              {"p99.9_ns", "empty_p99.9_ns", "p99.9", 0.999},
              {"p99.99_ns", "empty_p99.99_ns", "p99.99", 0.9999}};
enum { POINTS = sizeof points / sizeof points[0], P999 = 3 };

static const round_names core_p999 = {"core_alone_p99.9_ns", "core_alone_percent", "core_shared_p99.9_ns"};
static const round_names distance_p999 = {"near_p99.9_ns", "near_percent", "far_p99.9_ns"};

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
    static double at[POINTS][ROUNDS], empty_at[POINTS][ROUNDS], ratio[POINTS][ROUNDS], distance[ROUNDS],
        additions[ROUNDS];
    for (size_t i = 0; i < rounds; i++) {
        sort_u32(rounds_of[i].empty, SAMPLES);
        sort_u32(rounds_of[i].subject, SAMPLES);
        distance[i] = rounds_of[i].distance;
        additions[i] = rounds_of[i].additions;
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
    rounds_by_core(out, core_p999, at[P999], additions, rounds);
    rounds_by_distance(out, distance_p999, at[P999], distance, rounds);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const bench_operation *operation = &operations[index];
    if (!operation_begin(operation, setup, out))
        return;
    unsigned most = setup->quick ? QUICK_ROUNDS : ROUNDS, done = 0, lossless = 0;
    if (setup->rounds < most)
        most = setup->rounds;
    if (operation->state == SAMPLED) // other operations share no cache lines with the collector
        distance_start(setup->collector_cpu);
    while (done < most && setup->rounds != 0 && out->problem[0] == '\0') {
        lossless += measure_round(operation, &rounds_of[lossless], out);
        progress(out, ++done, most);
    }
    distance_stop();
    rounds_note(out, lossless, done);
    if (lossless != 0)
        report(operation->name, lossless, out);
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
    .method =
        "each operation timed alone, including fences; medians of rounds of 20,000, maximum of all; p99.9 "
        "and p99.99 are ratios to those of the empty harness, which count as at least 100 ns; core_alone, "
        "near: "
        "p99.9 of rounds where nothing else used the core, or the collector's CPU was near",
    .describe = describe,
    .measure = measure,
};
