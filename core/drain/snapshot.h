// SPDX-License-Identifier: Apache-2.0
//
// Exports the history of all threads where the engine asks for it (nsp_snapshot). Whoever drains does it after the
// rings, as far as there is room in batches, and goes on with it in the next pass. Each thread's history is copied as a
// whole (history_copy.h), and encoded from that copy.
#ifndef NSP_DRAIN_SNAPSHOT_H
#define NSP_DRAIN_SNAPSHOT_H

#include "drain/history_copy.h"
#include "shm/snapshots.h"

typedef struct nsp__collector nsp__collector;
struct nsp__clock_segment;

// What snapshots have exported of a thread's history: what lies between these positions is not exported again. There
// are several where a snapshot looked less far back than to the one before it.
enum { NSP__SNAPSHOT_RANGES = 8 };
typedef struct nsp__snapshot_ranges {
    struct nsp__snapshot_range {
        uint64_t from, to; // to: 0: not used
    } range[NSP__SNAPSHOT_RANGES];
} nsp__snapshot_ranges;

// Zeroed in the beginning. Guarded by the collector's drain lock.
typedef struct nsp__snapshot {
    uint64_t done, number; // the last snapshots that are done, and begun
    uint64_t since_ns;     // of the one that is begun
    uint32_t slot;         // that is being exported, or comes next
    bool reading;          // `history` is of that slot
    uint64_t overtaken;    // of `history`, as far as it is counted
    nsp__history history;
    nsp__history_trace trace;       // that is being exported
    uint64_t at;                    // of its next record; trace.to: it is done
    uint64_t unnoted;               // spans in the current batch that are not counted yet
    uint64_t unnoted_too_big;       // the same, larger than a batch: they are discarded
    nsp__snapshot_ranges *exported; // by slot; NULL before the first snapshot
    nsp__record *room;              // for a root with its mark
    nsp_name key;                   // nanospan.kept, in the session
} nsp__snapshot;

// After a pass over the rings. segment: a cache, as of nsp__span_view_make. room: there was one in the batches.
void nsp__snapshot_pass(nsp__collector *collector, struct nsp__clock_segment *segment, size_t *budget,
                        bool room);
// True if nsp__snapshot_pass would find something to do.
bool nsp__snapshot_waits(const nsp__collector *collector);
void nsp__snapshot_free(nsp__snapshot *snapshot);

#endif
