// SPDX-License-Identifier: Apache-2.0
//
// Compares what a receiver got and what was recovered with the journal of the engine that was killed.
#ifndef NSP_TESTS_CRASH_CHECK_H
#define NSP_TESTS_CRASH_CHECK_H

#include <nanospan/recover.h>

#include "support/crash_journal.h"
#include "support/crash_spans.h"

// What was seen, added up over several engines, so that a test can tell that it has seen it at all.
typedef struct crash_sums {
    uint64_t engines, ended, recoveries, spans, finished, unfinished, from_batches, in_doubt, twice, lost,
        halfway,     // unfinished with some, but not all of their operations
        dropped,     // because a ring was full
        interrupted, // recoveries that were killed
        repeated;    // in the output of an interrupted one and of the next
} crash_sums;

// Where spans may be: what the receiver got from the engine, the output of a recovery that was killed, and that of
// the one that came to its end. The last batch of the first two may be incomplete.
typedef struct crash_output {
    crash_spans received, interrupted, recovered;
    bool whole;    // `interrupted` is a file that counts only when it is complete, and then is known to all
    bool in_parts; // the receiver takes small requests only, so that a batch may be several
    uint64_t dropped; // spans that found their ring full when they ended, as the engine counted them
} crash_output;

// account: of the recovery that came to its end; NULL if there was nothing to recover. Writes what is wrong (a
// line, zero terminated) and returns false, or returns true and adds to the sums.
bool crash_check(const journal *kept, const crash_output *output, const nsp_recovery_account *account,
                 crash_sums *sums, char *wrong, size_t size);

#endif
