// SPDX-License-Identifier: Apache-2.0
//
// How far another CPU is away: nanoseconds that a cache line takes there and back. On a virtual machine that changes from moment to
// moment, for the host moves virtual CPUs about: two threads of one core, two cores of one cache, two chips. What one thread
// writes and another one reads costs accordingly, and no other look at the machine shows it.
#ifndef NSP_BENCH_DISTANCE_H
#define NSP_BENCH_DISTANCE_H

#include <stdbool.h>

// Starts a thread on that CPU, which sleeps until asked. False if that cannot be; cpu -1 (any) cannot.
bool distance_start(int cpu);

// Some 200 us. NAN if the other thread did not get its CPU in that time, or was not started.
double distance_look(void);

void distance_stop(void);

// Not more than twice as far as it ever was in this run; what is not known is no reason against it. Far away, spans cost 2 to 10
// times as much, for the lines that the collector has read must come back from there.
bool distance_accepts(double ns);

// Looks, awake, until it is accepted, and returns that; the last look where the patience runs out first (as noise_wait).
double distance_wait(double *patience);

#endif
