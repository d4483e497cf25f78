// SPDX-License-Identifier: Apache-2.0
//
// Counts distinct spans exactly, by trace id and span id, in a hash table with open addressing: 24 bytes a
// slot, at most three quarters full. It doubles as it fills, up to a limit; beyond that, new spans are not
// counted. Not thread-safe.
#ifndef NANOSPAN_SINK_SPAN_SET_H
#define NANOSPAN_SINK_SPAN_SET_H

#include "support/otlp_request.h"

typedef struct span_set {
    span_key *slots; // a slot with span id zero is free
    size_t mask;     // capacity - 1
    size_t count;
    size_t limit; // the most spans that the table holds
    bool full;    // a span did not fit, so `count` is a lower bound
} span_set;

void span_set_init(span_set *set, size_t limit);
void span_set_free(span_set *set);

// Adds spans whose span ids are not zero; returns how many of them were new. `repeated`: NULL, or gets for each span
// whether it was there.
size_t span_set_add(span_set *set, const span_key *keys, size_t count, bool *repeated);

#endif
