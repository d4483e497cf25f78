// SPDX-License-Identifier: Apache-2.0
//
// Beginning with options: explicit parents, new roots, kinds, links; and detached spans.
#include <string.h>

#include "base/fork.h"
#include "trace/commit.h"
#include "trace/detached.h"
#include "trace/identity.h"
#include "trace/stack.h"

// The caller's options, or *own: what an older, shorter struct has, and "as usual" for the rest.
static const nsp_span_options *checked(const nsp_span_options *options, nsp_span_options *own)
{
    if (options != NULL && options->size >= sizeof *own)
        return options;
    *own = (nsp_span_options)NSP_SPAN_OPTIONS_INIT;
    if (options != NULL)
        memcpy(own, options, options->size);
    return own;
}

// The explicit parent: a context, or a decision for the trace that begins.
static const nsp_context *parent_of(const nsp_span_options *options)
{
    const nsp_context *parent = options->parent;
    bool given =
        parent != NULL && (nsp_context_valid(parent) || (parent->flags & NSP_TRACE_FLAG_DECIDED) != 0);
    return given ? parent : NULL;
}

static void describe(nsp_span *span, const nsp_span_options *options)
{
    if (!nsp_span_recording(span))
        return;
    unsigned kind = (unsigned)options->kind;
    nsp__frame_of(span)->record.kind = (uint8_t)(kind <= NSP_KIND_CONSUMER ? kind : NSP_KIND_INTERNAL);
    for (size_t i = 0; options->links != NULL && i < options->link_count; i++)
        nsp_span_add_link_with(span, &options->links[i].context, options->links[i].attributes,
                               options->links[i].attribute_count);
}

// The thread's state with a policy that is up to date; NULL if nothing can be begun (counted where it has to be).
static nsp__producer *ready(void)
{
    nsp_status status;
    if (!__atomic_load_n(&nsp__active, __ATOMIC_RELAXED))
        return NULL;
    for (int tries = 0; tries < 2; tries++) {
        nsp__producer *producer = nsp__producer_self();
        if (producer == NULL)
            producer = nsp__producer_attach(NULL, &status);
        if (producer == NULL)
            break;
        if (producer->hot.top == &producer->busy) {
            if (nsp__parents_state())
                return NULL;
            nsp__count_nested(&producer->slot->counters.dropped_in_signal);
            return NULL;
        }
        if (producer->hot.generation == __atomic_load_n(producer->hot.generation_now, __ATOMIC_RELAXED)) // N1
            return producer;
        if (nsp__parents_state())
            return NULL;
        nsp__entry *top = producer->hot.top;
        nsp__busy_begin(producer);
        bool session = nsp__sampler_refresh(producer);
        if (!session)
            nsp__thread_v1 = &nsp__nobody; // first, as in nsp__begin_special
        nsp__busy_end(producer, top);
        if (session)
            return producer;
    }
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE);
    if (control != NULL && !nsp__process_copied())
        nsp__count_nested(&control->unattached_attempted);
    return NULL;
}

static uintptr_t publish(nsp__producer *producer, nsp__frame *frame, bool recording)
{
    uintptr_t handle = recording ? nsp__frame_handle(frame, frame->record.span_id, NSP__RECORDING)
                                 : nsp__frame_handle(frame, ++producer->unrecorded, 0);
    nsp__frame_publish(frame, handle);
    return handle;
}

// ---- on the stack ----

static nsp_span *begin_apart(nsp__producer *producer, nsp_name name, const nsp_context *parent,
                             nsp_ticks start)
{
    nsp__entry *top = producer->hot.top;
    nsp__entry *entry = top + 1;
    nsp__frame *frame = entry->frame;
    nsp__busy_begin(producer);
    if (frame == NULL) {
        nsp__count(&producer->slot->counters.attempted);
        nsp__count(&producer->slot->counters.dropped_too_deep);
        nsp__busy_end(producer, top);
        return (nsp_span *)NSP__MUTED_CHILD;
    }
    nsp__frame_open(frame, name, nsp__ticks_or_now(start));
    bool recording = nsp__identity_decide(producer, frame, name, parent);
    entry->current = publish(producer, frame, recording);
    nsp__busy_end(producer, entry);
    return (nsp_span *)entry->current;
}

nsp_span *nsp_span_begin_with(nsp_name name, const nsp_span_options *given)
{
    nsp_span_options own;
    const nsp_span_options *options = checked(given, &own);
    const nsp_context *parent = options->new_root ? NULL : parent_of(options);
    nsp_span *span;
    if (parent == NULL && !options->new_root) {
        span = nsp_span_begin_at(name, options->start);
    } else {
        nsp__producer *producer = ready();
        if (producer == NULL)
            return NULL;
        span = begin_apart(producer, name, parent, options->start);
    }
    describe(span, options);
    return span;
}

// ---- detached ----

// Child of what is current, if anything is: a recording parent is continued, an inert one's context kept.
static bool detached_identity(nsp__producer *producer, nsp__frame *frame, nsp_name name,
                              const nsp_span_options *options, uintptr_t current)
{
    const nsp_context *parent = options->new_root ? NULL : parent_of(options);
    if (parent != NULL || options->new_root || current == 0)
        return nsp__identity_decide(producer, frame, name, parent);
    if (current & NSP__RECORDING) {
        const nsp__frame *above = nsp__frame_of((nsp_span *)current);
        nsp__record_child_of(producer, producer->slot, &frame->record, &above->record);
        if ((frame->record.flags & NSP__RECORD_TRACESTATE) != 0)
            nsp__tracestate_inherit(frame, above);
        return true;
    }
    return false; // the caller has the context
}

nsp_span *nsp_span_begin_detached(nsp_name name, const nsp_span_options *given)
{
    nsp_span_options own;
    const nsp_span_options *options = checked(given, &own);
    nsp__producer *producer = ready();
    if (producer == NULL)
        return NULL;
    if (nsp__has_frame((nsp_span *)producer->hot.top->current))
        nsp__drop_ended(producer);
    nsp__entry *top = producer->hot.top;
    uintptr_t current = top->current;
    bool explicit_origin = options->new_root || parent_of(options) != NULL;
    bool under_inert = !explicit_origin && current != 0 && (current & NSP__RECORDING) == 0;
    nsp_context context;
    if (under_inert) {
        nsp_span_context(NULL, &context);
        if (!nsp_context_valid(&context))
            return (nsp_span *)NSP__MUTED_CHILD; // no identity to keep
    }

    nsp__busy_begin(producer);
    nsp__frame *frame = nsp__detached_take(producer);
    if (frame == NULL) {
        nsp__count(&producer->slot->counters.attempted);
        nsp__count(&producer->slot->counters.dropped_detached_full);
        nsp__busy_end(producer, top);
        return (nsp_span *)NSP__MUTED_CHILD;
    }
    nsp__frame_open(frame, name, nsp__ticks_or_now(options->start));
    bool recording = false;
    if (under_inert)
        nsp__identity_inert(producer, frame, &context);
    else
        recording = detached_identity(producer, frame, name, options, current);
    nsp_span *span = (nsp_span *)publish(producer, frame, recording);
    nsp__busy_end(producer, top);
    describe(span, options);
    return span;
}
