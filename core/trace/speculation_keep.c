// SPDX-License-Identifier: Apache-2.0
//
// A trace that is kept: its records go from the buffer into the ring, the root's last, and are published at once.
#include "trace/speculation_keep.h"

#include <string.h>

#include "trace/commit.h"
#include "trace/outlier_decision.h"
#include "trace/speculation.h"

// What is written on the root when its trace is kept. It is not in the frame, whose room is the program's.
typedef struct additions {
    nsp__pair items[2];
    uint32_t count;
} additions;

static uint32_t bytes_of(const additions *more)
{
    return more->count * (uint32_t)sizeof more->items[0];
}

// Adds an item if the record may be so long.
static void add(additions *more, const nsp__producer *producer, const nsp__frame *frame, uint64_t tag,
                uint64_t payload)
{
    const uint32_t bytes = nsp__frame_bytes(frame) + bytes_of(more) + NSP__ITEM_BYTES(8);
    if (bytes <= producer->home.slot->record_bytes)
        more->items[more->count++] = (nsp__pair){tag | nsp__item_mark(frame->tag), payload};
}

static void add_why(additions *more, const nsp__producer *producer, const nsp__frame *frame, const char *why)
{
    uint64_t text = 0;
    size_t length = strlen(why); // 8 at most
    memcpy(&text, why, length);
    add(more, producer, frame, nsp__item_tag(nsp__outlier_key_kept, NSP_TYPE_STR, 0, length), text);
}

static void put_root(uint8_t *to, const nsp__frame *frame, nsp_ticks end, const additions *more)
{
    const uint32_t bytes = nsp__frame_bytes(frame);
    nsp__record *record = (nsp__record *)(void *)to;
    memcpy(to, &frame->record, bytes);
    memcpy(to + bytes, more->items, bytes_of(more));
    record->bytes = bytes + bytes_of(more);
    record->end = end;
}

static uint8_t *place_of(const nsp__ring *ring, uint64_t position)
{
    return (uint8_t *)nsp__ring_place(ring, position);
}

// Copies the records of the buffer behind this position of the ring.
static void put_children(nsp__producer *producer, uint64_t at, uint64_t bytes)
{
    const nsp__ring *from = &producer->speculative.ring;
    for (uint64_t position = 0; position < bytes;) {
        const uint8_t *record = place_of(from, position);
        uint32_t length;
        memcpy(&length, record, sizeof length);
        memcpy(place_of(&producer->ring, at + position), record, length);
        position += length;
        NSP__TESTPOINT("speculation: a record is copied");
    }
}

static uint64_t count_children(const nsp__producer *producer, uint64_t bytes)
{
    const nsp__ring *from = &producer->speculative.ring;
    uint64_t count = 0;
    for (uint64_t position = 0; position < bytes; count++) {
        uint32_t length;
        memcpy(&length, place_of(from, position), sizeof length);
        position += length;
    }
    return count;
}

static void note_left_out(additions *more, const nsp__producer *producer, const nsp__frame *frame,
                          uint64_t left_out)
{
    if (left_out != 0)
        add(more, producer, frame, nsp__item_tag(nsp__outlier_key_left_out, NSP_TYPE_I64, 0, 8), left_out);
}

static void add_to(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount,
                     __ATOMIC_RELEASE); // C1: to C2
}

typedef struct kept_trace {
    uint64_t bytes; // of the records in the buffer that are kept
    uint64_t spans; // with the root
    uint64_t left_out;
    additions more;
} kept_trace;

static void describe_trace(kept_trace *trace, const nsp__producer *producer, const nsp__frame *frame,
                           uint64_t bytes, uint64_t begun, const char *why)
{
    *trace = (kept_trace){.bytes = bytes, .spans = 1 + count_children(producer, bytes)};
    trace->left_out = begun - trace->spans;
    add_why(&trace->more, producer, frame, why);
    note_left_out(&trace->more, producer, frame, trace->left_out);
}

static uint64_t whole_bytes(const kept_trace *trace, const nsp__frame *frame)
{
    return trace->bytes + nsp__frame_bytes(frame) + bytes_of(&trace->more);
}

// From `keeping` a reader after a crash can tell whether the trace came into the ring, and whether it was counted there.
static void publish_trace(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, bool apart,
                          const kept_trace *trace)
{
    nsp__speculation *speculation = producer->speculation;
    nsp__slot *slot = producer->home.slot;
    const uint64_t tail = nsp__slot_tail(slot), reached = tail + whole_bytes(trace, frame);
    if (!apart) {
        speculation->keeping.spans = trace->spans;
        speculation->keeping.attempted = slot->counters.attempted + trace->spans;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        __atomic_store_n(&speculation->keeping.position, reached, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    NSP__TESTPOINT("speculation: about to keep");
    add_to(&slot->counters.attempted, trace->spans);
    NSP__TESTPOINT("speculation: counted as attempted");
    put_children(producer, tail, trace->bytes);
    put_root(place_of(&producer->ring, tail + trace->bytes), frame, end, &trace->more);
    __atomic_store_n(&frame->position, reached, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("speculation: position noted");
    nsp__slot_publish(slot, reached);
    NSP__TESTPOINT("speculation: published");
    add_to(&slot->counters.committed, trace->spans);
}

void nsp__speculation_keep(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, bool apart,
                           const char *why)
{
    nsp__speculation *speculation = producer->speculation;
    nsp__slot *slot = producer->home.slot, *buffer = &speculation->slot;
    const uint64_t apart_left_out =
        apart ? __atomic_load_n(&frame->reserved, __ATOMIC_RELAXED) & ~NSP__APART_ASKED : 0;
    const uint64_t begun = apart ? 1 + apart_left_out : buffer->counters.attempted - speculation->settled;
    const bool outgrown = !apart && (producer->ruled_marks & NSP__TRACE_OUTGROWN) != 0;
    kept_trace trace;
    describe_trace(&trace, producer, frame, apart || outgrown ? 0 : nsp__slot_tail(buffer), begun, why);
    bool room = nsp__ring_reserve(&producer->ring, nsp__slot_tail(slot), whole_bytes(&trace, frame));
    if (!room && trace.bytes != 0) {
        describe_trace(&trace, producer, frame, 0, begun, why);
        room = nsp__ring_reserve(&producer->ring, nsp__slot_tail(slot), whole_bytes(&trace, frame));
    }
    if (room) {
        publish_trace(producer, frame, end, apart, &trace);
    } else { // the loss of its root is one of the ring
        add_to(&slot->counters.attempted, 1);
        add_to(&slot->counters.dropped_ring_full, 1);
    }
    if (trace.left_out != 0 || !room)
        add_to(&speculation->kept_incomplete, 1);
    if (apart) {
        nsp__frame_close(frame);
        __atomic_fetch_add(&speculation->apart_kept, 1, __ATOMIC_RELEASE); // C1: to C2
        return;
    }
    add_to(&speculation->kept, trace.spans);
    nsp__speculation_take_back(producer, frame);
    __atomic_store_n(&speculation->keeping.position, 0, __ATOMIC_RELAXED);
}

void nsp__speculation_commit(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, const char *why)
{
    nsp__slot *slot = producer->home.slot;
    additions more = {.count = 0};
    if (why != NULL)
        add_why(&more, producer, frame, why);
    const uint64_t tail = nsp__slot_tail(slot), reached = tail + nsp__frame_bytes(frame) + bytes_of(&more);
    bool room = nsp__ring_reserve(&producer->ring, tail, reached - tail);
    if (room) {
        __atomic_store_n(&frame->position, reached, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        put_root(place_of(&producer->ring, tail), frame, end, &more);
        nsp__slot_publish(slot, reached);
    }
    nsp__frame_close(frame);
    nsp__count_commit(slot, room);
}
