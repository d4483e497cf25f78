// SPDX-License-Identifier: Apache-2.0
//
// The accounting, read from the session.
#ifndef NSP_DRAIN_STATS_H
#define NSP_DRAIN_STATS_H

#include <nanospan/stats.h>

#include "shm/session.h"

// Fills the whole struct. Counters are read from the end of the pipeline to its beginning, so that while spans move on
// attempted is at least the sum of the rest.
void nsp__stats_read(nsp_stats *out, const nsp__session *session);

// ---- What that is made of, for readers of copies too (outside/scan.c); in the order in which counters are read ----

// Exporter-side counters. Returns the spans that are settled.
uint64_t nsp__stats_settled(nsp_stats *out, const nsp__counters *counters);

// How spans end without being committed. Read before the open ones, so that no span counts as both.
void nsp__stats_add_ended(nsp_stats *out, const nsp__slot_counters *counters);

// The slot of this index; NULL: not known.
typedef const nsp__slot *(*nsp__slot_finder)(void *argument, uint32_t index);

// Does the frame hold an open span that records? A frame is closed a moment after its record was published, and by then
// the record may be drained and even exported: such a span is not open any more.
bool nsp__stats_open(const nsp__frame *frame, nsp__slot_finder find, void *argument);

// All other counters of a slot, but for attempted, which come last.
void nsp__stats_add_slot(nsp_stats *out, const nsp__slot *slot);

// What happened to spans without a slot, but for those that ended so, which are read earlier.
void nsp__stats_add_unattached(nsp_stats *out, const nsp__control *control);

// The sums: `drained` and `committed` are those of all slots.
void nsp__stats_total(nsp_stats *out, uint64_t settled, uint64_t drained, uint64_t committed);

#endif
