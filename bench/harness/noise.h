// SPDX-License-Identifier: Apache-2.0
//
// What else the machine does at this moment: two operations that are timed before and after the measured one,
// two clock reads and a run of independent additions. The reads are the base of ratios. They wait for the
// counter, so they do not show when another hyperthread takes half of the core, which makes everything else
// nearly twice as slow; the additions do.
#ifndef NSP_BENCH_NOISE_H
#define NSP_BENCH_NOISE_H

#include <stdbool.h>
#include <stddef.h>

// The nanoseconds of one call run(count), divided by count.
double noise_time(void (*run)(size_t), size_t count);

// One look at the machine, about 30 us: two clock reads (2T) and the additions. Remembers the best look.
typedef struct bench_noise {
    double two_reads; // ns
    double additions; // ns for ten additions
} bench_noise;

bench_noise noise_look(void);

// The mean of two looks.
bench_noise noise_mean(bench_noise a, bench_noise b);

// Looks for this many seconds, to see the machine at its best. Call it before the first round.
void noise_learn(double seconds);

// Includes what a child process has seen of this machine.
void noise_remember(bench_noise seen);

// The best values of both so far.
bench_noise noise_best_seen(void);

// Did the additions take at most a tenth longer than at best so far? Then nothing else used the core.
bool noise_core_alone(double additions);

// Spins for a millisecond. Call it before each round, so that the rounds of a benchmark meet more than one
// state of the machine. It does not sleep, because a trading thread does not.
void noise_pause(void);

#endif
