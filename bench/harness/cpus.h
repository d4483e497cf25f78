// SPDX-License-Identifier: Apache-2.0
//
// Where threads run: only on the CPUs that the program was given at its start (by taskset, a container or
// isolated CPUs), unless a CPU is named on the command line.
#ifndef NSP_BENCH_CPUS_H
#define NSP_BENCH_CPUS_H

#include <sched.h>
#include <stdbool.h>

// The CPUs that the program was given. The first call reads them, so it must come before anything is pinned.
const cpu_set_t *cpus_given(void);

// Pins the calling thread, and with it the threads and processes that it starts from then on.
bool pin_to(int cpu);

// Lets the calling thread run on all CPUs that the program was given.
void unpin(void);

#endif
