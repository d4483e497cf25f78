// SPDX-License-Identifier: Apache-2.0
//
// The traces of two sets by the names of their roots.
#ifndef NANOSPAN_VIEW_ROOT_GROUPS_H
#define NANOSPAN_VIEW_ROOT_GROUPS_H

#include "support/trace_store.h"

#define ROOT_NOT_SEEN UINT32_MAX // the name of those without a root

typedef struct trace_set {
    const trace_store *store;
    const uint32_t *names; // for each string of the store, its index among the names; NULL: its own
    const trace **traces;  // sorted by root_groups_make
    size_t count;
} trace_set;

typedef struct root_group {
    uint32_t name;
    const trace *const *traces[2]; // of each set, the slowest first; of equal ones, the lower id first
    size_t counts[2];
} root_group;

typedef struct root_groups {
    root_group *list; // those with the most traces first
    size_t count;
} root_groups;

// The second set may be empty. Free the list.
root_groups root_groups_make(const trace_set sets[2]);

// Splits a group of one set: the first becomes the middle, from the 25th to the 75th percentile, and the second the
// slowest hundredth, at least one. They have no trace in common. The middle is empty if there is only one trace.
void root_group_split(root_group *group);

// The slowest hundredth of so many, at least one.
size_t root_groups_tail(size_t count);

// Adds the name as it is shown.
void root_group_name(text *out, const trace_store *store, uint32_t name);

double trace_mean(const trace *const *traces, size_t count);

// By nearest rank; the traces are sorted, the slowest first.
uint64_t trace_quantile(const trace *const *traces, size_t count, double share);

#endif
