// SPDX-License-Identifier: Apache-2.0
//
// Reads the accounting from the session.
#ifndef NSP_DRAIN_STATS_H
#define NSP_DRAIN_STATS_H

#include <nanospan/stats.h>

#include "shm/session.h"
#include "shm/speculation.h"

// Fills the whole struct. Counters are read from the end of the pipeline to its beginning, so that attempted
// is at least the sum of the rest while spans move on.
void nsp__stats_read(nsp_stats *out, const nsp__session *session);

// ---- the steps of that, in the order of reading; outside/session/session_stats.c uses them to read copies ----

// Counters of the exporting side. Returns the number of spans that are settled.
uint64_t nsp__stats_settled(nsp_stats *out, const nsp__counters *counters);

// Figures of the exporting side.
void nsp__stats_figures(nsp_stats *out, const nsp__figures *figures);

// Adds the spans that ended without being committed. They are read before the open ones, so that no span
// counts as both.
void nsp__stats_add_ended(nsp_stats *out, const nsp__slot_counters *counters);

// The slot with this index, or NULL if unknown.
typedef const nsp__slot *(*nsp__slot_finder)(void *argument, uint32_t index);

// True if the frame holds an open span that records. A frame is closed a moment after its record was
// published, and by then the record may have been drained and even exported; such a span does not count as
// open.
bool nsp__stats_open(const nsp__frame *frame, nsp__slot_finder find, void *argument);

// How many roots the slot's threads have left out.
uint64_t nsp__stats_roots_unsampled(const nsp__slot *slot);

// Adds all other counters of a slot except attempted, which comes last.
void nsp__stats_add_slot(nsp_stats *out, const nsp__slot *slot);

// Adds what the slot's thread has speculated.
void nsp__stats_add_speculation(nsp_stats *out, const nsp__speculation *speculation);

// Adds what snapshots have exported, also to the sums of all slots.
void nsp__stats_add_snapshots(nsp_stats *out, const nsp__snapshots *snapshots, uint64_t *drained,
                              uint64_t *committed);

// Adds the declarations of paths that found no room, and the paths that shared one.
void nsp__stats_add_paths(nsp_stats *out, const nsp__paths *paths);

// Adds the spans of threads without a slot, except those that ended there, which are read earlier.
void nsp__stats_add_unattached(nsp_stats *out, const nsp__control *control);

// Computes the sums. `drained` and `committed` are the totals of all slots.
void nsp__stats_total(nsp_stats *out, uint64_t settled, uint64_t drained, uint64_t committed);

#endif
