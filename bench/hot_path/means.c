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

enum { TRIES_MAX = 4096, PLAIN = 400 }; // PLAIN: about 10 us

// Nanoseconds per span: of the operation, of the same amount of plain code, and of an empty loop.
typedef struct bench_round {
    bench_noise noise; // two_reads is also the base of the ratio
    double subject, plain, empty;
    bool disturbed;  // preempted, or spans were lost
    double distance; // of the collector's CPU; NAN: irrelevant or unknown
} bench_round;

// About 20 us of the operation, and at most a quarter of the ring, because a round runs two bursts.
static size_t burst_size(const bench_operation *operation)
{
    enum { TRIAL = 64, LEAST = 32, MOST = 65536 };
    const double wanted_ns = 20000;
    uint64_t from = operation->state == SAMPLED ? session_published() : 0;
    double ns = operation_time(operation, TRIAL);
    double size = wanted_ns / (ns > 0.1 ? ns : 0.1);
    if (operation->state == SAMPLED) {
        double bytes = (double)(session_published() - from) / TRIAL;
        double most = bytes > 0 ? (double)session_ring_bytes() / 4 / bytes : size;
        size = size < most ? size : most;
    }
    if (operation->burst_most != 0 && size > (double)operation->burst_most)
        size = (double)operation->burst_most;
    return size < LEAST ? LEAST : size > MOST ? MOST : (size_t)size;
}

static bench_round measure_round(const bench_operation *operation, size_t burst)
{
    bool session = operation->state != DISABLED;
    noise_time(run_two_reads, 100); // warms up caches and branch predictors
    noise_time(run_plain, 100);
    operation_time(operation, 32);

    uint64_t losses = session ? session_losses() : 0;
    long switches = noise_switches();
    bench_noise noise = noise_look();
    double plain = noise_time(run_plain, PLAIN);
    double subject = operation_time(operation, burst);
    double empty = noise_time(run_empty, burst);
    empty += noise_time(run_empty, burst);
    subject += operation_time(operation, burst);
    plain += noise_time(run_plain, PLAIN);
    noise = noise_mean(noise, noise_look());
    bool disturbed = noise_switches() != switches ||
                     (session && session_losses() - losses != operation_losses(operation, 2 * burst));
    return (bench_round){
        noise, subject / 2 / operation->spans, plain / 2, empty / 2 / operation->spans, disturbed, NAN};
}

static bool accepted(const bench_round *round)
{
    return !round->disturbed && noise_accepts(round->noise) && distance_accepts(round->distance);
}

static size_t count_accepted(const bench_round *rounds, size_t count)
{
    size_t valid = 0;
    for (size_t i = 0; i < count; i++)
        valid += accepted(&rounds[i]);
    return valid;
}

static size_t measure_rounds(const bench_operation *operation, const bench_setup *setup, bench_round *rounds,
                             bench_result *out)
{
    size_t burst = burst_size(operation), count = 0, valid = 0;
    double patience = setup->quick ? 4 : 6;
    while (valid < setup->rounds && count < setup->tries && count < TRIES_MAX) {
        if (operation->state == SAMPLED && !session_drained()) {
            result_fail(out, "the collector did not drain the ring");
            break;
        }
        double distance = distance_wait(&patience);
        if (!noise_wait(&patience))
            break;
        rounds[count] = measure_round(operation, burst);
        rounds[count++].distance = distance;
        valid = count_accepted(rounds, count); // checks all rounds again: the best values may have improved
        progress(out, (unsigned)valid, setup->rounds);
    }
    return count;
}

static void report(const bench_operation *operation, const bench_round *rounds, size_t count,
                   bench_result *out)
{
    static double ratio[TRIES_MAX], to_plain[TRIES_MAX], ns[TRIES_MAX], base[TRIES_MAX], over[TRIES_MAX],
        distance[TRIES_MAX];
    size_t valid = 0, looks = 0;
    for (size_t i = 0; i < count; i++) {
        if (!accepted(&rounds[i]))
            continue;
        double subject = rounds[i].subject - (operation->state == DISABLED ? rounds[i].empty : 0);
        if (!isnan(rounds[i].distance))
            distance[looks++] = rounds[i].distance;
        ns[valid] = subject;
        base[valid] = rounds[i].noise.two_reads;
        to_plain[valid] = subject / rounds[i].plain;
        over[valid] = subject - rounds[i].noise.two_reads;
        ratio[valid++] = subject / rounds[i].noise.two_reads;
    }
    out->rounds = (unsigned)valid;
    out->invalid = (unsigned)(count - valid);
    if (valid < ROUNDS_LEAST)
        result_fail(out, "too noisy: %zu of %zu rounds are valid, %d are needed", valid, count, ROUNDS_LEAST);
    result_add_estimate(out, "ratio", estimate_median(ratio, valid));
    result_add_estimate(out, "to_plain", estimate_median(to_plain, valid));
    result_add_estimate(out, "span_ns", estimate_median(ns, valid));
    result_add(out, "least_ns", smallest(ns, valid));
    result_add(out, "2T_ns", estimate_median(base, valid).value);
    result_add_estimate(out, "over_2T_ns", estimate_median(over, valid));
    if (looks != 0)
        result_add(out, "distance_ns", estimate_median(distance, looks).value);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static bench_round rounds[TRIES_MAX];
    const bench_operation *operation = &operations[index];
    if (!operation_begin(operation, setup, out))
        return;
    if (operation->state == SAMPLED) // other operations share no cache lines with the collector
        distance_start(setup->collector_cpu);
    size_t count = measure_rounds(operation, setup, rounds, out);
    distance_stop();
    report(operation, rounds, count, out);
    operation_end(operation, out);
}

BENCH_DESCRIBE(operations, operation_count)

const bench_group group_hot_path = {
    .name = "hot path",
    .method =
        "means of bursts, per span; ratio to two clock reads (2T) timed in the same round, A B B A; "
        "to_plain: to two clock reads and 140 plain instructions, about those of a span; medians with 95 % "
        "intervals",
    .describe = describe,
    .measure = measure,
};
