// SPDX-License-Identifier: Apache-2.0
//
// Contexts, from the inside.
#ifndef NSP_CONTEXT_CONTEXT_H
#define NSP_CONTEXT_CONTEXT_H

#include <nanospan/context.h>
#include <string.h>

// Sets the context to the invalid one: all zero.
void nsp__context_invalid(nsp_context *context);

// What nsp_context_valid says of a context that is not NULL.
static inline bool nsp__context_has_ids(const nsp_context *context)
{
    uint64_t trace_id[2], span_id;
    memcpy(trace_id, context->trace_id, sizeof trace_id);
    memcpy(&span_id, context->span_id, sizeof span_id);
    return (trace_id[0] | trace_id[1]) != 0 && span_id != 0;
}

// True if the context has neither a tracestate nor anything to say in one.
static inline bool nsp__context_stateless(const nsp_context *context)
{
    return context->tracestate_length == 0 && context->threshold == NSP_CONTEXT_UNKNOWN &&
           context->randomness == NSP_CONTEXT_UNKNOWN;
}

#endif
