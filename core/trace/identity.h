// SPDX-License-Identifier: Apache-2.0
//
// Who a span is: the head decision and the identity of spans that do not simply continue the thread's current one, and
// the context that any span sends on.
#ifndef NSP_TRACE_IDENTITY_H
#define NSP_TRACE_IDENTITY_H

#include "trace/producer.h"

// Decides, and writes the identity into the frame: ids, flags, threshold, tracestate item. True if the span records; then it
// is counted as attempted.
// context: the explicit parent, of this process or another, or a decision without ids; NULL: a new trace. The producer is
// busy.
bool nsp__identity_decide(nsp__producer *producer, nsp__frame *frame, nsp_name name,
                          const nsp_context *context);

// Writes the identity of a child that does not record, or of a detached copy of what is current.
void nsp__identity_inert(nsp__producer *producer, nsp__frame *frame, const nsp_context *context);

// The context that a frame's span sends on.
void nsp__identity_context(const nsp__frame *frame, nsp_context *out);

#endif
