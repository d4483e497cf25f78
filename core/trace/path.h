// SPDX-License-Identifier: Apache-2.0
//
// Declared paths, from the inside (abi/path.h says how they lie in a frame). An open path is one span: its phases are
// readings in its body, and nothing else knows of them until it ends. There they are counted as attempted, before the
// record is published, and from then on everything counts the spans that the record stands for.
#ifndef NSP_TRACE_PATH_H
#define NSP_TRACE_PATH_H

#include "shm/path.h"
#include "trace/commit.h"

// The id under which the path in this frame's record is the parent of others: that of the open phase, if there is one.
static inline uint64_t nsp__path_current_id(const nsp__record *record)
{
    const uint32_t open = nsp__path_open(nsp__record_path(record));
    return open != 0 ? nsp__path_phase_id(record->span_id, open) : record->span_id;
}

// The phases of the open path in this frame that have happened.
static inline uint32_t nsp__path_marked(const nsp__frame *frame)
{
    const nsp__path_head *head = nsp__record_path(&frame->record);
    return (head->open & ~NSP__PATH_BY_CALL) - head->skipped;
}

// At the end of a path: counts its phases as attempted where its span was, in this slot or buffer, and returns how many
// they are. From `record.end`, which no frame needs otherwise, a reader after a crash can tell whether they are counted.
static inline uint32_t nsp__path_count_phases(nsp__slot *slot, nsp__frame *frame)
{
    const uint32_t phases = nsp__path_marked(frame);
    const uint64_t attempted = __atomic_load_n(&slot->counters.attempted, __ATOMIC_RELAXED) + phases;
    frame->record.end = attempted;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("path: about to count its phases");
    __atomic_store_n(&slot->counters.attempted, attempted, __ATOMIC_RELEASE); // C1
    NSP__TESTPOINT("path: phases counted");
    return phases;
}

// The same for any frame: 0 for that of an ordinary span.
static inline uint32_t nsp__count_phases(nsp__slot *slot, nsp__frame *frame)
{
    return NSP__UNLIKELY(nsp__frame_is_path(frame)) ? nsp__path_count_phases(slot, frame) : 0;
}

// Takes the phases out of a path that found no room where it was counted, and counts each as dropped. One after the
// other, so that for a reader after a crash no more than one span of the thread is in no place.
void nsp__path_drop_phases(nsp__slot *slot, nsp__frame *frame) __attribute__((noinline, cold));

// Ends the path on top, with the producer busy.
void nsp__path_end_busy(nsp__producer *producer, nsp__entry *top, nsp_ticks end);

#endif
