// SPDX-License-Identifier: Apache-2.0
//
// Where threads run. Never outside of what the program was given when it was started (taskset, a container, isolated CPUs),
// unless a CPU is named on the command line.
#ifndef NSP_BENCH_CPUS_H
#define NSP_BENCH_CPUS_H

#include <sched.h>
#include <stdbool.h>

// The CPUs that the program was given; as first asked for, which must be before anything is pinned.
const cpu_set_t *cpus_given(void);

// Pins the calling thread, and so the threads and processes that it starts from then on.
bool pin_to(int cpu);

// Lets the calling thread go wherever the program may.
void unpin(void);

#endif
