// SPDX-License-Identifier: Apache-2.0
//
// Cuts a request between its spans: where they lie in a batch that an encoder closed, and a smaller request of some of
// them. All functions are pure; thread safe.
#ifndef NSP_OTLP_TRANSPORT_CUT_H
#define NSP_OTLP_TRANSPORT_CUT_H

#include <nanospan/base.h>

// A whole request. What stands around its spans is repeated in each part; in protobuf but for the lengths.
typedef struct nsp__otlp_request {
    const uint8_t *bytes;
    size_t length;
    const uint8_t *spans, *end;      // the first span, and behind the last one
    const uint8_t *resource, *scope; // of protobuf: their fields, each as it stands
    size_t resource_size, scope_size;
} nsp__otlp_request;

typedef struct nsp__otlp_cutter {
    // False: not a request of the form in which our encoder writes it.
    bool (*find)(nsp__otlp_request *out, const uint8_t *bytes, size_t length);
    // Bytes of the span at `at`, which is not the end, up to where the next one begins; 0: damaged.
    size_t (*span_size)(const nsp__otlp_request *request, const uint8_t *at);
    // Writes the request of the spans from `from` to `to`; never more bytes than the whole has. Returns how many.
    size_t (*write)(uint8_t *out, const nsp__otlp_request *request, const uint8_t *from, const uint8_t *to);
} nsp__otlp_cutter;

extern const nsp__otlp_cutter nsp__otlp_protobuf_cutter, nsp__otlp_json_cutter;

#endif
