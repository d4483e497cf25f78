// SPDX-License-Identifier: Apache-2.0
//
// Is the machine quiet enough at this moment? A round is valid only if nothing preempted it, and if two
// operations that were timed within it took at most a tenth longer than on this machine at its best: two
// clock reads, and a run of independent additions. The reads alone are not enough: they wait for the counter,
// so they do not show when another hyperthread takes half of the core, which makes everything else nearly
// twice as slow.
#ifndef NSP_BENCH_NOISE_H
#define NSP_BENCH_NOISE_H

#include <stdbool.h>
#include <stddef.h>

// The number of involuntary context switches of the calling thread so far.
long noise_switches(void);

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

// Waits before the next round, longer after more invalid rounds in a row. It does not sleep: on a shared
// machine, fewer moments are quiet after a sleep.
void noise_pause(unsigned streak);

// Looks, without sleeping, until the machine is quiet. Subtracts the seconds from *patience; false when none
// are left.
bool noise_wait(double *patience);

// The best values of both so far. If they become better later, a round may have been accepted that should not
// have been.
bench_noise noise_best_seen(void);

bool noise_accepts(bench_noise noise);

#endif
