// SPDX-License-Identifier: Apache-2.0
//
// Lays spans on lanes so that the slices of a lane always nest: two spans of a lane are either one inside the other, or
// one is over when the other begins. A span lies below another one only if that is its parent.
#ifndef NANOSPAN_PERFETTO_LANES_H
#define NANOSPAN_PERFETTO_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Perfetto's trace processor drops slices that lie deeper than 512, and an event takes a place too.
enum { LANES_DEEPEST = 500 };

#define LANES_NONE UINT32_MAX

typedef struct placed_span {
    uint64_t start, end; // start <= end
    uint32_t group;      // of lanes: a process or a thread; LANES_NONE: the span is left out
    uint32_t parent;     // index of its parent, or LANES_NONE
    uint32_t depth;      // number of its ancestors
    // What lanes_place finds out:
    uint32_t lane; // index
    bool nested;   // it lies below its parent, on the same lane
    // Places in one sequence of all begins and ends, which is that of every lane too: within a lane, no time is earlier
    // than the one before, and each end is that of the span that began last and has not ended.
    uint64_t begins, ends;
} placed_span;

typedef struct lane {
    uint32_t group;
    uint32_t number; // within its group, from 0
    uint32_t first;  // index of the group's first lane
    uint32_t *open;  // the spans that have not ended where the next one begins, outermost first
    size_t depth, capacity;
} lane;

typedef struct lanes {
    lane *lanes;
    size_t count, capacity;
} lanes;

// Each span goes onto the lane of its parent, if it lies within it and no other span is open there; otherwise onto the
// lowest lane of its group on which none is open. So a trace whose spans follow one another stays on one lane, and a
// group has no more lanes than are needed at the same time.
void lanes_place(lanes *out, placed_span *spans, uint32_t span_count, uint32_t group_count);
void lanes_free(lanes *out);

#endif
