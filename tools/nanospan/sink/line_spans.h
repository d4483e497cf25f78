// SPDX-License-Identifier: Apache-2.0
//
// The spans of one request, as the live page needs them: what counts and sorts them, and where each lies in
// the request's line of OTLP JSON, so that it can be cut out again.
#ifndef NANOSPAN_SINK_LINE_SPANS_H
#define NANOSPAN_SINK_LINE_SPANS_H

#include "support/text.h"

typedef struct line_part {
    uint32_t from, length; // length 0: there is none
} line_part;

// What spans share: a scope, with its resource.
typedef struct line_scope {
    line_part resource, scope; // each an object
    slice service;             // of the resource; "" if it has none
} line_scope;

typedef struct line_span {
    uint64_t trace[2], id; // never 0
    uint64_t start, duration;
    line_part object;
    uint32_t scope; // index
    slice name;
    bool root;      // it has no parent
    bool continued; // its parent is in another process, so it is a local root
    bool failed;    // its status is an error
} line_span;

typedef struct line_spans {
    line_span *spans;
    size_t count, capacity;
    line_scope *scopes;
    size_t scope_count, scope_capacity;
} line_spans;

// Reads a line. Strings with escapes are decoded where they are, so reading changes the line; the names and
// services point into it, and the places are those of the line as it was. Returns false, with an arbitrary
// part of the spans, if the line is malformed or has 4 GiB or more.
bool line_spans_read(line_spans *out, char *line, size_t length);
void line_spans_free(line_spans *spans);

#endif
