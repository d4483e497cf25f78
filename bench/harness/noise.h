// SPDX-License-Identifier: Apache-2.0
//
// Is the machine quiet enough at this moment? A round counts only if nothing preempted it, and if two things that were timed
// within it took what they take on this machine at its best, or a tenth more: two clock reads, and a run of independent additions. The
// reads alone would not do: they wait for the counter and do not notice when another hyperthread takes half of the core,
// which makes everything else nearly twice as slow.
#ifndef NSP_BENCH_NOISE_H
#define NSP_BENCH_NOISE_H

#include <stdbool.h>
#include <stddef.h>

// Involuntary context switches of the calling thread so far.
long noise_switches(void);

// Nanoseconds of one call of run(count), divided by count.
double noise_time(void (*run)(size_t), size_t count);

// One look at the machine, some 30 us: two clock reads (2T) and the additions. Remembers the best ever seen.
typedef struct bench_noise {
    double two_reads; // ns
    double additions; // ns of ten
} bench_noise;

bench_noise noise_look(void);

// The mean of two looks.
bench_noise noise_mean(bench_noise a, bench_noise b);

// Looks until it has seen the machine at rest, or thinks so: a few seconds. Before the first round.
void noise_learn(double seconds);

// What another process of ours has seen of this machine, counts among what was seen.
void noise_remember(bench_noise seen);

// Waits before the next round: briefly, and longer the more rounds in a row were invalid. Awake: on a shared
// machine, fewer moments are quiet after a sleep.
void noise_pause(unsigned streak);

// Looks, awake, until the machine is quiet. The seconds waited are taken from *patience; false once there are none left.
bool noise_wait(double *patience);

// The best of both so far. A round was accepted too easily if it became better later.
bench_noise noise_best_seen(void);

bool noise_accepts(bench_noise noise);

#endif
