// SPDX-License-Identifier: Apache-2.0
//
// The encoder's state, and the parts of a span that all ways to write one share.
#ifndef NSP_OTLP_PROTOBUF_SPAN_H
#define NSP_OTLP_PROTOBUF_SPAN_H

#include "encode/walk.h"
#include "otlp/protobuf/path.h"
#include "otlp/protobuf/prefix.h"
#include "otlp/protobuf/protobuf.h"
#include "otlp/protobuf/value.h"

struct nsp__otlp_encoder {
    nsp__names *names; // in the form "length, text"
    nsp__otlp_prefix prefix;
    size_t head; // room for the prefix and the lengths around it
    uint64_t threshold;
    uint8_t threshold_field[2 + NSP__THRESHOLD_TEXT_MAX]; // trace_state made from it
    size_t threshold_size;
    nsp__keys keys;
    nsp__otlp_path *paths[NSP__OTLP_PATHS]; // by number, from 1; NULL: not made yet
};

// The trace_state if no text came with the context: the sampler's threshold.
static inline uint8_t *nsp__put_threshold(nsp__otlp_encoder *encoder, uint8_t *at, uint64_t threshold)
{
    if (threshold == NSP_CONTEXT_UNKNOWN)
        return at;
    if (NSP__UNLIKELY(threshold != encoder->threshold)) {
        size_t length = nsp__threshold_text(encoder->threshold_field + 2, threshold);
        encoder->threshold_field[0] = NSP__TAG(3, NSP__WIRE_BYTES);
        encoder->threshold_field[1] = (uint8_t)length;
        encoder->threshold_size = 2 + length;
        encoder->threshold = threshold;
    }
    memcpy(at, encoder->threshold_field, sizeof encoder->threshold_field);
    return at + encoder->threshold_size;
}

// The fields up to the end time. tracestate NULL: the sampler's threshold is written.
enum { NSP__SPAN_FIXED = 128 }; // more than they need, apart from name and tracestate
static inline uint8_t *nsp__put_span_head(nsp__otlp_encoder *encoder, uint8_t *at, const uint8_t *limit,
                                          const nsp_span_view *view, nsp__form name,
                                          const uint8_t *tracestate, size_t tracestate_length)
{
    at = nsp__put_id(at, NSP__TAG(1, NSP__WIRE_BYTES), view->trace_id, NSP_TRACE_ID_SIZE);
    at = nsp__put_id(at, NSP__TAG(2, NSP__WIRE_BYTES), view->span_id, NSP_SPAN_ID_SIZE);
    if (tracestate == NULL) {
        at = nsp__put_threshold(encoder, at, view->threshold);
    } else if (tracestate_length) {
        at = nsp__put_text(at, limit, NSP__TAG(3, NSP__WIRE_BYTES), tracestate, tracestate_length);
        if (at == NULL || !nsp__room(at, limit, NSP__SPAN_FIXED + name.size))
            return NULL;
    }
    if (!nsp__id_zero(view->parent_id))
        at = nsp__put_id(at, NSP__TAG(4, NSP__WIRE_BYTES), view->parent_id, NSP_SPAN_ID_SIZE);
    *at++ = NSP__TAG(5, NSP__WIRE_BYTES);
    at = nsp__put_form(at, name);
    *at++ = NSP__TAG(6, NSP__WIRE_VARINT);
    *at++ = nsp__wire_kind(view->kind);
    *at++ = NSP__TAG(7, NSP__WIRE_FIXED64);
    at = nsp__put_fixed64(at, view->start_ns);
    *at++ = NSP__TAG(8, NSP__WIRE_FIXED64);
    return nsp__put_fixed64(at, view->end_ns);
}

// encoder.c. The attributes of a span that has only short ones and each key once, and none that was noted since `base`;
// NULL for any other span.
uint8_t *nsp__put_plain_attributes(nsp__otlp_encoder *encoder, uint8_t *at, const uint8_t *limit,
                                   const nsp_span_view *view, uint32_t base);

static inline uint8_t *nsp__put_span_flags(uint8_t *at, uint32_t flags)
{
    *at++ = 0x85; // flags is field 16: its tag takes two bytes
    *at++ = 0x01;
    return nsp__put_fixed32(at, flags);
}

#endif
