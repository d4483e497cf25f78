// SPDX-License-Identifier: Apache-2.0
//
// What each format reads from a carrier and writes to it.
#ifndef NSP_PROPAGATION_FORMATS_H
#define NSP_PROPAGATION_FORMATS_H

#include <nanospan/propagation.h>

typedef enum nsp__found {
    NSP__ABSENT, // no field of this format
    NSP__BAD,    // fields that cannot be used
    NSP__FOUND   // a context, or a decision
} nsp__found;

// *out is of use only if something is found. Injection says false if the carrier had no room; a context that has nothing
// to say in the format is not written.
nsp__found nsp__tracecontext_extract(nsp_context *out, const nsp_carrier *carrier);
bool nsp__tracecontext_inject(const nsp_context *context, const nsp_carrier *carrier);

// Reads one field or several, whichever is there.
nsp__found nsp__b3_extract(nsp_context *out, const nsp_carrier *carrier);
bool nsp__b3_inject_single(const nsp_context *context, const nsp_carrier *carrier);
bool nsp__b3_inject_multi(const nsp_context *context, const nsp_carrier *carrier);

// *out is the empty list at first.
void nsp__baggage_extract(nsp_baggage *out, const nsp_carrier *carrier);
bool nsp__baggage_inject(const nsp_baggage *baggage, const nsp_carrier *carrier);

// Their fields.
#define NSP__TRACEPARENT "traceparent"
#define NSP__TRACESTATE "tracestate"
#define NSP__BAGGAGE "baggage"
#define NSP__B3 "b3"
#define NSP__B3_TRACE_ID "x-b3-traceid"
#define NSP__B3_SPAN_ID "x-b3-spanid"
#define NSP__B3_SAMPLED "x-b3-sampled"
#define NSP__B3_FLAGS "x-b3-flags"

#endif
