// SPDX-License-Identifier: Apache-2.0
//
// Typed attributes, events and links of spans, and their resources' attributes, which are read from their lines again.
#ifndef NANOSPAN_SUPPORT_TRACE_DETAILS_H
#define NANOSPAN_SUPPORT_TRACE_DETAILS_H

#include "common/json_read.h"
#include "trace_file.h"

// In the order of the numbers that a page's pack has for them.
typedef enum value_type {
    VALUE_STRING,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_BOOL,
    VALUE_OTHER // bytes, arrays, lists, no value, and numbers that are none
} value_type;

typedef struct attribute {
    slice key;
    value_type type;
    slice text;      // STRING: as it is, OTHER: as `nanospan view` shows it
    int64_t integer; // INT, BOOL (0 or 1)
    double real;     // DOUBLE
} attribute;

typedef struct span_event {
    slice name;
    uint64_t time; // Unix time, ns
    uint32_t first_attribute, attribute_count;
} span_event;

typedef struct span_link {
    uint64_t trace[2], span; // 0: missing, or malformed
    uint32_t first_attribute, attribute_count;
} span_link;

typedef struct span_details {
    attribute *attributes; // the span's own first, own_count of them, then those of its events and links
    uint32_t own_count, attribute_count;
    span_event *events;
    uint32_t event_count;
    span_link *links;
    uint32_t link_count;
    slice message; // of the status
    uint64_t dropped_attributes, dropped_events, dropped_links;

    // For the functions below: attributes of events and links until the span was read, texts, and room.
    attribute *others;
    uint32_t other_count;
    text texts;
    size_t attribute_capacity, event_capacity, link_capacity, other_capacity;
} span_details;

// Reads one span, or one resource, in place of what the details held.
void span_details_read(span_details *out, nsp__json_reader *json);
void span_details_read_resource(span_details *out, nsp__json_reader *json);
void span_details_free(span_details *details);

// Adds the value as text: strings as they are, everything else as `nanospan view` shows it.
void attribute_show(text *out, const attribute *shown);

// What is called with the details, which are valid during the call only.
typedef struct details_calls {
    void *context;
    // For each distinct resource, before the first of its spans. They are numbered from 0, over all files. NULL: not
    // of interest. A resource has attributes only.
    void (*resource)(void *context, uint32_t number, const span_details *resource);
    void (*span)(void *context, uint32_t row, uint32_t resource, const span_details *details);
} details_calls;

// Reads the details of the rows that `wanted` names by their indices in the store, which it sorts by their places in
// the files. The files are in the order in which they were read. Returns false after printing an error if a file
// cannot be read or has changed. Spans whose details are malformed are reported, counted in bad_notes and given as
// far as they could be read.
bool trace_files_details(trace_file *files, size_t file_count, const trace_store *store, uint32_t *wanted,
                         size_t count, const details_calls *calls);

#endif
