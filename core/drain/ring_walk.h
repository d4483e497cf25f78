// SPDX-License-Identifier: Apache-2.0
//
// Takes the records out of one ring up to a position, and encodes them straight into the batch that is being
// filled, or discards them. All of this needs the drain lock.
#ifndef NSP_DRAIN_RING_WALK_H
#define NSP_DRAIN_RING_WALK_H

#include "drain/collector.h"

typedef struct nsp__ring_walk {
    nsp__ring_source *source;
    nsp__slot *slot; // its slot, and its bytes
    const uint8_t *bytes;
    uint64_t mask;      // its capacity minus one
    uint64_t at, end;   // positions
    uint64_t spans;     // taken out since the last release
    uint64_t discarded; // of these
    uint64_t invalid;   // of these: spans of a path that nobody can tell
    uint64_t released;  // position
} nsp__ring_walk;

// A walk from where the ring was last left up to a published position.
nsp__ring_walk nsp__ring_walk_from(nsp__collector *collector, nsp__ring_source *source, uint64_t end);

// Encodes records until the end, or until the budget of spans is spent. False if no batch is free.
bool nsp__ring_drain(nsp__collector *collector, nsp__ring_walk *walk, struct nsp__clock_segment *segment,
                     size_t *budget);

// Takes the records out and counts them as discarded.
void nsp__ring_discard(nsp__collector *collector, nsp__ring_walk *walk, size_t *budget);

// For a ring in which a record was damaged: counts the skipped records as soon as the ring is empty.
void nsp__ring_count_lost(nsp__collector *collector, nsp__ring_walk *walk);

#endif
