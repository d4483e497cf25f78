// SPDX-License-Identifier: Apache-2.0
//
// The distance of another CPU: the nanoseconds that a cache line takes to go there and back. On a virtual
// machine it changes all the time, because the host moves virtual CPUs: they may be two threads of one core,
// two cores with a common cache, or two chips. The cost of data that one thread writes and another reads
// depends on it, and nothing else shows it.
#ifndef NSP_BENCH_DISTANCE_H
#define NSP_BENCH_DISTANCE_H

#include <stdbool.h>

// Starts a thread on that CPU, which sleeps between looks. False on failure, and for cpu -1 (any).
bool distance_start(int cpu);

// Measures the distance in about 200 us. NAN if the other thread did not get its CPU in that time, or was not
// started.
double distance_look(void);

void distance_stop(void);

// The smallest distance so far; INFINITY if none was measured.
double distance_least(void);

// Is the distance at most twice the smallest one so far? An unknown distance (NAN) is not. With a large
// distance, spans cost 2 to 10 times as much, because the lines that the collector has read must come back
// from its CPU.
bool distance_near(double ns);

#endif
