// SPDX-License-Identifier: Apache-2.0
//
// The cost of a span to the thread that records it, in some state of the pipeline: bursts between two looks
// at the machine, as in the hot path group.
#ifndef NSP_BENCH_BURSTS_H
#define NSP_BENCH_BURSTS_H

#include "harness/setup.h"

enum { BURSTS_MAX = 4096 };

typedef struct burst_round {
    bench_noise noise; // two_reads is the base of the ratio
    double ns;         // per operation
    bool disturbed;    // preempted, or a span was lost that should not be
} burst_round;

typedef struct burst_rounds {
    burst_round items[BURSTS_MAX];
    size_t count;
} burst_rounds;

typedef enum burst_losses { LOSES_NOTHING, MAY_LOSE } burst_losses;

// Adds rounds until `wanted` more are valid or `tries` were made. run(count) must fill at most a quarter of
// the ring. LOSES_NOTHING: waits before each round until the ring is empty, and a loss makes a round invalid.
void bursts_add(burst_rounds *to, void (*run)(size_t), size_t count, burst_losses losses, unsigned wanted,
                unsigned tries, const bench_setup *setup, bench_result *out);

// The number of valid rounds, judged by what is known about the machine now.
size_t bursts_valid(const burst_rounds *from);

// Medians over the valid rounds; NAN, with a problem in out, if they are fewer than ROUNDS_LEAST.
typedef struct burst_cost {
    estimate ratio, ns;
    size_t valid;
} burst_cost;

burst_cost bursts_cost(const burst_rounds *from, bench_result *out);

#endif
