// SPDX-License-Identifier: Apache-2.0
//
// How single operations spread: each one timed by itself, beside an empty harness. The counter's steps (about 10 ns on
// many virtual machines) make the middle of such a distribution coarse; the tail is what it is for.
#include <math.h>
#include <time.h>

#include "harness/noise.h"
#include "hot_path/operations.h"
#include "harness/session.h"
#include "harness/ticks.h"

enum { SAMPLES = 20000, ROUNDS = 31 };

static const char *const subjects[] = {"span0", "span3", "span8", "trace6_at", "detached", "unsampled3"};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

// The smallest tail that a ratio is taken to: under it, one timer interrupt more or less decides.
static const double base_least_ns = 100;

// Small bursts: the collector shall find the ring nearly empty, and not hurry.
static size_t burst_of(const bench_operation *operation)
{
    return operation->spans == 1 ? 250 : 50;
}

static void sample(void (*run)(size_t), uint32_t *out, size_t burst)
{
    for (size_t i = 0; i < burst; i++) {
        uint64_t start = ticks_fenced();
        run(1);
        uint64_t ticks = ticks_fenced() - start;
        out[i] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
    }
}

// A B B A: one step of a round. True if it counts.
static bool measure_step(const bench_operation *operation, uint32_t *empty, uint32_t *subject)
{
    size_t burst = burst_of(operation);
    uint64_t losses = session_losses();
    ticks_spin(20000);
    bench_noise noise = noise_look();
    operation->run(32);
    sample(run_empty, empty, burst); // to warm up the harness
    long switches = noise_switches();
    sample(run_empty, empty, burst);
    sample(operation->run, subject, burst);
    sample(operation->run, subject + burst, burst);
    sample(run_empty, empty + burst, burst);
    bool undisturbed = noise_switches() == switches && session_losses() == losses;
    return undisturbed && noise_accepts(noise_mean(noise, noise_look()));
}

// Steps until there are enough samples. False if the machine would not let us.
static bool measure_round(const bench_operation *operation, const bench_setup *setup, uint32_t *empty,
                          uint32_t *subject, bench_result *out)
{
    unsigned streak = 0;
    for (size_t done = 0; done < SAMPLES;) {
        if (streak != 0)
            noise_pause(streak);
        if (operation->state == SAMPLED && !session_drained())
            return false;
        if (measure_step(operation, empty + done, subject + done)) {
            done += 2 * burst_of(operation);
            streak = 0;
        } else {
            streak++;
            if (++out->invalid > setup->tries * 2)
                return false;
        }
    }
    sort_u32(empty, SAMPLES);
    sort_u32(subject, SAMPLES);
    return true;
}

static const struct {
    const char *name, *empty_name;
    double part;
} points[] = {{"p50_ns", NULL, 0.5},
              {"p90_ns", NULL, 0.9},
              {"p99_ns", NULL, 0.99},
              {"p99.9_ns", "empty_p99.9_ns", 0.999},
              {"p99.99_ns", "empty_p99.99_ns", 0.9999},
              {"max_ns", NULL, 1.0}};
enum { POINTS = sizeof points / sizeof points[0] };

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static uint32_t empty[SAMPLES], subject[SAMPLES];
    static double at[POINTS][ROUNDS], empty_at[POINTS][ROUNDS], ratio[POINTS][ROUNDS];
    const bench_operation *operation = operation_find(subjects[index]);
    if (!session_start(setup, NSP_COLLECTOR_THREAD, NULL, out))
        return;
    if (!operation_prepare(operation))
        result_fail(out, "cannot set the sample rate");
    unsigned rounds = setup->rounds < ROUNDS ? setup->rounds : ROUNDS, done = 0;
    while (done < rounds && measure_round(operation, setup, empty, subject, out)) {
        for (size_t p = 0; p < POINTS; p++) {
            at[p][done] = percentile(subject, SAMPLES, points[p].part) * ticks_ns();
            empty_at[p][done] = percentile(empty, SAMPLES, points[p].part) * ticks_ns();
            ratio[p][done] = at[p][done] / fmax(empty_at[p][done], base_least_ns);
        }
        progress(out, ++done, rounds);
    }
    out->rounds = done;
    if (done < ROUNDS_LEAST)
        result_fail(out, "too noisy: %u rounds, %d are needed", done, ROUNDS_LEAST);
    for (size_t p = 0; p < POINTS; p++)
        result_add(out, points[p].name, estimate_median(at[p], done).value);
    for (size_t p = 0; p < POINTS; p++)
        if (points[p].empty_name != NULL)
            result_add(out, points[p].empty_name, estimate_median(empty_at[p], done).value);
    result_add_estimate(out, "p99.9", estimate_median(ratio[3], done));
    result_add_estimate(out, "p99.99", estimate_median(ratio[4], done));
    session_end(out);
}

static bool describe(size_t index, bench_result *out)
{
    static const char *const names[SUBJECTS] = {"tail_span0",     "tail_span3",    "tail_span8",
                                                "tail_trace6_at", "tail_detached", "tail_unsampled3"};
    if (index >= SUBJECTS)
        return false;
    out->name = names[index];
    out->what = operation_find(subjects[index])->what;
    return true;
}

const bench_group group_tails = {
    .name = "single operations",
    .method = "each operation timed alone, fences included; medians of rounds of 20,000; p99.9 and p99.99 "
              "are ratios to the "
              "empty harness's, at least 100 ns; invalid counts steps",
    .describe = describe,
    .measure = measure,
};
