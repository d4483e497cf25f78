// SPDX-License-Identifier: Apache-2.0
#include "trace/span_context.h"

#include <string.h>

#include "base/fork.h"
#include "context/context.h"
#include "context/threshold.h"
#include "context/tracestate.h"
#include "trace/commit.h"
#include "trace/inherited.h"
#include "trace/misuse.h"
#include "trace/path.h"
#include "trace/speculation.h"
#include <nanospan/exporter.h>

// ---- the tracestate item: always the first of a record that has one, behind a path ----

// The length of the longest text that the frame has room for.
static size_t tracestate_room(const nsp__frame *frame)
{
    size_t used = nsp__frame_bytes(frame),
           left = frame->limit > used ? (frame->limit - used) & ~(size_t)15 : 0;
    return left > 8 ? left - 8 : 0;
}

// The text is already in its place, and the record has its id, of which the handle has its bits.
static void tracestate_put(nsp__frame *frame, size_t length)
{
    const uint64_t mark = nsp__item_mark(frame->record.span_id | NSP__RECORDING);
    nsp__frame_place(frame, frame->cursor)[0] = nsp__item_tag(0, NSP_ITEM_TRACESTATE, 0, length) | mark;
    frame->cursor += NSP__ITEM_BYTES(length);
    frame->record.flags |= NSP__RECORD_TRACESTATE;
}

static size_t tracestate_of(const nsp__frame *frame, const char **text)
{
    if ((frame->record.flags & NSP__RECORD_TRACESTATE) == 0)
        return 0;
    const uint64_t *item =
        (const uint64_t *)(const void *)((const char *)&frame->record + nsp__frame_items_at(frame));
    *text = (const char *)&item[1];
    return (size_t)(item[0] >> 32 & 0xffff);
}

void nsp__tracestate_inherit(nsp__frame *frame, const nsp__frame *parent)
{
    const char *text = NULL;
    size_t length = tracestate_of(parent, &text);
    frame->record.flags &= (uint8_t)~NSP__RECORD_TRACESTATE;
    if (length == 0 || length > tracestate_room(frame))
        return; // the identity is complete without it
    memcpy(nsp__frame_place(frame, frame->cursor) + 1, text, length);
    tracestate_put(frame, length);
}

// True if the list contains only the threshold, which the record's code already holds.
static bool is_text_of(const char *text, size_t length, uint64_t threshold)
{
    char plain[6 + NSP__THRESHOLD_TEXT_SIZE] = "ot=th:";
    size_t plain_length = 6 + nsp__threshold_format(threshold, plain + 6);
    return length == plain_length && memcmp(text, plain, length) == 0;
}

void nsp__identity_tracestate(nsp__frame *frame, const nsp_context *context)
{
    // A small record takes as much as it has room for, `ot` before all others. The text is written where it
    // stays, because stacks are small.
    char *text = (char *)(nsp__frame_place(frame, frame->cursor) + 1);
    size_t room = tracestate_room(frame);
    size_t length =
        nsp__tracestate_write(context, text, room < NSP_TRACESTATE_MAX ? room : NSP_TRACESTATE_MAX);
    uint64_t threshold = context->threshold;
    nsp__identity_threshold(&frame->record, threshold < NSP__THRESHOLD_NEVER
                                                ? nsp__threshold_encode(threshold)
                                                : NSP__THRESHOLD_CODE_NONE);
    if ((context->flags & NSP_TRACE_FLAG_DEBUG) != 0)
        nsp__identity_threshold(&frame->record, NSP__THRESHOLD_CODE_DEBUG);
    else if (frame->record.threshold != NSP__THRESHOLD_CODE_NONE && is_text_of(text, length, threshold))
        return;
    if (length != 0)
        tracestate_put(frame, length);
}

// ---- contexts ----

void nsp__identity_context(const nsp__frame *frame, nsp_context *out)
{
    const nsp__record *record = &frame->record;
    if ((record->flags & NSP__RECORD_SAMPLED) == 0 && frame->detached == 0)
        nsp__ruled_note_seen(frame);
    memset(out, 0, offsetof(nsp_context, tracestate));
    const char *text = NULL;
    size_t length = tracestate_of(frame, &text);
    char plain[6 + NSP__THRESHOLD_TEXT_SIZE] = "ot=th:";
    uint64_t threshold = nsp__threshold_decode(record->threshold);
    if (length == 0 && threshold != NSP_CONTEXT_UNKNOWN) {
        length = 6 + nsp__threshold_format(threshold, plain + 6);
        text = plain;
    }
    nsp__tracestate_read(out, text, length);
    memcpy(out->trace_id, record->trace_id, sizeof out->trace_id);
    const uint64_t id = nsp__frame_is_path(frame) ? nsp__path_current_id(record) : record->span_id;
    memcpy(out->span_id, &id, sizeof out->span_id);
    out->flags = record->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
    if (record->threshold == NSP__THRESHOLD_CODE_DEBUG)
        out->flags |= NSP_TRACE_FLAG_DEBUG;
    out->local_root = record->local_root_id;
    out->remote = false;
}

// An unsampled root without a frame has no identity until somebody asks for it.
static void unsampled_context(nsp__producer *producer, nsp_context *out)
{
    uint32_t name_class = producer->hot.unsampled_class;
    if ((name_class & NSP__UNSAMPLED_DRAWN) == 0) {
        // The policy may have changed since the root began.
        while (!nsp__sampler_settle(producer, name_class))
            ;
        nsp__sampler_trace_id(producer, nsp__class_threshold(producer, name_class), false,
                              producer->unsampled_root.trace_id);
        producer->unsampled_root.span_id = nsp__span_id_draw(producer);
        producer->hot.unsampled_class = name_class | NSP__UNSAMPLED_DRAWN;
    }
    out->threshold = out->randomness = NSP_CONTEXT_UNKNOWN;
    memcpy(out->trace_id, producer->unsampled_root.trace_id, sizeof out->trace_id);
    memcpy(out->span_id, &producer->unsampled_root.span_id, sizeof out->span_id);
    out->flags = NSP_TRACE_FLAG_RANDOM;
    out->local_root = producer->unsampled_root.span_id;
}

// Reads the context of the innermost entry that has an identity. True if that is a span that does not record.
static bool innermost_context(nsp__producer *producer, const nsp__entry *top, nsp_context *out)
{
    for (const nsp__entry *entry = top; entry >= &producer->stack[0]; entry--) {
        if (entry->current == NSP__UNSAMPLED_ROOT) {
            unsampled_context(producer, out);
            return true;
        }
        const nsp_span *span = (const nsp_span *)entry->current;
        // Not a span that was entered here and ended elsewhere.
        if (nsp__has_frame(span) && nsp__span_open(span)) {
            nsp__identity_context(nsp__frame_of(span), out);
            return !nsp_span_recording(span);
        }
    }
    return false;
}

// The context of a child without a frame. In an unsampled trace, each question about it gives a new id, since
// its handle may stand for many spans. A child that found no room in a recorded trace will not be exported,
// so its parent takes its place.
static void frameless_context(nsp__producer *producer, const nsp__entry *top, nsp_context *out)
{
    if (!innermost_context(producer, top, out))
        return;
    uint64_t id = nsp__span_id_draw(producer);
    memcpy(out->span_id, &id, sizeof out->span_id);
}

void nsp__context_around(nsp__producer *producer, const nsp__entry *top, nsp_context *out)
{
    if (top->current == NSP__ENTERED_INERT)
        frameless_context(producer, top, out); // of an unsampled child, as nsp_span_current says
    else
        innermost_context(producer, top, out);
}

void nsp_span_context(const nsp_span *span, nsp_context *out)
{
    bool framed = nsp__has_frame(span), here = !framed || !nsp__process_copied();
    if (framed && here && nsp__span_open(span)) {
        nsp__identity_context(nsp__frame_of(span), out);
        return;
    }
    nsp__context_invalid(out);
    if (framed) { // the frame of another process says nothing
        if (here && !nsp__inherited_context(span, out))
            nsp__misused();
        return;
    }
    nsp__producer *producer = nsp__producer_self();
    bool sentinel = span != NULL && (producer == NULL || producer->stack[0].current != NSP__UNSAMPLED_ROOT);
    if (sentinel && nsp__inherited_context((const nsp_span *)NSP__UNSAMPLED_ROOT, out))
        return;
    if (producer == NULL || nsp__is_busy(producer))
        return;
    // Busy: a signal handler that asks meanwhile would draw the same numbers.
    nsp__entry *top = nsp__busy_take_top(producer);
    if (span == NULL)
        nsp__context_around(producer, top, out);
    else if ((uintptr_t)span == NSP__UNSAMPLED_ROOT && producer->stack[0].current == NSP__UNSAMPLED_ROOT)
        unsampled_context(producer, out); // whatever is above it
    else if ((uintptr_t)span == NSP__UNSAMPLED_CHILD)
        frameless_context(producer, top, out);
    else
        innermost_context(producer, top, out);
    nsp__busy_end(producer, top);
}
