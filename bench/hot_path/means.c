// SPDX-License-Identifier: Apache-2.0
//
// The cost of a span to the thread that records it: bursts of an operation between bursts of two clock reads,
// A B B A. The collector, on another CPU, drains the ring between rounds.
#include <math.h>

#include "harness/distance.h"
#include "harness/noise.h"
#include "hot_path/operations.h"
#include "harness/session.h"
#include "harness/ticks.h"

enum { PLAIN = 400 }; // about 10 us

// By round. Times are nanoseconds per span.
typedef struct mean_rounds {
    double ratio[ROUNDS_LIMIT], to_plain[ROUNDS_LIMIT], span[ROUNDS_LIMIT], two_reads[ROUNDS_LIMIT],
        over[ROUNDS_LIMIT];
    double additions[ROUNDS_LIMIT], distance[ROUNDS_LIMIT]; // distance: NAN if irrelevant or unknown
    size_t count;
    double ring_bytes; // of a span; 0: nothing is recorded
} mean_rounds;

// About 20 us of the operation, and at most a quarter of the ring, because a round runs two bursts.
static size_t burst_size(const bench_operation *operation, double *ring_bytes)
{
    enum { TRIAL = 64, LEAST = 32, MOST = 65536 };
    const double wanted_ns = 20000;
    uint64_t from = operation->state == SAMPLED ? session_published() : 0;
    double ns = operation_time(operation, TRIAL);
    double size = wanted_ns / (ns > 0.1 ? ns : 0.1);
    if (operation->state == SAMPLED) {
        double bytes = (double)(session_published() - from) / TRIAL;
        *ring_bytes = bytes / operation->spans;
        double most = bytes > 0 ? (double)session_ring_bytes() / 4 / bytes : size;
        size = size < most ? size : most;
    }
    if (operation->burst_most != 0 && size > (double)operation->burst_most)
        size = (double)operation->burst_most;
    return size < LEAST ? LEAST : size > MOST ? MOST : (size_t)size;
}

// Adds a round, unless spans were lost in it.
static void measure_round(const bench_operation *operation, size_t burst, mean_rounds *out)
{
    bool session = operation->state != DISABLED;
    double distance = distance_look();
    noise_time(run_two_reads, 100); // warms up caches and branch predictors
    noise_time(run_plain, 100);
    operation_time(operation, 32);

    uint64_t losses = session ? session_losses() : 0;
    bench_noise noise = noise_look();
    double plain = noise_time(run_plain, PLAIN);
    double span = operation_time(operation, burst);
    double empty = noise_time(run_empty, burst);
    empty += noise_time(run_empty, burst);
    span += operation_time(operation, burst);
    plain += noise_time(run_plain, PLAIN);
    noise = noise_mean(noise, noise_look());
    if (session && session_losses() - losses != operation_losses(operation, 2 * burst))
        return;
    span = (span - (session ? 0 : empty)) / 2 / operation->spans;
    size_t i = out->count++;
    out->span[i] = span;
    out->ratio[i] = span / noise.two_reads;
    out->to_plain[i] = span / (plain / 2);
    out->two_reads[i] = noise.two_reads;
    out->over[i] = span - noise.two_reads;
    out->additions[i] = noise.additions;
    out->distance[i] = distance;
}

static void measure_rounds(const bench_operation *operation, const bench_setup *setup, mean_rounds *rounds,
                           bench_result *out)
{
    size_t burst = burst_size(operation, &rounds->ring_bytes);
    unsigned done = 0;
    for (; done < setup->rounds; done++) {
        noise_pause();
        if (operation->state == SAMPLED && !session_drained()) {
            result_fail(out, "the collector did not drain the ring");
            break;
        }
        measure_round(operation, burst, rounds);
        progress(out, done + 1, setup->rounds);
    }
    rounds_note(out, rounds->count, done);
}

static void report(const mean_rounds *in, bench_result *out)
{
    result_add_estimate(out, "ratio", estimate_median(in->ratio, in->count));
    result_add_estimate(out, "to_plain", estimate_median(in->to_plain, in->count));
    result_add_estimate(out, "span_ns", estimate_median(in->span, in->count));
    result_add(out, "least_ns", smallest(in->span, in->count));
    result_add(out, "2T_ns", estimate_median(in->two_reads, in->count).value);
    result_add_estimate(out, "over_2T_ns", estimate_median(in->over, in->count));
    if (in->ring_bytes > 0)
        result_add(out, "ring_bytes", in->ring_bytes);
    rounds_by_core(out, rounds_core, in->ratio, in->additions, in->count);
    rounds_by_distance(out, rounds_distance, in->ratio, in->distance, in->count);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static mean_rounds rounds;
    const bench_operation *operation = &operations[index];
    rounds.count = 0;
    rounds.ring_bytes = 0;
    if (!operation_begin(operation, setup, out))
        return;
    if (operation->state == SAMPLED) // other operations share no cache lines with the collector
        distance_start(setup->collector_cpu);
    measure_rounds(operation, setup, &rounds, out);
    distance_stop();
    report(&rounds, out);
    operation_end(operation, out);
}

BENCH_DESCRIBE(operations, operation_count)

const bench_group group_hot_path = {
    .name = "hot path",
    .method = "means of bursts, per span; ratio to two clock reads (2T) timed in the same round, A B B A; "
              "to_plain: to two clock reads and 140 plain instructions, about those of a span; medians of "
              "all rounds with 95 % intervals; ring_bytes: of a span in the ring; core_alone, near: the "
              "ratio where nothing else used the core, "
              "or the collector's CPU was near",
    .describe = describe,
    .measure = measure,
};
