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

// Converts a reading to nanoseconds since 1970 by the session's clock map; the same tick gives the same
// nanosecond for as long as no wall clock step lies in between. After nsp_shutdown, and in a forked child,
// the map that the last session had goes on unadjusted until the next session begins. Before the first
// session: a map that the first call makes, which takes 10 ms and is 0 if there is no memory for it. Costs 10
// to 20 ns; no lock, no wait, and no system call otherwise. Thread safe; signal safe once there has been a
// session.
NSP_API uint64_t nsp_ticks_to_unix_ns(nsp_ticks ticks);

// The inverse: the reading that the clock map gives for a wall clock time, a network card's time stamp say.
NSP_API nsp_ticks nsp_ticks_from_unix_ns(uint64_t unix_ns);

#endif
NSP_END_DECLS

#include <nanospan/abi/clock.h>
#endif
