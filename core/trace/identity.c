// SPDX-License-Identifier: Apache-2.0
#include "trace/identity.h"

#include <string.h>

#include "base/fork.h"
#include "context/context.h"
#include "context/threshold.h"
#include "context/tracestate.h"
#include "trace/commit.h"
#include "trace/inherited.h"
#include "trace/span_slow.h"
#include <nanospan/exporter.h>

// ---- the tracestate item: always the first of a record that has one ----

// How long a text the frame has room for.
static size_t tracestate_room(const nsp__frame *frame)
{
    size_t used = nsp__frame_bytes(frame),
           left = frame->limit > used ? (frame->limit - used) & ~(size_t)15 : 0;
    return left > 8 ? left - 8 : 0;
}

// The text is in its place already.
static void tracestate_put(nsp__frame *frame, size_t length)
{
    nsp__frame_place(frame, frame->cursor)[0] = nsp__item_tag(0, NSP_ITEM_TRACESTATE, 0, length);
    frame->cursor += NSP__ITEM_BYTES(length);
    frame->record.flags |= NSP__RECORD_TRACESTATE;
}

static size_t tracestate_of(const nsp__frame *frame, const char **text)
{
    if ((frame->record.flags & NSP__RECORD_TRACESTATE) == 0)
        return 0;
    const uint64_t *item = (const uint64_t *)(const void *)(&frame->record + 1);
    *text = (const char *)&item[1];
    return (size_t)(item[0] >> 32 & 0xffff);
}

void nsp__tracestate_inherit(nsp__frame *frame, const nsp__frame *parent)
{
    const char *text = NULL;
    size_t length = tracestate_of(parent, &text);
    frame->record.flags &= (uint8_t)~NSP__RECORD_TRACESTATE;
    if (length == 0 || length > tracestate_room(frame))
        return; // the identity is whole without it
    memcpy(nsp__frame_place(frame, frame->cursor) + 1, text, length);
    tracestate_put(frame, length);
}

// A list that is nothing but the threshold is carried as the record's code.
static bool only_threshold(const char *text, size_t length, uint64_t threshold)
{
    char plain[6 + NSP__THRESHOLD_TEXT_SIZE] = "ot=th:";
    size_t plain_length = 6 + nsp__threshold_format(threshold, plain + 6);
    return length == plain_length && memcmp(text, plain, length) == 0;
}

static void state_write(nsp__frame *frame, const nsp_context *context)
{
    // A small record takes as much as it has room for, `ot` before all others. Written where it stays: stacks are small.
    char *text = (char *)(nsp__frame_place(frame, frame->cursor) + 1);
    size_t room = tracestate_room(frame);
    size_t length =
        nsp__tracestate_write(context, text, room < NSP_TRACESTATE_MAX ? room : NSP_TRACESTATE_MAX);
    uint64_t threshold = context->threshold;
    frame->record.threshold =
        threshold < NSP__THRESHOLD_NEVER ? nsp__threshold_encode(threshold) : NSP__THRESHOLD_CODE_NONE;
    if ((context->flags & NSP_TRACE_FLAG_DEBUG) != 0)
        frame->record.threshold = NSP__THRESHOLD_CODE_DEBUG;
    else if (frame->record.threshold != NSP__THRESHOLD_CODE_NONE && only_threshold(text, length, threshold))
        return;
    if (length != 0)
        tracestate_put(frame, length);
}

// ---- identities ----

static void identity_clear(nsp__record *record)
{
    record->flags = 0;
    record->kind = NSP_KIND_INTERNAL;
    record->status = NSP_SPAN_STATUS_UNSET;
    record->reserved = 0;
    record->threshold = NSP__THRESHOLD_CODE_NONE;
}

// Debugging someone's trace is not left out for want of room, as long as there is any.
static bool refused(nsp__producer *producer, uint8_t flags)
{
    if ((flags & NSP_TRACE_FLAG_DEBUG) != 0 || nsp__ring_fill(&producer->ring) <= producer->watermark)
        return false;
    nsp__count(&producer->slot->counters.roots_refused);
    return true;
}

static bool asked_for(const nsp_context *context)
{
    return (context->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_DEBUG)) != 0;
}

// A root that does not record; threshold: the one that its randomness is below, 0 for any.
static void inert_root(nsp__producer *producer, nsp__frame *frame, uint64_t threshold)
{
    nsp__record *record = &frame->record;
    identity_clear(record);
    nsp__sampler_trace_id(producer, threshold, false, record->trace_id);
    record->parent_id = 0;
    record->span_id = nsp__span_id_draw(producer);
    record->local_root_id = record->span_id;
    record->flags = NSP__RECORD_RANDOM;
}

static bool decide_root(nsp__producer *producer, nsp__frame *frame, nsp_name name)
{
    uint32_t name_class = nsp__sampler_class(producer, name);
    int64_t *left = &producer->slot->skips.left[name_class];
    int64_t skips = __atomic_load_n(left, __ATOMIC_RELAXED);
    bool sampled = skips <= 0;
    if (!sampled)
        __atomic_store_n(left, skips - 1, __ATOMIC_RELAXED);
    else if (producer->thresholds[name_class] != 0)
        nsp__sampler_draw(producer, name_class);
    sampled = sampled && !refused(producer, 0);
    if (sampled) {
        nsp__sampler_trace_id(producer, producer->thresholds[name_class], true, frame->record.trace_id);
        nsp__record_root(producer, producer->slot, &frame->record, name_class);
        return true;
    }
    inert_root(producer, frame, producer->thresholds[name_class]);
    return false;
}

// A root for which the sender of the request decided, without naming a trace. No rate goes with that, so no threshold.
static bool decide_given_root(nsp__producer *producer, nsp__frame *frame, nsp_name name,
                              const nsp_context *context)
{
    bool debug = (context->flags & NSP_TRACE_FLAG_DEBUG) != 0;
    if (producer->parent_policy == NSP_PARENT_DECIDE && !debug)
        return decide_root(producer, frame, name);
    if (!asked_for(context) || refused(producer, context->flags)) {
        inert_root(producer, frame, 0);
        return false;
    }
    nsp__record *record = &frame->record;
    nsp__sampler_trace_id(producer, 0, true, record->trace_id);
    nsp__record_root(producer, producer->slot, record, 0);
    nsp__record_set_traits(
        record, nsp__record_root_traits(debug ? NSP__THRESHOLD_CODE_DEBUG : NSP__THRESHOLD_CODE_NONE));
    return true;
}

static uint64_t randomness_of(const nsp_context *context)
{
    if (context->randomness != NSP_CONTEXT_UNKNOWN)
        return context->randomness;
    uint64_t right;
    memcpy(&right, context->trace_id + 8, sizeof right);
    return __builtin_bswap64(right) & (NSP__THRESHOLD_NEVER - 1);
}

// A span of a remote trace: the sender's flag decides, or this process's threshold; in both cases what is sent on is
// consistent with it.
static bool decide_remote(nsp__producer *producer, nsp_name name, nsp_context *context)
{
    bool sampled = asked_for(context);
    uint64_t threshold = context->threshold;
    if ((context->flags & NSP_TRACE_FLAG_DEBUG) != 0) {
        threshold = NSP_CONTEXT_UNKNOWN;
    } else if (producer->parent_policy == NSP_PARENT_DECIDE ||
               (context->flags & NSP_TRACE_FLAG_DEFERRED) != 0) {
        threshold = producer->thresholds[nsp__sampler_class(producer, name)];
        sampled = randomness_of(context) >= threshold;
    } else if (threshold != NSP_CONTEXT_UNKNOWN && (randomness_of(context) >= threshold) != sampled) {
        threshold = NSP_CONTEXT_UNKNOWN; // contradicts the flag, which counts
    }
    sampled = sampled && !refused(producer, context->flags);
    context->threshold = sampled ? threshold : NSP_CONTEXT_UNKNOWN;
    context->flags =
        (uint8_t)((context->flags & ~NSP_TRACE_FLAG_SAMPLED) | (sampled ? NSP_TRACE_FLAG_SAMPLED : 0));
    return sampled;
}

// `id`: the span's own.
static void write_identity(nsp__frame *frame, uint64_t id, const nsp_context *context)
{
    nsp__record *record = &frame->record;
    identity_clear(record);
    memcpy(record->trace_id, context->trace_id, sizeof record->trace_id);
    memcpy(&record->parent_id, context->span_id, sizeof record->parent_id);
    record->span_id = id;
    if (context->remote)
        record->local_root_id = record->span_id;
    else
        record->local_root_id = context->local_root != 0 ? context->local_root : record->parent_id;
    record->flags = (uint8_t)((context->flags & (NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM)) |
                              (context->remote ? NSP__RECORD_PARENT_REMOTE : 0));
    state_write(frame, context);
}

void nsp__identity_inert(nsp__producer *producer, nsp__frame *frame, const nsp_context *context)
{
    write_identity(frame, nsp__span_id_draw(producer), context);
}

bool nsp__identity_decide(nsp__producer *producer, nsp__frame *frame, nsp_name name,
                          const nsp_context *context)
{
    if (context == NULL)
        return decide_root(producer, frame, name);
    if (!nsp_context_valid(context))
        return decide_given_root(producer, frame, name, context);
    nsp_context given = *context;
    bool sampled = asked_for(&given);
    if (given.remote)
        sampled = decide_remote(producer, name, &given);
    if (!sampled) {
        nsp__identity_inert(producer, frame, &given);
        return false;
    }
    write_identity(frame, nsp__attempt(producer, producer->slot), &given);
    frame->record.flags |= NSP__RECORD_KEPT;
    return true;
}

// ---- contexts ----

void nsp__identity_context(const nsp__frame *frame, nsp_context *out)
{
    const nsp__record *record = &frame->record;
    nsp__context_invalid(out);
    out->threshold = out->randomness = NSP_CONTEXT_UNKNOWN; // unless the tracestate says more
    const char *text = NULL;
    size_t length = tracestate_of(frame, &text);
    char plain[6 + NSP__THRESHOLD_TEXT_SIZE] = "ot=th:";
    uint64_t threshold = nsp__threshold_decode(record->threshold);
    if (length == 0 && threshold != NSP_CONTEXT_UNKNOWN) {
        length = 6 + nsp__threshold_format(threshold, plain + 6);
        text = plain;
    }
    if (length != 0)
        nsp__tracestate_read(out, text, length);
    memcpy(out->trace_id, record->trace_id, sizeof out->trace_id);
    memcpy(out->span_id, &record->span_id, sizeof out->span_id);
    out->flags = record->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
    if (record->threshold == NSP__THRESHOLD_CODE_DEBUG)
        out->flags |= NSP_TRACE_FLAG_DEBUG;
    out->local_root = record->local_root_id;
    out->remote = false;
}

// The unsampled root without frame has no identity until somebody asks.
static void unsampled_context(nsp__producer *producer, nsp_context *out)
{
    uint32_t name_class = producer->hot.unsampled_class;
    if ((name_class & NSP__UNSAMPLED_DRAWN) == 0) {
        uint64_t threshold = producer->thresholds[name_class & (NSP__CLASSES - 1)];
        nsp__sampler_trace_id(producer, threshold, false, producer->unsampled_root.trace_id);
        producer->unsampled_root.span_id = nsp__span_id_draw(producer);
        producer->hot.unsampled_class = name_class | NSP__UNSAMPLED_DRAWN;
    }
    out->threshold = out->randomness = NSP_CONTEXT_UNKNOWN;
    memcpy(out->trace_id, producer->unsampled_root.trace_id, sizeof out->trace_id);
    memcpy(out->span_id, &producer->unsampled_root.span_id, sizeof out->span_id);
    out->flags = NSP_TRACE_FLAG_RANDOM;
    out->local_root = producer->unsampled_root.span_id;
}

// The innermost entry that has an identity. True if that is of a span that does not record.
static bool innermost_context(nsp__producer *producer, const nsp__entry *top, nsp_context *out)
{
    for (const nsp__entry *entry = top; entry >= &producer->stack[0]; entry--) {
        if (entry->current == NSP__UNSAMPLED_ROOT) {
            unsampled_context(producer, out);
            return true;
        }
        const nsp_span *span = (const nsp_span *)entry->current;
        if (nsp__has_frame(span) &&
            nsp__span_open(span)) { // not one that was entered here and ended elsewhere
            nsp__identity_context(nsp__frame_of(span), out);
            return !nsp_span_recording(span);
        }
    }
    return false;
}

// A child without a frame. One of an unsampled trace gets an id at each question, since the spans that it may stand for
// are many; one that found no room in a trace that is recorded is not there, and passes for its parent.
static void frameless_context(nsp__producer *producer, const nsp__entry *top, nsp_context *out)
{
    if (!innermost_context(producer, top, out))
        return;
    uint64_t id = nsp__span_id_draw(producer);
    memcpy(out->span_id, &id, sizeof out->span_id);
}

void nsp_span_context(const nsp_span *span, nsp_context *out)
{
    nsp__context_invalid(out);
    if (nsp__has_frame(span)) {
        if (nsp__process_copied())
            return; // its frame is not in this process
        if (nsp__span_open(span))
            nsp__identity_context(nsp__frame_of(span), out);
        else if (!nsp__inherited_context(span, out))
            nsp__misused();
        return;
    }
    nsp__producer *producer = nsp__producer_self();
    bool sentinel = span != NULL && (producer == NULL || producer->stack[0].current != NSP__UNSAMPLED_ROOT);
    if (sentinel && nsp__inherited_context((const nsp_span *)NSP__UNSAMPLED_ROOT, out))
        return;
    if (producer == NULL || producer->hot.top == &producer->busy)
        return;
    nsp__entry *top = producer->hot.top;
    if (span == NULL && top->current == NSP__ENTERED_INERT)
        span = (const nsp_span *)NSP__UNSAMPLED_CHILD; // as nsp_span_current says
    nsp__busy_begin(producer); // a signal handler that asks meanwhile would draw the same numbers
    if ((uintptr_t)span == NSP__UNSAMPLED_ROOT && producer->stack[0].current == NSP__UNSAMPLED_ROOT)
        unsampled_context(producer, out); // whatever is above it
    else if ((uintptr_t)span == NSP__UNSAMPLED_CHILD)
        frameless_context(producer, top, out);
    else
        innermost_context(producer, top, out);
    nsp__busy_end(producer, top);
}
