// SPDX-License-Identifier: Apache-2.0
//
// What a pack is made of, before it becomes columns. Only the sources of the packer may include this.
#ifndef NANOSPAN_PAGE_PACK_CONTENT_H
#define NANOSPAN_PAGE_PACK_CONTENT_H

#include "pack.h"
#include "support/interning.h"

#define PACK_NONE UINT32_MAX

// A resource, span, event or link: a holder of attributes.
typedef struct packed_holder {
    uint32_t shape;
    uint32_t first_value; // in the values as they came
} packed_holder;

typedef struct packed_span {
    const span_row *row;
    uint32_t parent; // row in the pack, or PACK_NONE
    uint32_t name, message, resource;
    uint32_t first_event, event_count; // in the events as they came; the same for links
    uint32_t first_link, link_count;
    packed_holder holder;
} packed_span;

typedef struct packed_event {
    uint64_t time; // Unix time
    uint32_t row, name;
    packed_holder holder;
} packed_event;

typedef struct packed_link {
    uint64_t trace[2], span;
    uint32_t row;
    packed_holder holder;
} packed_link;

typedef struct packed_resource {
    uint32_t service;
    packed_holder holder;
} packed_resource;

typedef struct packed_dropped {
    uint32_t row, attributes, events, links;
} packed_dropped;

typedef struct packed_pause {
    uint32_t row;
    const off_cpu *pause;
} packed_pause;

typedef struct pack {
    const pack_content *content;
    const trace **traces; // in the order of the pack
    uint32_t *firsts;     // of each trace, its first row in the pack
    uint32_t *indices;    // of each trace of the store: its index in the pack, or PACK_NONE
    size_t trace_count;
    uint64_t base;

    packed_span *spans;
    size_t span_count;
    uint32_t *orphans; // rows
    size_t orphan_count, orphan_capacity;
    packed_pause *pauses;
    size_t pause_count, pause_capacity;
    uint32_t *places; // of each row of the store: its row in the pack, or PACK_NONE

    packed_resource *resources;
    size_t resource_count, resource_capacity;
    packed_event *events;
    size_t event_count, event_capacity;
    packed_link *links;
    size_t link_count, link_capacity;
    packed_dropped *dropped;
    size_t dropped_count, dropped_capacity;
    uint64_t *values;
    size_t value_count, value_capacity;

    interning strings;
    interning shapes; // texts of items, PACK_ITEM bytes each: the key's string, little-endian, and the type
    text scratch;
    bool too_much; // of the bounds, one is exceeded
} pack;

enum { PACK_ITEM = 5 };

// Sorts the traces, numbers the rows, and finds parents and times off the CPU.
void pack_spans(pack *p);

// Reads the attributes, events and links. Returns false after printing an error if a file changed.
bool pack_details(pack *p);

// The number of a text, whose bytes that are not UTF-8 become U+FFFD.
uint32_t pack_string(pack *p, slice value);

// How many attributes a holder of this shape has.
uint32_t pack_shape_count(const pack *p, uint32_t shape);

// Puts what came in the order of the files into the order of the pack.
void pack_arrange(pack *p);

// Adds the whole pack, not compressed yet.
void pack_columns(const pack *p, text *out);

#endif
