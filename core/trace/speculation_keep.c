// SPDX-License-Identifier: Apache-2.0
//
// A trace that is kept: its records go from the buffer into the ring, the root's last, and are published at once.
#include "trace/speculation_keep.h"

#include <string.h>

#include "trace/commit.h"
#include "trace/outlier_decision.h"
#include "trace/path.h"
#include "trace/speculation.h"
#include "trace/speculation_history.h"
#include "trace/trace_state.h"

enum { LINKS_MAX = 64, LINK_BYTES = NSP__ITEM_BYTES(sizeof(nsp_item_link)) };

// What is written on the root when its trace is kept. It is not in the frame, whose room is the program's.
typedef struct additions {
    nsp__pair items[3];
    uint32_t count, links; // links: to traces of the history, behind the items
} additions;

static uint32_t bytes_of(const additions *more)
{
    return more->count * (uint32_t)sizeof more->items[0] + more->links * LINK_BYTES;
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
    // 8 bytes at most, for which two calls of the C library would take longer.
    uint64_t text = 0;
    size_t length = 0;
    for (; why[length] != '\0'; length++)
        text |= (uint64_t)(uint8_t)why[length] << 8 * length;
    add(more, producer, frame, nsp__item_tag(nsp__outlier_key_kept, NSP_TYPE_STR, 0, length), text);
}

static void put_root(uint8_t *to, const nsp__frame *frame, nsp_ticks end, const additions *more,
                     const nsp_item_link *links)
{
    const uint32_t bytes = nsp__frame_bytes(frame);
    const uint64_t tag = nsp__item_tag(0, NSP_ITEM_LINK, 0, sizeof *links) | nsp__item_mark(frame->tag);
    nsp__record *record = (nsp__record *)(void *)to;
    memcpy(to, &frame->record, bytes);
    to += bytes;
    for (uint32_t i = 0; i < more->count; i++, to += sizeof more->items[i])
        memcpy(to, &more->items[i], sizeof more->items[i]);
    for (uint32_t i = 0; links != NULL && i < more->links; i++, to += LINK_BYTES) {
        memcpy(to, &tag, sizeof tag);
        memcpy(to + sizeof tag, &links[i], sizeof links[i]);
    }
    record->bytes = bytes + bytes_of(more);
    record->end = end;
}

static uint8_t *place_of(const nsp__ring *ring, uint64_t position)
{
    return (uint8_t *)nsp__ring_place(ring, position);
}

// Copies the records of the open trace behind this position of the ring.
static void put_children(nsp__producer *producer, uint64_t at, uint64_t bytes)
{
    const nsp__ring *from = &producer->speculative.ring;
    const uint64_t begin = nsp__history_end(producer);
    for (uint64_t position = 0; position < bytes;) {
        const uint8_t *record = place_of(from, begin + position);
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
    for (uint64_t at = nsp__history_end(producer), end = at + bytes; at < end;) {
        const nsp__record *record = (const nsp__record *)(const void *)place_of(from, at);
        count += nsp__record_spans(record);
        at += record->bytes;
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
    nsp__history_choice history; // what comes before it
} kept_trace;

static void describe_trace(kept_trace *trace, const nsp__producer *producer, const nsp__frame *frame,
                           uint64_t bytes, uint64_t begun, uint64_t root, const char *why)
{
    trace->bytes = bytes;
    trace->spans = root + count_children(producer, bytes);
    trace->more.count = trace->more.links = 0;
    trace->history.bytes = trace->history.traces = trace->history.spans = 0;
    trace->left_out = begun - trace->spans;
    add_why(&trace->more, producer, frame, why);
    note_left_out(&trace->more, producer, frame, trace->left_out);
}

static uint64_t whole_bytes(const kept_trace *trace, const nsp__frame *frame)
{
    return trace->history.bytes + trace->bytes + nsp__frame_bytes(frame) + bytes_of(&trace->more);
}

// Adds what of the history there is room for. It leaves the ring as much room as new traces find at least.
static void add_history(kept_trace *trace, nsp__producer *producer, const nsp__frame *frame)
{
    const nsp__slot *slot = producer->home.slot;
    additions *more = &trace->more;
    const uint32_t bytes = nsp__frame_bytes(frame) + bytes_of(more) + NSP__ITEM_BYTES(8);
    const uint32_t configured = __atomic_load_n(&nsp__trace_state.links, __ATOMIC_RELAXED);
    uint64_t links = bytes < slot->record_bytes ? (slot->record_bytes - bytes) / LINK_BYTES : 0;
    links = links < LINKS_MAX ? links : LINKS_MAX;
    const uint64_t free = configured > frame->links ? configured - frame->links : 0;
    links = links < free ? links : free;
    const uint64_t taken =
        nsp__slot_fill(slot) + whole_bytes(trace, frame) + NSP__ITEM_BYTES(8) + links * LINK_BYTES;
    if (taken >= producer->watermark)
        return;
    nsp__history_choose(producer, frame, producer->ruled_class->history_ns, producer->watermark - taken,
                        &trace->history);
    if (trace->history.traces == 0)
        return;
    add(more, producer, frame, nsp__item_tag(nsp__outlier_key_history, NSP_TYPE_I64, 0, 8),
        trace->history.traces);
    more->links = (uint32_t)(links < trace->history.traces ? links : trace->history.traces);
}

// From `keeping` a reader after a crash can tell whether the trace came into the ring, and whether it was counted there.
static void publish_trace(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, const kept_trace *trace)
{
    nsp__speculation *speculation = producer->speculation;
    nsp__slot *slot = producer->home.slot;
    nsp_item_link links[LINKS_MAX];
    const uint64_t tail = nsp__slot_tail(slot), reached = tail + whole_bytes(trace, frame);
    const uint64_t begin = tail + trace->history.bytes, spans = trace->spans + trace->history.spans;
    speculation->keeping.spans = spans;
    speculation->keeping.attempted = slot->counters.attempted + spans;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    const uint64_t noted = trace->history.traces != 0 ? reached - NSP__KEEPING_HISTORY : reached;
    __atomic_store_n(&speculation->keeping.position, noted, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("speculation: about to keep");
    add_to(&slot->counters.attempted, spans);
    NSP__TESTPOINT("speculation: counted as attempted");
    if (trace->history.traces != 0)
        nsp__history_put(producer, frame, &trace->history, tail, links, trace->more.links);
    put_children(producer, begin, trace->bytes);
    put_root(place_of(&producer->ring, begin + trace->bytes), frame, end, &trace->more, links);
    __atomic_store_n(&frame->position, reached, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("speculation: position noted");
    nsp__slot_publish(slot, reached);
    NSP__TESTPOINT("speculation: published");
    add_to(&slot->counters.committed, spans);
}

void nsp__speculation_keep(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, bool apart,
                           const char *why)
{
    nsp__speculation *speculation = producer->speculation;
    nsp__slot *slot = producer->home.slot, *buffer = &speculation->slot;
    const uint64_t apart_left_out =
        apart ? __atomic_load_n(&frame->reserved, __ATOMIC_RELAXED) & ~(NSP__APART_ASKED | NSP__FRAME_PATH)
              : 0;
    const uint64_t phases = nsp__record_phases(&frame->record, nsp__frame_bytes(frame));
    const uint64_t begun =
        apart ? 1 + phases + apart_left_out : buffer->counters.attempted - speculation->settled;
    const bool outgrown = !apart && (producer->ruled_marks & NSP__TRACE_OUTGROWN) != 0;
    kept_trace trace;
    const uint64_t in_buffer = nsp__slot_tail(buffer) - nsp__history_end(producer);
    describe_trace(&trace, producer, frame, apart || outgrown ? 0 : in_buffer, begun, 1 + phases, why);
    bool room = nsp__pen_reserve(producer, nsp__slot_tail(slot), whole_bytes(&trace, frame));
    if (!room && trace.bytes != 0) {
        describe_trace(&trace, producer, frame, 0, begun, 1 + phases, why);
        room = nsp__pen_reserve(producer, nsp__slot_tail(slot), whole_bytes(&trace, frame));
    }
    if (room) {
        if (!apart && producer->ruled_class->history_ns != 0)
            add_history(&trace, producer, frame);
        publish_trace(producer, frame, end, &trace);
    } else {                                     // the loss of its root is one of the ring
        for (uint64_t i = 0; i <= phases; i++) { // at no moment is more than one span in no place
            add_to(&slot->counters.attempted, 1);
            NSP__TESTPOINT("drop: a span is counted as attempted");
            add_to(&slot->counters.dropped_ring_full, 1);
        }
    }
    if (trace.left_out != 0 || !room)
        add_to(&speculation->kept_incomplete, 1);
    if (apart) {
        nsp__frame_close(frame);
        nsp__ruled_apart_count(speculation, &speculation->apart_kept, phases);
    } else {
        // What lies there has been looked at, and is not kept once more. An outlier whose rule wants none of it leaves it
        // to the next one.
        if (room && producer->ruled_class->history_ns != 0)
            __atomic_store_n(&speculation->history_kept, nsp__history_end(producer), __ATOMIC_RELEASE); // H2
        add_to(&speculation->kept, trace.spans + trace.history.spans);
        nsp__speculation_take_back(producer, frame);
    }
    __atomic_store_n(&speculation->keeping.position, 0, __ATOMIC_RELAXED);
    if (room)
        nsp__outlier_tell(producer, frame, end, why);
}

void nsp__speculation_commit(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, const char *why)
{
    nsp__slot *slot = producer->home.slot;
    const uint32_t phases = nsp__count_phases(slot, frame);
    additions more;
    more.count = more.links = 0;
    if (why != NULL)
        add_why(&more, producer, frame, why);
    const uint64_t tail = nsp__slot_tail(slot), reached = tail + nsp__frame_bytes(frame) + bytes_of(&more);
    bool room = nsp__pen_reserve(producer, tail, reached - tail);
    if (room) {
        __atomic_store_n(&frame->position, reached, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        put_root(place_of(&producer->ring, tail), frame, end, &more, NULL);
        nsp__slot_publish(slot, reached);
    }
    if (NSP__UNLIKELY(!room && phases != 0))
        nsp__path_drop_phases(slot, frame);
    nsp__frame_close(frame);
    nsp__count_commit(slot, room);
    if (NSP__UNLIKELY(room && phases != 0))
        nsp__count_more(&slot->counters.committed, phases);
    if (room)
        nsp__outlier_tell(producer, frame, end, why);
}
