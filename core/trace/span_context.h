// SPDX-License-Identifier: Apache-2.0
//
// The identity of a span, as its frame holds it, and the context that the span sends on.
#ifndef NSP_TRACE_SPAN_CONTEXT_H
#define NSP_TRACE_SPAN_CONTEXT_H

#include <string.h>

#include "context/context.h"
#include "context/threshold.h"
#include "trace/thread_state.h"

// Writes the context's tracestate and threshold into the frame.
void nsp__identity_tracestate(nsp__frame *frame, const nsp_context *context);

// Copies a span's tracestate item from parent to child. Out of line, because few traces have one.
void nsp__tracestate_inherit(nsp__frame *frame, const nsp__frame *parent);

// Whoever reads the statistics looks at the threshold (nsp__stats_open), perhaps of a frame that is just reused.
static inline void nsp__identity_threshold(nsp__record *record, uint32_t code)
{
    __atomic_store_n(&record->threshold, code, __ATOMIC_RELAXED);
}

// Resets everything in a record's identity but the ids.
static inline void nsp__identity_clear(nsp__record *record)
{
    record->flags = 0;
    record->kind = NSP_KIND_INTERNAL;
    record->status = NSP_SPAN_STATUS_UNSET;
    record->detached = 0;
    nsp__identity_threshold(record, NSP__THRESHOLD_CODE_NONE);
}

// Writes the identity of a span with this id, whose parent is the span of the context.
static inline void nsp__identity_write(nsp__frame *frame, uint64_t id, const nsp_context *context)
{
    nsp__record *record = &frame->record;
    nsp__identity_clear(record);
    memcpy(record->trace_id, context->trace_id, sizeof record->trace_id);
    memcpy(&record->parent_id, context->span_id, sizeof record->parent_id);
    record->span_id = id;
    if (context->remote)
        record->local_root_id = record->span_id;
    else
        record->local_root_id = context->local_root != 0 ? context->local_root : record->parent_id;
    record->flags = (uint8_t)((context->flags & (NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM)) |
                              (context->remote ? NSP__RECORD_PARENT_REMOTE : 0));
    if (!nsp__context_stateless(context))
        nsp__identity_tracestate(frame, context);
    else if ((context->flags & NSP_TRACE_FLAG_DEBUG) != 0)
        nsp__identity_threshold(record, NSP__THRESHOLD_CODE_DEBUG);
}

// Writes the identity of a child that does not record, or of a detached copy of the current span.
static inline void nsp__identity_inert(nsp__producer *producer, nsp__frame *frame, const nsp_context *context)
{
    nsp__identity_write(frame, nsp__span_id_draw(producer), context);
}

// Reads the context that the span in this frame sends on.
void nsp__identity_context(const nsp__frame *frame, nsp_context *out);

// The context of what is current on a stack with this top: *out must be invalid, and stays so if nothing has
// one. With the producer busy.
void nsp__context_around(nsp__producer *producer, const nsp__entry *top, nsp_context *out);

#endif
