// SPDX-License-Identifier: Apache-2.0
//
// One trace as a tree: a line a span, with its duration, the part of it that no child accounts for, and a bar on the
// trace's time line; its attributes, events and links beneath.
#ifndef NANOSPAN_VIEW_TREE_H
#define NANOSPAN_VIEW_TREE_H

#include "support/paint.h"
#include "support/trace_file.h"

typedef struct view_style {
    bool attributes;    // notes are shown
    uint64_t most_rows; // spans shown of one trace; 0: all
} view_style;

// notes: one for each of the trace's rows, in their order; NULL: none.
void view_tree(paint *p, const trace_store *store, const trace *t, const span_notes *notes,
               const view_style *style);

#endif
