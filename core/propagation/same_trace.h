// SPDX-License-Identifier: Apache-2.0
//
// Combines what the fields of several formats in one request say about the same trace.
#ifndef NSP_PROPAGATION_SAME_TRACE_H
#define NSP_PROPAGATION_SAME_TRACE_H

#include <nanospan/context.h>
#include <string.h>

// Adds to a context what only another context of the same trace says: a tracestate, that the ids are random,
// that the trace is being debugged, and the sampling decision if the first leaves it open. The ids stay.
static inline void nsp__context_add(nsp_context *context, const nsp_context *more)
{
    if (!nsp_context_valid(context) || !nsp_context_valid(more) ||
        memcmp(context->trace_id, more->trace_id, sizeof context->trace_id) != 0)
        return;
    if ((context->flags & NSP_TRACE_FLAG_DEFERRED) != 0 && (more->flags & NSP_TRACE_FLAG_DEFERRED) == 0)
        context->flags = (uint8_t)((context->flags & ~(NSP_TRACE_FLAG_DEFERRED | NSP_TRACE_FLAG_SAMPLED)) |
                                   (more->flags & NSP_TRACE_FLAG_SAMPLED));
    context->flags |= more->flags & NSP_TRACE_FLAG_RANDOM;
    if ((more->flags & NSP_TRACE_FLAG_DEBUG) != 0)
        context->flags = (uint8_t)((context->flags & ~NSP_TRACE_FLAG_DEFERRED) | NSP_TRACE_FLAG_DEBUG |
                                   NSP_TRACE_FLAG_SAMPLED);
    if (context->tracestate_length == 0 && more->tracestate_length != 0) {
        memcpy(context->tracestate, more->tracestate, sizeof context->tracestate);
        context->tracestate_length = more->tracestate_length;
        context->threshold = more->threshold;
        context->randomness = more->randomness;
    }
}

#endif
