// SPDX-License-Identifier: Apache-2.0
//
// What begin, end and next are made of. While it works on a thread's state, nanospan points `top` to an entry that is
// busy, so that a signal handler on the same thread keeps out; only compiler fences are needed for that.
#ifndef NSP_TRACE_COMMIT_H
#define NSP_TRACE_COMMIT_H

#include "base/testpoint.h"
#include "base/tsan.h"
#include "trace/producer.h"
#include "trace/sampler.h"

static inline void nsp__busy_begin(nsp__producer *producer)
{
    __atomic_store_n(&producer->hot.top, &producer->busy, __ATOMIC_RELAXED); // looked at in nsp__trace_moving
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void nsp__busy_end(nsp__producer *producer, nsp__entry *top)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&producer->hot.top, top, __ATOMIC_RELEASE);
}

static inline nsp_ticks nsp__ticks_or_now(nsp_ticks ticks)
{
    return ticks != 0 ? ticks : nsp_now();
}

// Opens a frame for a new span: all but identity and tag.
static inline void nsp__frame_open(nsp__frame *frame, nsp_name name, nsp_ticks start)
{
    *(nsp__pair *)(void *)&frame->pen = (nsp__pair){frame->fresh_pen, 0};
    frame->record.name = name;
    frame->record.start = start;
}

// Gives the frame its tag: from here on a reader after a crash takes the span for open.
// `stamp` counts the thread's spans; seven bits of it tell their handles apart. The upper ones are folded in, so that a
// thread whose traces all have 128 spans does not give each root the same handle.
static inline uintptr_t nsp__frame_publish(nsp__frame *frame, uint64_t stamp, uintptr_t recording)
{
    uint32_t tag = ((uint32_t)(stamp ^ stamp >> 7) << 1 & 0xfe) | (uint32_t)recording;
    if (tag == 0) // only without NSP__RECORDING; 0 says that the frame is closed
        tag = 2;
    __atomic_store_n(&frame->tag, tag,
                     __ATOMIC_RELEASE); // whoever sees the span open sees it attempted (stats.c)
    return (uintptr_t)frame | tag;
}

// The last word of a record's fixed part (flags, kind, status, threshold), moved as one: a load of the whole word is then
// served by the one store that wrote it.
static inline uint64_t nsp__record_traits(const nsp__record *record)
{
    uint64_t traits;
    __builtin_memcpy(&traits, &record->flags, sizeof traits);
    return traits;
}

static inline void nsp__record_set_traits(nsp__record *record, uint64_t flags, uint32_t threshold)
{
    uint64_t traits = flags | (uint64_t)threshold << 32;
    __builtin_memcpy(&record->flags, &traits, sizeof traits);
}

static inline void nsp__record_child_of(nsp__producer *producer, nsp__record *record,
                                        const nsp__record *parent)
{
    const uint64_t inherited =
        NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT | NSP__RECORD_TRACESTATE;
    uint64_t traits = nsp__record_traits(parent);
    *(nsp__pair *)record->trace_id = *(const nsp__pair *)parent->trace_id;
    *(nsp__pair *)(void *)&record->span_id = (nsp__pair){nsp__span_id_draw(producer), parent->span_id};
    record->local_root_id = parent->local_root_id;
    nsp__record_set_traits(record, traits & inherited, (uint32_t)(traits >> 32));
}

// The trace id is there already.
static inline void nsp__record_root(nsp__producer *producer, nsp__record *record, uint32_t name_class)
{
    uint64_t id = nsp__span_id_draw(producer);
    *(nsp__pair *)(void *)&record->span_id = (nsp__pair){id, 0};
    record->local_root_id = id;
    nsp__record_set_traits(record, NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT,
                           producer->threshold_codes[name_class]);
}

// Counts a span that begins, with the thread busy; returns a number that no other recent span of the thread had.
static inline uint64_t nsp__attempt(nsp__producer *producer)
{
    uint64_t *counter = &producer->slot->counters.attempted;
    uint64_t attempted = __atomic_load_n(counter, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(counter, attempted, __ATOMIC_RELEASE);
    return attempted;
}

// Copies a span's tracestate item from parent to child; out of line: few traces have one.
void nsp__tracestate_inherit(nsp__frame *frame, const nsp__frame *parent);
// Writes the span's record into the ring; the frame keeps its content. Returns the counter of what came of it: committed, or
// dropped because the ring is full. It is counted by frame_close, when the span no longer counts as open, so that no
// reader of the books sees a span twice.
static inline uint64_t *nsp__commit(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
{
    nsp__ring *ring = &producer->ring;
    nsp__slot *slot = ring->slot;
    uint32_t bytes = nsp__frame_bytes(frame);
    uint64_t tail = nsp__ring_tail(ring);
    if (NSP__UNLIKELY(!nsp__ring_reserve(ring, tail, bytes + sizeof(uint64_t))))
        return &slot->counters.dropped_ring_full;
    // Which position the record will end at, before it is published: so a reader after a crash can tell a published
    // record's frame from one that was not.
    __atomic_store_n(&frame->position, tail + bytes, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("commit: position noted");
    // Each load must be served by one store: a wider one than what was written would wait for the memory. Ids were
    // written in pairs, items in words.
    const uint64_t *from = (const uint64_t *)(const void *)&frame->record;
    uint64_t *to = nsp__ring_place(ring, tail);
    uint64_t start = from[1];
    *(nsp__pair *)(void *)&to[0] = (nsp__pair){bytes | (uint64_t)frame->record.name << 32, start};
    *(nsp__pair *)(void *)&to[2] = (nsp__pair){end > start ? end : start, from[3]};
    *(nsp__pair *)(void *)&to[4] = *(const nsp__pair *)(const void *)&from[4];
    *(nsp__pair *)(void *)&to[6] = *(const nsp__pair *)(const void *)&from[6];
    to[8] = from[8];
    // Two words a step: the last may go one beyond the record, for which reserve left room.
    const uint64_t *stop = (const uint64_t *)(const void *)((const char *)from + bytes);
    for (from += sizeof(nsp__record) / 8, to += sizeof(nsp__record) / 8; from < stop; from += 2, to += 2) {
        to[0] = from[0];
        to[1] = from[1];
    }
    nsp__ring_publish(ring, tail + bytes);
    NSP__TESTPOINT("commit: published");
    return &slot->counters.committed;
}

// Closes the frame and counts the outcome of its commit.
static inline void nsp__frame_close(nsp__frame *frame, uint64_t *outcome)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#ifdef NSP__TSAN
    __atomic_store_n(&frame->tag, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&frame->position, 0, __ATOMIC_RELEASE);
#else
    *(nsp__pair *)(void *)&frame->tag = (nsp__pair){0, 0}; // tag and position
#endif
    if (outcome != NULL)
        nsp__count(outcome);
}

#endif
