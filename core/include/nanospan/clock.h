// SPDX-License-Identifier: Apache-2.0
//
// Time as the hot path reads it (ticks) and as the world writes it (nanoseconds since 1970).
// No call takes more than 4 KiB of stack.
#ifndef NANOSPAN_CLOCK_H
#define NANOSPAN_CLOCK_H

#include <nanospan/base.h>

// A reading of the hot clock: the time stamp counter (rdtsc; cntvct_el0 on arm64) where it is invariant, else
// CLOCK_MONOTONIC in nanoseconds. Comparable and subtractable within a process; 0 is never a valid reading and
// stands for "now" where an option may be left out.
typedef uint64_t nsp_ticks;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Converts a reading to nanoseconds since 1970 by the current clock map; the same tick gives the same nanosecond
// for as long as no wall clock step lies in between. Before nsp_init: a map made at the first call.
// Costs some ten nanoseconds; no lock, no system call after the first. Thread safe, signal safe after nsp_init.
NSP_API uint64_t nsp_ticks_to_unix_ns(nsp_ticks ticks);

// The inverse: the reading that the clock map gives for a wall clock time, a network card's time stamp say.
NSP_API nsp_ticks nsp_ticks_from_unix_ns(uint64_t unix_ns);

#endif
NSP_END_DECLS

#include <nanospan/abi/clock.h>
#endif
