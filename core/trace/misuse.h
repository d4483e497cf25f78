// SPDX-License-Identifier: Apache-2.0
//
// Counting what is not on the hot path: misuse, and what happens on threads that have no slot to count in.
#ifndef NSP_TRACE_MISUSE_H
#define NSP_TRACE_MISUSE_H

#include <stddef.h>

// Counts for a thread without a slot, at this offset in nsp__control. Does nothing without a session.
void nsp__count_unattached(size_t counter);

// Counts one misuse, for the calling thread if it is attached.
void nsp__misused(void);

#endif
