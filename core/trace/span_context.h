// SPDX-License-Identifier: Apache-2.0
//
// The identity of a span, as its frame holds it, and the context that the span sends on.
#ifndef NSP_TRACE_SPAN_CONTEXT_H
#define NSP_TRACE_SPAN_CONTEXT_H

#include "trace/producer.h"

// Resets everything in a record's identity but the ids.
void nsp__identity_clear(nsp__record *record);

// Writes the identity of a span with this id, whose parent is the span of the context.
void nsp__identity_write(nsp__frame *frame, uint64_t id, const nsp_context *context);

// Writes the identity of a child that does not record, or of a detached copy of the current span.
void nsp__identity_inert(nsp__producer *producer, nsp__frame *frame, const nsp_context *context);

// Reads the context that the span in this frame sends on.
void nsp__identity_context(const nsp__frame *frame, nsp_context *out);

// Copies a span's tracestate item from parent to child. Out of line, because few traces have one.
void nsp__tracestate_inherit(nsp__frame *frame, const nsp__frame *parent);

#endif
