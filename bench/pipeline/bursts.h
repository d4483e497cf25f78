// SPDX-License-Identifier: Apache-2.0
//
// The cost of an operation to the thread that executes it, in some state of the pipeline: bursts between two
// looks at the machine.
#ifndef NSP_BENCH_BURSTS_H
#define NSP_BENCH_BURSTS_H

#include "harness/noise.h"
#include "harness/setup.h"

// By round. Rounds that lost spans are only in `measured`. Set both counts to 0 before the first round.
typedef struct burst_rounds {
    double ns[ROUNDS_LIMIT], ratio[ROUNDS_LIMIT]; // of one operation or span; ratio to 2T
    double two_reads[ROUNDS_LIMIT], additions[ROUNDS_LIMIT];
    size_t count, measured;
} burst_rounds;

typedef enum burst_losses { LOSES_NOTHING, MAY_LOSE } burst_losses;

// Adds that many rounds of two bursts of run(count), which must fill at most a quarter of the ring. Each of
// the operations has this many spans; the figures are per span. LOSES_NOTHING: waits before each round until
// the ring is empty, and leaves out a round in which spans were lost.
void bursts_add(burst_rounds *to, void (*run)(size_t), size_t count, unsigned spans, burst_losses losses,
                unsigned rounds, const bench_setup *setup, bench_result *out);

// Adds one such round, without waiting, pausing or looking whether the ring is empty.
void bursts_add_round(burst_rounds *to, void (*run)(size_t), size_t count, unsigned spans,
                      burst_losses losses);

// Adds one round that the caller has timed, with the mean of a look before and a look after it.
void bursts_add_one(burst_rounds *to, double ns, bench_noise noise);

// Medians, and notes the rounds in out (rounds_note).
typedef struct burst_cost {
    estimate ratio, ns;
} burst_cost;

extern const burst_cost burst_cost_unknown;

burst_cost bursts_cost(const burst_rounds *from, bench_result *out);

#endif
