// SPDX-License-Identifier: Apache-2.0
//
// W3C Trace Context, level 2: the fields traceparent and tracestate. Their texts are read and written in the store.
#include "propagation/field.h"
#include "propagation/formats.h"

// A well formed list without blanks has at most 32 members of 256 + 1 + 256 bytes.
enum { LIST_SIZE = 32 * 514 };

// All tracestate fields as one list. One field is used where it lies; several are joined in `joined`. What does not fit
// cannot be well formed, and a bad list counts as none.
static nsp__slice whole_list(const nsp_carrier *carrier, char joined[LIST_SIZE])
{
    nsp__slice list = {NULL, 0}, value;
    bool copied = false;
    for (size_t index = 0; nsp__field_get(carrier, NSP__TRACESTATE, index, &value); index++) {
        if (value.length == 0)
            continue;
        if (list.length == 0) {
            list = value;
            continue;
        }
        if (value.length >= LIST_SIZE || list.length >= LIST_SIZE - value.length)
            return (nsp__slice){NULL, 0};
        if (!copied)
            memcpy(joined, list.text, list.length);
        copied = true;
        joined[list.length] = ',';
        memcpy(joined + list.length + 1, value.text, value.length);
        list = (nsp__slice){joined, list.length + 1 + value.length};
    }
    return list;
}

nsp__found nsp__tracecontext_extract(nsp_context *out, const nsp_carrier *carrier)
{
    nsp__slice traceparent, another;
    if (!nsp__field_get(carrier, NSP__TRACEPARENT, 0, &traceparent))
        return NSP__ABSENT;
    // Of several there is no telling which one is meant.
    if (nsp__field_get(carrier, NSP__TRACEPARENT, 1, &another))
        return NSP__BAD;
    char joined[LIST_SIZE];
    nsp__slice list = whole_list(carrier, joined);
    nsp_status status = nsp_context_parsen(out, traceparent.text, traceparent.length, list.text, list.length);
    return status == NSP_OK ? NSP__FOUND : NSP__BAD;
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
