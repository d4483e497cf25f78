// SPDX-License-Identifier: Apache-2.0
//
// The parents and children of one trace. Every span appears exactly once, even if its parent is missing or
// parents form a cycle, which only a faulty sender produces.
#ifndef NANOSPAN_SUPPORT_SPAN_TREE_H
#define NANOSPAN_SUPPORT_SPAN_TREE_H

#include "trace_store.h"

#define NOBODY UINT32_MAX

typedef struct span_node {
    uint32_t parent; // this and the next three are indices within the trace, or NOBODY
    uint32_t first_child, last_child, next;
    uint32_t depth;
    uint64_t self; // duration in ns that no child covers
    bool orphan;   // its parent is missing
} span_node;

typedef struct span_tree {
    const span_row *rows;
    span_node *nodes;
    uint32_t count;
    uint32_t *order; // all spans, parents before their children, children by start; orphans last
} span_tree;

void span_tree_build(span_tree *tree, const trace_store *store, const trace *t);
void span_tree_free(span_tree *tree);

#endif
