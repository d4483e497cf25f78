// SPDX-License-Identifier: Apache-2.0
//
// The bars of a waterfall: where a span lies on the time line of its trace, and what its thread did meanwhile.
#ifndef NANOSPAN_VIEW_WATERFALL_BAR_H
#define NANOSPAN_VIEW_WATERFALL_BAR_H

#include "critical_spans.h"
#include "support/paint.h"
#include "support/span_tree.h"

typedef struct waterfall_bar {
    const trace_store *store;
    const trace *t;
    const critical_spans
        *critical; // what of the span is not on the path is drawn as a line; NULL: all is a bar
    size_t columns;
} waterfall_bar;

void waterfall_bar_draw(paint *p, const waterfall_bar *bar, const span_tree *tree, uint32_t at,
                        paint_colour colour);

// How long the trace was off the CPU, which also says what the marks in the bars are.
void waterfall_off_cpu_line(paint *p, const trace *t);

#endif
