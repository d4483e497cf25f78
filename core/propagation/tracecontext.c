// SPDX-License-Identifier: Apache-2.0
//
// W3C Trace Context, level 2: the fields traceparent and tracestate. core/context reads and writes their
// texts.
#include "propagation/field.h"
#include "propagation/formats.h"
#include "context/tracestate.h"

// All tracestate fields form one list, which is read in place, because this runs on threads and in signal
// handlers with little stack.
static void read_list(nsp_context *out, const nsp_carrier *carrier)
{
    nsp__tracestate_list list;
    nsp__slice value;
    nsp__tracestate_begin(&list);
    for (size_t index = 0; nsp__field_get(carrier, NSP__TRACESTATE, index, &value); index++)
        if (!nsp__tracestate_add(&list, value.text, value.length))
            break;
    nsp__tracestate_end(&list, out);
}

nsp__found nsp__tracecontext_extract(nsp_context *out, const nsp_carrier *carrier)
{
    nsp__slice traceparent, another;
    if (!nsp__field_get(carrier, NSP__TRACEPARENT, 0, &traceparent))
        return NSP__ABSENT;
    // If there are several, there is no way to tell which one is meant.
    if (nsp__field_get(carrier, NSP__TRACEPARENT, 1, &another))
        return NSP__BAD;
    if (nsp_context_parsen(out, traceparent.text, traceparent.length, NULL, 0) != NSP_OK)
        return NSP__BAD;
    read_list(out, carrier);
    return NSP__FOUND;
}

bool nsp__tracecontext_inject(const nsp_context *context, const nsp_carrier *carrier)
{
    char traceparent[NSP_TRACEPARENT_SIZE], tracestate[NSP_TRACESTATE_MAX + 1];
    nsp_context_format(context, traceparent);
    if (traceparent[0] == '\0')
        return true;
    if (!nsp__field_set(carrier, NSP__TRACEPARENT, traceparent, NSP_TRACEPARENT_SIZE - 1))
        return false;
    size_t length = nsp_context_format_state(context, tracestate, sizeof tracestate);
    return length == 0 || nsp__field_set(carrier, NSP__TRACESTATE, tracestate, length);
}
