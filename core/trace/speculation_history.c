// SPDX-License-Identifier: Apache-2.0
#include "trace/speculation_history.h"

#include <string.h>

#include "base/testpoint.h"
#include "clock/clock.h"
#include "trace/commit.h"
#include "trace/outlier_decision.h"

// ---- the buffer ----

void nsp__history_begin_thread(nsp__producer *producer)
{
    producer->history_own = nsp__history_end(producer);
}

void nsp__history_note_pieces(nsp__producer *producer, uint64_t from, uint64_t to)
{
    const uint64_t shift = producer->history_shift;
    for (uint64_t piece = (from >> shift) + 1; piece <= to >> shift; piece++)
        producer->history_pieces[piece % NSP__HISTORY_PIECES] = to;
}

bool nsp__history_make_room(nsp__producer *producer, uint64_t reached)
{
    nsp__ring *ring = &producer->speculative.ring;
    const uint64_t capacity = nsp__ring_capacity(ring), end = nsp__history_end(producer);
    if (reached <= ring->limit)
        return true;
    const uint64_t least = reached - capacity; // what lies before it is overwritten
    if (least > end)
        return false;
    const uint64_t shift = producer->history_shift;
    const uint64_t piece = (least + (UINT64_C(1) << shift) - 1) >> shift;
    const uint64_t kept = piece > end >> shift ? end : producer->history_pieces[piece % NSP__HISTORY_PIECES];
    NSP__TESTPOINT("history: about to give up");
    __atomic_store_n(&ring->slot->consumed, kept, __ATOMIC_RELEASE); // H1
    // H1: before anything is written there. Who reads something of that then finds this position.
    __atomic_thread_fence(__ATOMIC_RELEASE);
    NSP__TESTPOINT("history: given up");
    ring->limit = kept + capacity;
    if (producer->slot == ring->slot)
        producer->ring.limit = ring->limit;
    return true;
}

bool nsp__history_add(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
{
    nsp__speculation *speculation = producer->speculation;
    nsp__slot *slot = &speculation->slot;
    const uint64_t tail = nsp__slot_tail(slot), bytes = nsp__frame_bytes(frame), reached = tail + bytes;
    const uint64_t before = nsp__history_end(producer);
    if (!nsp__history_make_room(producer, reached))
        return false;
    nsp__record_put(&producer->speculative.ring, tail, frame, bytes, end);
    nsp__frame_close(frame);
    nsp__history_publish(speculation, reached);
    if (nsp__history_in_new_piece(producer, before, reached))
        nsp__history_note_pieces(producer, before, reached);
    return true;
}

// ---- keeping it with an outlier ----

enum { KEPT_BYTES = NSP__ITEM_BYTES(8), LINK_BYTES = NSP__ITEM_BYTES(sizeof(nsp_item_link)) };

static const nsp__record *record_at(const nsp__producer *producer, uint64_t position)
{
    return (const nsp__record *)(const void *)nsp__ring_place(&producer->speculative.ring, position);
}

// One trace of the history.
typedef struct past {
    uint64_t from, root, to; // positions: of its first record, of its root's, and behind it
    uint64_t spans;
} past;

static void past_at(const nsp__producer *producer, uint64_t position, past *out)
{
    *out = (past){.from = position, .root = position, .to = position};
    const nsp__record *record;
    do {
        NSP__TESTPOINT("speculation: a record is looked at");
        out->root = out->to;
        record = record_at(producer, out->root);
        out->to += record->bytes;
        out->spans += nsp__record_spans(record);
    } while (record->span_id != record->local_root_id);
}

// What is written behind its root's record, as far as a record may be so long.
static uint64_t additions_of(const nsp__producer *producer, const past *its)
{
    const uint64_t most = producer->home.slot->record_bytes, bytes = its->to - its->root;
    return bytes + KEPT_BYTES + LINK_BYTES <= most ? KEPT_BYTES + LINK_BYTES
           : bytes + KEPT_BYTES <= most            ? KEPT_BYTES
                                                   : 0;
}

// Each trace is looked at several times, and the answer has to be the same each time, while whoever drains bends the map
// from readings to times. So readings are compared. As a difference: the earliest may lie before the counter began.
static bool in_time(const nsp__producer *producer, const nsp__history_choice *choice, const past *its)
{
    return (int64_t)(record_at(producer, its->root)->end - choice->reaches) >= 0;
}

// From where on it is looked through: the newest piece that begins too early, or is so far back that there is no room for
// all of what comes behind it; otherwise `from`.
static uint64_t begin_at(const nsp__producer *producer, const nsp__history_choice *choice, uint64_t room)
{
    const uint64_t shift = producer->history_shift;
    past its;
    for (uint64_t piece = choice->to >> shift; piece > choice->from >> shift; piece--) {
        const uint64_t begin = producer->history_pieces[piece % NSP__HISTORY_PIECES];
        if (begin <= choice->from)
            break;
        if (begin >= choice->to)
            continue;
        if (choice->to - begin >= room)
            return begin;
        past_at(producer, begin, &its);
        if (!in_time(producer, choice, &its))
            return begin;
    }
    return choice->from;
}

static uint64_t bytes_of(const nsp__producer *producer, const past *its)
{
    return its->to - its->from + additions_of(producer, its);
}

void nsp__history_choose(nsp__producer *producer, const nsp__frame *frame, uint64_t history_ns, uint64_t room,
                         nsp__history_choice *out)
{
    const nsp__speculation *speculation = producer->speculation;
    struct nsp__clock_segment segment;
    *out = (nsp__history_choice){.from = __atomic_load_n(&speculation->slot.consumed, __ATOMIC_RELAXED),
                                 .to = nsp__history_end(producer)};
    const uint64_t kept = __atomic_load_n(&speculation->history_kept, __ATOMIC_RELAXED);
    out->from = out->from > kept ? out->from : kept;
    out->from = out->from > producer->history_own ? out->from : producer->history_own;
    nsp__clock_segment_at(&producer->control->clock, frame->record.start, &segment);
    const uint64_t begun = nsp__clock_convert(&segment, frame->record.start);
    out->reaches = nsp_ticks_from_unix_ns(begun > history_ns ? begun - history_ns : 0);
    out->from = begin_at(producer, out, room);
    past its;
    for (uint64_t at = out->from; at < out->to; at = its.to) {
        past_at(producer, at, &its);
        if (!in_time(producer, out, &its))
            continue;
        out->bytes += bytes_of(producer, &its);
        out->traces++;
        out->spans += its.spans;
    }
    // The oldest do not come along, until there is room for the others.
    for (; out->bytes > room; out->from = its.to) {
        past_at(producer, out->from, &its);
        if (!in_time(producer, out, &its))
            continue;
        out->bytes -= bytes_of(producer, &its);
        out->traces--;
        out->spans -= its.spans;
    }
}

static nsp_item_link link_to(const nsp__record *record)
{
    nsp_item_link link;
    memset(&link, 0, sizeof link);
    memcpy(link.trace_id, record->trace_id, sizeof link.trace_id);
    memcpy(link.span_id, &record->span_id, sizeof link.span_id);
    link.flags = record->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
    return link;
}

// Copies one trace to this position of the ring. Returns where it ends.
static uint64_t put_past(nsp__producer *producer, const past *its, const nsp_item_link *to_outlier,
                         uint64_t at)
{
    const uint64_t additions = additions_of(producer, its);
    nsp__record *root;
    uint32_t bytes;
    uint64_t from = its->from;
    do { // the root comes last
        const nsp__record *record = record_at(producer, from);
        bytes = record->bytes;
        root = (nsp__record *)(void *)nsp__ring_place(&producer->ring, at);
        memcpy(root, record, bytes);
        from += bytes;
        at += bytes;
        NSP__TESTPOINT("speculation: a record is copied");
    } while (from < its->to);
    const uint64_t mark = nsp__item_mark(root->span_id | NSP__RECORDING);
    uint64_t *item = (uint64_t *)(void *)((uint8_t *)root + bytes);
    if (additions >= KEPT_BYTES) {
        item[0] = nsp__item_tag(nsp__outlier_key_kept, NSP_TYPE_STR, 0, sizeof "history" - 1) | mark;
        item[1] = 0;
        memcpy(&item[1], "history", sizeof "history" - 1);
    }
    if (additions > KEPT_BYTES) {
        item += KEPT_BYTES / sizeof *item;
        item[0] = nsp__item_tag(0, NSP_ITEM_LINK, 0, sizeof *to_outlier) | mark;
        memcpy(&item[1], to_outlier, sizeof *to_outlier);
    }
    root->bytes = bytes + (uint32_t)additions;
    return at + additions;
}

size_t nsp__history_put(nsp__producer *producer, const nsp__frame *frame, const nsp__history_choice *choice,
                        uint64_t at, nsp_item_link *links, size_t most)
{
    const nsp_item_link to_outlier = link_to(&frame->record);
    const size_t count = choice->traces < most ? (size_t)choice->traces : most;
    uint64_t left = choice->traces;
    past its;
    for (uint64_t from = choice->from; from < choice->to; from = its.to) {
        past_at(producer, from, &its);
        if (!in_time(producer, choice, &its))
            continue;
        left--;
        if (left < count)
            links[left] = link_to(record_at(producer, its.root));
        at = put_past(producer, &its, &to_outlier, at);
    }
    return count;
}
