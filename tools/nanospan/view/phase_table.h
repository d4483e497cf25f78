// SPDX-License-Identifier: Apache-2.0
//
// A table of the phases of two sets of traces, as a tree: the larger ones first, and the small ones summed up in one line.
#ifndef NANOSPAN_VIEW_PHASE_TABLE_H
#define NANOSPAN_VIEW_PHASE_TABLE_H

#include "phases.h"
#include "support/paint.h"

typedef struct phase_table {
    const phases *phases;
    const slice *names;    // by index
    const char *titles[2]; // of the sets, at most 9 columns
    bool difference;       // show how the second differs from the first; otherwise, what each consists of
    uint64_t most_rows;    // 0: all, however small
} phase_table;

void phase_table_draw(paint *p, const phase_table *table);

// "+4.490 ms", "-270 ns", or a dot if it is less than half a nanosecond.
void phase_table_change(char out[static 40], double nanoseconds);

#endif
