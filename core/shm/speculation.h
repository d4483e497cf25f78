// SPDX-License-Identifier: Apache-2.0
//
// Where a thread records a trace of which it is decided at the end whether anybody will see it: a second slot, with a
// buffer in the place of the ring. Nobody drains it. Its `published` goes forward with each span and back when the
// trace is taken back, so the same lines are written again and again, and never leave the thread's own cache. In
// shared memory, written by the slot's thread; read by statistics, after a crash, and by whoever copies history.
//
// History. What is taken back under a rule with `history` stays, and the next trace goes behind it: the buffer then is
// a ring that overwrites its oldest traces, and `published` only grows. A reader copies it while the thread goes on:
//
//   - history_end (H2), acquired, says up to where all is whole: the records of traces that have ended, each trace's
//     together, its local root last, which alone has a local_root_id equal to its span_id. Each lies at its position
//     modulo ring_bytes, with no wrap. What lies between history_end and `published` is an open trace's, or stale.
//   - slot.consumed (H1) says from where on: it is where a trace begins, or history_end. The thread stores it, and only
//     then overwrites what is before it. So the reader loads it, copies from there to history_end, fences (acquire),
//     and loads it again: what lies before the new value was perhaps overwritten meanwhile. Whole traces are left.
//     (It may also have passed the history_end that was loaded before: then nothing is left.)
//   - What lies before history_kept has been looked at when an outlier was kept, and is in the ring if it was wanted.
//     Who reads it again would export it twice; it is to be loaded again behind the copy, like `consumed`.
//
// The spans are counted as taken back, and those of history that is kept with an outlier as kept instead.
#ifndef NSP_SHM_SPECULATION_H
#define NSP_SHM_SPECULATION_H

#include "shm/slot.h"

// Speculative spans are counted in slot.counters.attempted too, but from this number on. A thread makes the ids of its
// spans from that number (nsp__attempt), and so no speculative span has the id of another one.
#define NSP__SPECULATED_FIRST (UINT64_C(1) << 62)

typedef struct nsp__speculation {
    // ring_bytes 0: there is no buffer, and the thread never speculates. ring_offset counts from here. Its frames are
    // those of the thread's own slot.
    nsp__slot slot;

    // Written at the end of each speculative trace.
    //
    // slot.counters.attempted when it was last decided about a trace. Up to here all speculative spans were kept or
    // taken back; those from here on belong to the trace that is open.
    uint64_t settled __attribute__((aligned(128)));
    // Up to here the buffer holds history. It is where the next trace begins, and to where `published` returns when one
    // is taken back without a trace. Without history always 0.
    uint64_t history_end;     // H2
    uint64_t history_kept;    // at most history_end
    uint64_t kept;            // spans that came into the ring after all
    uint64_t kept_incomplete; // traces that were kept without some of their spans
    uint64_t kept_limited;    // traces that would have been kept if their rule's limit had not been reached
    // Detached local roots. One thread begins them, and perhaps another one ends them.
    uint64_t apart_begun, apart_kept, apart_taken_back;
    // While a trace is being kept: where the thread's ring ends with it, how many spans these are, and what `attempted`
    // of the thread's own slot is once they are counted. From them a reader after a crash can tell how far it came.
    // position 0: no trace is just being kept. Positions are even; one less: history goes with it, which is then in the
    // ring as soon as the trace is, although history_kept does not say so yet.
    struct {
        uint64_t position, spans, attempted;
    } keeping;
} nsp__speculation;

// In keeping.position.
#define NSP__KEEPING_HISTORY UINT64_C(1)

// Where it lies in a thread's memory, from the beginning of its slot.
#define NSP__SPECULATION_OFFSET                                                                              \
    (((uint64_t)NSP__SLOT_BYTES + NSP__FRAME_ALIGN - 1) & ~(uint64_t)(NSP__FRAME_ALIGN - 1))

#endif
