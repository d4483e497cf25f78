// SPDX-License-Identifier: Apache-2.0
//
// Two sets of traces, phase by phase. A phase is the sequence of span names from the root; its time in a trace is its time
// on the critical path. The times of all phases of a trace add up to its duration, so the differences of the phases' means
// add up to the difference of the mean durations.
#ifndef NANOSPAN_VIEW_PHASES_H
#define NANOSPAN_VIEW_PHASES_H

#include "support/critical_path.h"

typedef struct phase {
    uint32_t parent; // index of a phase; NOBODY: the root's
    uint32_t name;   // index of a name; NOBODY: a root that was not seen
    uint32_t depth;
    double on_path[2]; // sums over all traces of each set, ns
    double off_cpu[2];
    uint64_t occurrences[2];
} phase;

typedef struct phases {
    phase *list; // parents before their children
    size_t count, capacity;
    uint32_t *slots; // a hash table of indices + 1
    size_t mask;
    uint64_t traces[2];
    critical_path path; // of the trace that is being added
} phases;

// `names` has the name's index for each string of the store; NULL: the string's own.
void phases_add(phases *p, int set, const trace_store *store, const uint32_t *names, const trace *t);
void phases_free(phases *p);

// The mean of a trace of the set; 0 if the set is empty.
double phases_mean(const phases *p, double sum, int set);

#endif
