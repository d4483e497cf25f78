// SPDX-License-Identifier: Apache-2.0
//
// Draws one trace as a waterfall: the tree of its spans, along the trace's time. Each span has a line with
// its duration, its self time and a bar on the trace's time line; below it come its attributes, events and
// links.
#ifndef NANOSPAN_VIEW_WATERFALL_H
#define NANOSPAN_VIEW_WATERFALL_H

#include "support/paint.h"
#include "support/trace_file.h"

typedef struct view_style {
    bool attributes;    // show the notes
    bool critical;      // mark the critical path
    bool links;         // show each link, however many a span has
    uint64_t most_rows; // the most spans to show of one trace; 0: all
} view_style;

// `notes`: one element for each of the trace's rows, in their order; NULL: none.
void view_waterfall(paint *p, const trace_store *store, const trace *t, const span_notes *notes,
                    const view_style *style);

#endif
