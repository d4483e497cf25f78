// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes each format from and to a carrier.
#ifndef NSP_PROPAGATION_FORMATS_H
#define NSP_PROPAGATION_FORMATS_H

#include <nanospan/propagation.h>

typedef enum nsp__found {
    NSP__ABSENT, // no field of this format
    NSP__BAD,    // fields that cannot be used
    NSP__FOUND   // a context, or a decision
} nsp__found;

// *out is valid only if the result is NSP__FOUND. Injection returns false if the carrier had no room; a
// context that the format cannot express is not written.
nsp__found nsp__tracecontext_extract(nsp_context *out, const nsp_carrier *carrier);
bool nsp__tracecontext_inject(const nsp_context *context, const nsp_carrier *carrier);

// Reads the single field or the several fields, whichever is present.
nsp__found nsp__b3_extract(nsp_context *out, const nsp_carrier *carrier);
bool nsp__b3_inject_single(const nsp_context *context, const nsp_carrier *carrier);
bool nsp__b3_inject_multi(const nsp_context *context, const nsp_carrier *carrier);

// *out must be the empty list at first.
void nsp__baggage_extract(nsp_baggage *out, const nsp_carrier *carrier);
bool nsp__baggage_inject(const nsp_baggage *baggage, const nsp_carrier *carrier);

// The names of their fields.
#define NSP__TRACEPARENT "traceparent"
#define NSP__TRACESTATE "tracestate"
#define NSP__BAGGAGE "baggage"
#define NSP__B3 "b3"
#define NSP__B3_TRACE_ID "x-b3-traceid"
#define NSP__B3_SPAN_ID "x-b3-spanid"
#define NSP__B3_SAMPLED "x-b3-sampled"
#define NSP__B3_FLAGS "x-b3-flags"

#endif
