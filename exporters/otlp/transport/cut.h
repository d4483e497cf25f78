// SPDX-License-Identifier: Apache-2.0
//
// Cuts a request between its spans: finds the spans in a batch that an encoder closed, and makes a smaller
// request of some of them. All functions are pure and thread safe.
#ifndef NSP_OTLP_TRANSPORT_CUT_H
#define NSP_OTLP_TRANSPORT_CUT_H

#include <nanospan/base.h>

// A whole request. Everything around its spans is repeated in each part, except the lengths in protobuf.
typedef struct nsp__otlp_request {
    const uint8_t *bytes;
    size_t length;
    const uint8_t *spans, *end;      // the first span, and behind the last one
    const uint8_t *resource, *scope; // protobuf only: these two fields, unchanged
    size_t resource_size, scope_size;
} nsp__otlp_request;

typedef struct nsp__otlp_cutter {
    // False: the request does not have the form that our encoder writes.
    bool (*find)(nsp__otlp_request *out, const uint8_t *bytes, size_t length);
    // Bytes from the span at `at`, which is not the end, to the next one; 0: the request is damaged.
    size_t (*span_size)(const nsp__otlp_request *request, const uint8_t *at);
    // Writes a request of the spans from `from` to `to`, which is never longer than the whole. Returns its
    // length.
    size_t (*write)(uint8_t *out, const nsp__otlp_request *request, const uint8_t *from, const uint8_t *to);
} nsp__otlp_cutter;

// Writes a request without its first spans to `out`, which has room for the whole. Returns its length; 0 if it is
// damaged, or has no more spans than these.
size_t nsp__otlp_cut_off(const nsp__otlp_cutter *cutter, uint8_t *out, const uint8_t *bytes, size_t length,
                         uint64_t spans);

extern const nsp__otlp_cutter nsp__otlp_protobuf_cutter, nsp__otlp_json_cutter;

#endif
