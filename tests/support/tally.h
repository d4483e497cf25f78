// SPDX-License-Identifier: Apache-2.0
//
// Counts what a receiver gets: distinct span ids, repeats, and spans whose parent never arrived. Thread-safe,
// and fast enough for millions of spans.
#ifndef NSP_TESTS_TALLY_H
#define NSP_TESTS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tally_span {
    uint64_t trace_id[2], span_id, parent_id; // parent 0: a root
    uint64_t start_ns, end_ns;
    bool parent_remote;
} tally_span;

typedef struct tally tally;

tally *tally_new(void);
void tally_free(tally *me);
void tally_add(tally *me, const tally_span *span);

uint64_t tally_distinct(tally *me); // span ids
uint64_t tally_repeats(tally *me);  // spans whose id had arrived before, with the same content
uint64_t tally_clashes(tally *me);  // the same, but with other content: two spans share an id
uint64_t tally_untimely(tally *me); // spans that do not end after their start
// Spans whose local parent, in the same trace, did not arrive.
uint64_t tally_orphans(tally *me);
bool tally_has(tally *me, uint64_t span_id);

#endif
