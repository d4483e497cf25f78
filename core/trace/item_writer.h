// SPDX-License-Identifier: Apache-2.0
//
// Writing items into an open span's record, where that is more than a few inline stores.
#ifndef NSP_TRACE_ITEM_WRITER_H
#define NSP_TRACE_ITEM_WRITER_H

#include <string.h>

#include "trace/misuse.h"
#include "trace/thread_state.h"
#include <nanospan/exporter.h>

enum { NSP__ITEM_HEADER = 8 };

// A frame while something is written into it. Meanwhile it is locked and its cursor has no attributes left,
// so that a signal handler on this thread finds no room for what it sets on the same span. So items are
// neither mixed up nor seen before they are whole.
typedef struct nsp__writer {
    nsp__frame *frame;
    nsp__record *record;
    uint32_t cursor; // bytes of the record so far
    uint32_t limit, value_limit;
    uint32_t attributes; // left
    uint64_t mark;       // of the span's items
} nsp__writer;

static inline uint64_t *nsp__writer_at(const nsp__writer *to, uint32_t offset)
{
    return (uint64_t *)(void *)((char *)to->record + offset);
}

static inline uint64_t nsp__writer_tag(const nsp__writer *to, nsp_name key, uint32_t type, size_t length)
{
    return nsp__item_tag(key, type, 0, length) | to->mark;
}

// Takes room at the end for an item of this payload, which must fit.
static inline uint64_t *nsp__writer_claim(nsp__writer *to, size_t payload)
{
    uint32_t at = to->cursor;
    to->cursor = at + NSP__ITEM_BYTES(payload);
    return nsp__writer_at(to, at);
}

// Bytes left at the end for a payload after an item's header; 0 if not even the header fits.
static inline uint32_t nsp__writer_room(const nsp__writer *to)
{
    return to->cursor + NSP__ITEM_HEADER <= to->limit ? to->limit - to->cursor - NSP__ITEM_HEADER : 0;
}

typedef enum nsp__dropped_kind {
    NSP__DROPPED_ATTRIBUTE,
    NSP__DROPPED_EVENT,
    NSP__DROPPED_LINK
} nsp__dropped_kind;

static inline uint16_t *nsp__dropped_counter(nsp__dropped *counts, nsp__dropped_kind what)
{
    return what == NSP__DROPPED_ATTRIBUTE ? &counts->attributes
           : what == NSP__DROPPED_EVENT   ? &counts->events
                                          : &counts->links;
}

// Counts what was dropped, in an item that is made at the first drop. The frame's limit leaves room for it.
void nsp__writer_drop(nsp__writer *to, nsp__dropped_kind what, uint16_t count);

// Counts what signal handlers tried to set meanwhile.
void nsp__writer_drop_interrupting(nsp__writer *to);

static inline void nsp__writer_lock(nsp__writer *to, nsp__frame *frame, uintptr_t handle)
{
    const uint16_t none = 0;
    frame->locked = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    uint32_t attributes = frame->cursor >> 16;
    // Only the high half (little endian), so that room which a handler has just taken in the low half is not
    // given back.
    memcpy((char *)&frame->cursor + sizeof none, &none, sizeof none);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *to = (nsp__writer){
        frame,      &frame->record,        nsp__frame_bytes(frame), frame->limit, frame->value_limit,
        attributes, nsp__item_mark(handle)};
}

// False if the span is not open, or if this is a signal handler that interrupted a write into it. Both are
// counted.
static inline bool nsp__writer_begin(nsp__writer *to, nsp_span *span, nsp__dropped_kind what)
{
    nsp__frame *frame = nsp__frame_of(span);
    if (!nsp__span_open(span)) {
        nsp__misused();
        return false;
    }
    if (frame->locked) {
        *nsp__dropped_counter(&frame->interrupting, what) += 1;
        return false;
    }
    nsp__writer_lock(to, frame, (uintptr_t)span);
    return true;
}

static inline void nsp__writer_end(nsp__writer *to)
{
    nsp__frame *frame = to->frame;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    // Only once, so that a storm of signals cannot hold the thread here. What comes later is found by the
    // next write.
    if (NSP__UNLIKELY(
            (frame->interrupting.attributes | frame->interrupting.events | frame->interrupting.links) != 0))
        nsp__writer_drop_interrupting(to);
    frame->cursor = NSP__CURSOR(to->attributes, to->cursor);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    frame->locked = 0;
}

#endif
