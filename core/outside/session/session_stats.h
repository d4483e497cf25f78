// SPDX-License-Identifier: Apache-2.0
//
// The accounting of another process's session.
#ifndef NSP_OUTSIDE_SESSION_STATS_H
#define NSP_OUTSIDE_SESSION_STATS_H

#include <nanospan/stats.h>

#include "outside/session/session_copy.h"

// What nsp_stats_get would return in the engine, except for what lies in its private memory (see
// nsp_session). Of a dead session, in_batches also counts spans of threads in private memory. Exact if the
// session is dead and no thread was private; otherwise attempted is at least the sum of the others. Call it
// at most once for each copy, directly after nsp__session_copy_open: it takes counters from the copy, which
// have to be older than those that it reads now. False if the session cannot be read any more; `problem` says
// why.
//
// open: NULL, or room for copy->slot_count numbers, which become the spans that are open on each thread's stack.
bool nsp__session_stats(nsp__session_copy *copy, nsp_stats *out, uint32_t *open);

// The spans that were begun and are neither settled nor dropped: open, in rings, in batches.
uint64_t nsp__stats_unsent(const nsp_stats *stats);

#endif
