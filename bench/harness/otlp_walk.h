// SPDX-License-Identifier: Apache-2.0
//
// Walks an ExportTraceServiceRequest field by field, down to the attribute values of events and links, and
// counts.
#ifndef NSP_BENCH_OTLP_WALK_H
#define NSP_BENCH_OTLP_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct otlp_walk {
    uint64_t fields, spans, attributes, events, links;
    uint64_t *ids; // span ids, in the order of the message; grows
    size_t ids_count, ids_room;
} otlp_walk;

// Adds to the counts, and stores the span ids in ids, from index 0. False if this is not such a message (a
// length beyond its end, an unknown wire type, a span id that is not 8 bytes, more than 64 levels), or if
// there is no memory.
bool otlp_walk_request(otlp_walk *walk, const uint8_t *bytes, size_t length);

void otlp_walk_free(otlp_walk *walk);

#endif
