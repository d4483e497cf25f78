// SPDX-License-Identifier: Apache-2.0
//
// The critical path of a trace: for each instant of its root, the span that the root was waiting for. Going back in time
// from the root's end, it follows the child that ended last, then that one's child, and so on. What no child explains is
// the span's own. Shortening a span that is not on the path would not have made the trace faster.
#ifndef NANOSPAN_SUPPORT_CRITICAL_PATH_H
#define NANOSPAN_SUPPORT_CRITICAL_PATH_H

#include "span_tree.h"

typedef struct critical_part {
    uint32_t at;         // the span's index within the trace; NOBODY: no span that was seen
    uint64_t start, end; // Unix time, ns
} critical_part;

typedef struct critical_path {
    critical_part *parts; // in the order of time; each begins where the one before it ends
    size_t count, capacity;
} critical_path;

// The parts cover the root exactly, from its start to its end. Without a root, they cover the whole trace, and spans
// whose parent is missing count as children of what was not seen.
void critical_path_find(critical_path *path, const span_tree *tree, const trace *t);
void critical_path_free(critical_path *path);

#endif
