// SPDX-License-Identifier: Apache-2.0
//
// Extraction and injection in all formats in use, and the context that came with the thread's request.
#include <nanospan/propagation.h>

#include "propagation/field.h"
#include "propagation/formats.h"
#include "propagation/propagators.h"
#include "propagation/same_trace.h"
#include "context/context.h"

static __thread const nsp_incoming *current __attribute__((tls_model("initial-exec")));

// In the order of the formats.
static const char *const fields[][5] = {
    [NSP__FORMAT_TRACECONTEXT] = {NSP__TRACEPARENT, NSP__TRACESTATE},
    [NSP__FORMAT_BAGGAGE] = {NSP__BAGGAGE},
    [NSP__FORMAT_B3] = {NSP__B3},
    [NSP__FORMAT_B3MULTI] = {NSP__B3_TRACE_ID, NSP__B3_SPAN_ID, NSP__B3_SAMPLED, NSP__B3_FLAGS},
};

// ---- extract ----

static nsp__found extract_format(nsp__format format, nsp_context *out, const nsp_carrier *carrier)
{
    return format == NSP__FORMAT_TRACECONTEXT ? nsp__tracecontext_extract(out, carrier)
                                              : nsp__b3_extract(out, carrier);
}

nsp_status nsp_extract(nsp_incoming *out, const nsp_carrier *carrier)
{
    nsp__context_invalid(&out->context);
    out->baggage.length = 0;
    out->baggage.text[0] = '\0';
    if (carrier == NULL || carrier->get == NULL)
        return NSP_ERR_INVALID;
    nsp__formats formats = nsp__propagators();
    bool found = false, bad = false;
    for (size_t i = 0; nsp__formats_at(formats, i) != NSP__FORMAT_END; i++) {
        nsp__format format = nsp__formats_at(formats, i);
        if (format == NSP__FORMAT_BAGGAGE) {
            nsp__baggage_extract(&out->baggage, carrier);
            continue;
        }
        nsp_context context;
        nsp__found one = extract_format(format, &context, carrier);
        bad |= one == NSP__BAD;
        if (one != NSP__FOUND)
            continue;
        // Ids are worth more than a sampling decision without ids.
        if (!found || (nsp_context_valid(&context) && !nsp_context_valid(&out->context)))
            out->context = context;
        else
            nsp__context_add(&out->context, &context);
        found = true;
    }
    return found ? NSP_OK : bad ? NSP_ERR_INVALID : NSP_ERR_NOT_FOUND;
}

// ---- inject ----

nsp_status nsp_inject(const nsp_context *context, const nsp_baggage *baggage, const nsp_carrier *carrier)
{
    if (carrier == NULL || carrier->set == NULL)
        return NSP_ERR_INVALID;
    nsp__formats formats = nsp__propagators();
    bool room = true;
    for (size_t i = 0; nsp__formats_at(formats, i) != NSP__FORMAT_END; i++) {
        nsp__format format = nsp__formats_at(formats, i);
        if (format == NSP__FORMAT_BAGGAGE) {
            room &= baggage == NULL || nsp__baggage_inject(baggage, carrier);
        } else if (context != NULL) {
            room &= format == NSP__FORMAT_TRACECONTEXT ? nsp__tracecontext_inject(context, carrier)
                    : format == NSP__FORMAT_B3         ? nsp__b3_inject_single(context, carrier)
                                                       : nsp__b3_inject_multi(context, carrier);
        }
    }
    return room ? NSP_OK : NSP_ERR_FULL;
}

nsp_status nsp_inject_span(const nsp_span *span, const nsp_carrier *carrier)
{
    nsp_context own;
    const nsp_context *context = &own;
    nsp_span_context(span, &own);
    if (!nsp_context_valid(&own) && current != NULL)
        context = &current->context;
    return nsp_inject(context, current != NULL ? &current->baggage : NULL, carrier);
}

const char *nsp_inject_field(size_t index)
{
    nsp__formats formats = nsp__propagators();
    for (size_t i = 0; nsp__formats_at(formats, i) != NSP__FORMAT_END; i++)
        for (const char *const *name = fields[nsp__formats_at(formats, i)]; *name != NULL; name++)
            if (index-- == 0)
                return *name;
    return NULL;
}

// ---- what came in ----

const nsp_incoming *nsp_incoming_enter(const nsp_incoming *incoming)
{
    const nsp_incoming *before = current;
    current = incoming;
    return before;
}

const nsp_incoming *nsp_incoming_current(void)
{
    return current;
}
