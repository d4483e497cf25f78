// SPDX-License-Identifier: Apache-2.0
//
// The critical path of a trace, span by span.
#ifndef NANOSPAN_VIEW_CRITICAL_SPANS_H
#define NANOSPAN_VIEW_CRITICAL_SPANS_H

#include "support/critical_path.h"
#include "support/paint.h"

typedef struct critical_spans {
    critical_part *parts; // of the first span, in the order of time, then of the second one, and so on
    uint32_t *first;      // of each span, and one more: where its parts begin
    uint64_t *lengths;    // of each span: the sum of its parts
    uint64_t not_seen;    // what lies in no span
    uint64_t whole;       // the sum of all
} critical_spans;

void critical_spans_find(critical_spans *out, const span_tree *tree, const trace *t);
void critical_spans_free(critical_spans *spans);

// A line that says which spans make up the path, by name, the largest first.
void critical_spans_line(paint *p, const critical_spans *spans, const trace_store *store,
                         const span_tree *tree);

#endif
