// SPDX-License-Identifier: Apache-2.0
//
// Flows: the arrows that Perfetto draws between slices. One goes from a linked span to the span that has the link, and
// one from a parent to each child that does not lie below it, which is the case on another process, thread or lane.
#ifndef NANOSPAN_PERFETTO_FLOWS_H
#define NANOSPAN_PERFETTO_FLOWS_H

#include "collected.h"

typedef struct flow_end {
    uint32_t row;
    uint32_t number; // of the flow, from 0
} flow_end;

typedef struct flows {
    flow_end *ends; // by row
    size_t end_count, capacity;
    uint32_t count;
} flows;

// To be called once the spans have their lanes.
void flows_find(flows *f, const collected *c);
void flows_free(flows *f);

// The first end of this row; those that follow it in `ends` may be of the same row. end_count: it has none.
size_t flows_of(const flows *f, uint32_t row);

#endif
