// SPDX-License-Identifier: Apache-2.0
#include "trace/head_decision.h"

#include <string.h>

#include "context/context.h"
#include "context/threshold.h"
#include "trace/commit.h"
#include "trace/span_context.h"
#include "trace/speculation.h"

// True, and counted, if there is too little room for a new trace. A debug trace is never refused; it loses
// spans only when there is no room at all.
static bool refused(nsp__producer *producer, uint8_t flags)
{
    if ((flags & NSP_TRACE_FLAG_DEBUG) != 0 || nsp__slot_fill(producer->home.slot) <= producer->watermark)
        return false;
    nsp__count(&producer->home.slot->counters.roots_refused);
    return true;
}

static bool asked_for(const nsp_context *context)
{
    return (context->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_DEBUG)) != 0;
}

// A root that does not record. Its randomness is below the threshold; 0 stands for any randomness.
static void inert_root(nsp__producer *producer, nsp__frame *frame, uint64_t threshold)
{
    nsp__record *record = &frame->record;
    nsp__identity_clear(record);
    nsp__sampler_trace_id(producer, threshold, false, record->trace_id);
    record->parent_id = 0;
    record->span_id = nsp__span_id_draw(producer);
    record->local_root_id = record->span_id;
    record->flags = NSP__RECORD_RANDOM;
}

// No skip is left. A class with an outlier rule has none, and decides here.
static bool hit(nsp__producer *producer, uint32_t name_class)
{
    if (NSP__UNLIKELY(producer->thresholds[name_class] == NSP__THRESHOLD_RULED))
        return nsp__ruled_head(producer, name_class);
    nsp__sampler_draw(producer, name_class);
    return true;
}

static bool decide_root(nsp__producer *producer, nsp__frame *frame, nsp_name name)
{
    uint32_t name_class = nsp__sampler_settled_class(producer, name);
    int64_t *left = &producer->home.slot->skips.left[name_class];
    int64_t skips = __atomic_load_n(left, __ATOMIC_RELAXED);
    bool sampled = skips <= 0;
    if (!sampled)
        __atomic_store_n(left, skips - 1, __ATOMIC_RELAXED);
    else if (producer->thresholds[name_class] != 0)
        sampled = hit(producer, name_class);
    sampled = sampled && !refused(producer, 0);
    if (sampled) {
        nsp__sampler_trace_id(producer, nsp__class_threshold(producer, name_class), true,
                              frame->record.trace_id);
        nsp__record_root(producer, producer->home.slot, &frame->record, name_class);
        return true;
    }
    inert_root(producer, frame, nsp__class_threshold(producer, name_class));
    return false;
}

// A root for which the sender of the request decided, without naming a trace. No rate comes with that
// decision, so there is no threshold.
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
    nsp__record_root(producer, producer->home.slot, record, 0);
    nsp__record_set_traits(
        record, nsp__record_root_traits(debug ? NSP__THRESHOLD_CODE_DEBUG : NSP__THRESHOLD_CODE_NONE));
    record->flags &= (uint8_t)~NSP__RECORD_DECIDED;
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

// A span of a remote trace: the sender's flag decides, or this process's threshold. What is sent on agrees
// with the decision either way. *here: the threshold has decided.
static bool decide_remote(nsp__producer *producer, nsp_name name, nsp_context *context, bool *here)
{
    bool sampled = asked_for(context);
    uint64_t threshold = context->threshold;
    if ((context->flags & NSP_TRACE_FLAG_DEBUG) != 0) {
        threshold = NSP_CONTEXT_UNKNOWN;
    } else if (producer->parent_policy == NSP_PARENT_DECIDE ||
               (context->flags & NSP_TRACE_FLAG_DEFERRED) != 0) {
        threshold = nsp__class_threshold(producer, nsp__sampler_settled_class(producer, name));
        sampled = randomness_of(context) >= threshold;
        *here = true;
    } else if (threshold != NSP_CONTEXT_UNKNOWN && (randomness_of(context) >= threshold) != sampled) {
        threshold = NSP_CONTEXT_UNKNOWN; // it contradicts the flag, and the flag counts
    }
    sampled = sampled && !refused(producer, context->flags);
    context->threshold = sampled ? threshold : NSP_CONTEXT_UNKNOWN;
    context->flags =
        (uint8_t)((context->flags & ~NSP_TRACE_FLAG_SAMPLED) | (sampled ? NSP_TRACE_FLAG_SAMPLED : 0));
    return sampled;
}

// Copies a context without the unused part of its text, which is most of it.
static void copy_used(nsp_context *to, const nsp_context *from)
{
    memcpy(to, from, offsetof(nsp_context, tracestate));
    size_t length = from->tracestate_length;
    if (length != 0)
        memcpy(to->tracestate, from->tracestate, length < NSP_TRACESTATE_MAX ? length : NSP_TRACESTATE_MAX);
}

bool nsp__head_decide(nsp__producer *producer, nsp__frame *frame, nsp_name name, const nsp_context *context)
{
    if (context == NULL)
        return decide_root(producer, frame, name);
    if (!nsp__context_has_ids(context))
        return decide_given_root(producer, frame, name, context);
    nsp_context given;
    copy_used(&given, context);
    bool sampled = asked_for(&given), here = false;
    if (given.remote)
        sampled = decide_remote(producer, name, &given, &here);
    if (!sampled) {
        nsp__identity_inert(producer, frame, &given);
        return false;
    }
    nsp__identity_write(frame, nsp__attempt(producer, producer->home.slot), &given);
    frame->record.flags |= here ? NSP__RECORD_KEPT | NSP__RECORD_DECIDED : NSP__RECORD_KEPT;
    return true;
}
