// SPDX-License-Identifier: Apache-2.0
//
// Time in ticks, which the hot path reads, and in nanoseconds since 1970 (Unix time).
// No call uses more than 4 KiB of stack.
#ifndef NANOSPAN_CLOCK_H
#define NANOSPAN_CLOCK_H

#include <nanospan/base.h>

// A reading of the hot path's clock: the processor's counter (rdtsc; cntvct_el0 on arm64) where it is
// invariant, otherwise CLOCK_MONOTONIC in nanoseconds. Readings of one process may be compared and
// subtracted. 0 is never a valid reading; as an option it means "now".
typedef uint64_t nsp_ticks;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Converts a reading to nanoseconds since 1970, using the session's clock map. The same tick always gives the
// same nanosecond, unless the wall clock was stepped in between. After nsp_shutdown, and in a forked child,
// the last session's map stays in use, without corrections, until the next session begins. Before the first
// session, the first call makes a map, which takes 10 ms; if there is no memory for it, the result is 0.
// Otherwise a call costs 10 to 20 ns and takes no lock, does not wait and makes no system call. Thread safe;
// signal safe once there has been a session.
NSP__API uint64_t nsp_ticks_to_unix_ns(nsp_ticks ticks);

// The inverse: returns the reading that corresponds to a wall clock time, for example a network card's time
// stamp. Cost, thread safety and signal safety are those of nsp_ticks_to_unix_ns.
NSP__API nsp_ticks nsp_ticks_from_unix_ns(uint64_t unix_ns);

#endif
NSP_END_DECLS

#include <nanospan/abi/clock.h>
#endif
