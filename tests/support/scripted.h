// SPDX-License-Identifier: Apache-2.0
//
// An exporter without network that does what a test tells it to: answers by a script, stalls, blocks, is picky. What it
// accepts goes into a tally. One a process.
#ifndef NSP_TESTS_SCRIPTED_H
#define NSP_TESTS_SCRIPTED_H

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

#include "support/tally.h"

typedef struct scripted_verdict {
    nsp_send_result result; // RETRY is asked for again in a millisecond; so is UNKNOWN
    bool taken;             // whether the spans come into the tally
    uint64_t rejected;      // with EXPORTED: so many, from the front, do not
} scripted_verdict;

typedef struct scripted {
    // What to answer; NULL: everything is taken. Called by the sender's thread.
    scripted_verdict (*answer)(void *context, const nsp_batch *batch);
    void *context;
    uint32_t items_max; // append refuses spans with more bytes of items; 0: takes all
    nsp_status created; // what create returns
    bool stalled;       // atomic: send waits while it is set, until its deadline or cancel: then RETRY
    bool deaf;          // send waits beyond its deadline and cancel too
    uint64_t delay_ns;  // of each send; atomic
    // Counted, atomic.
    uint64_t sends, appended, creates, destroys;
    uint32_t batch_spans_max;
    uint64_t batch_bytes_max;
    tally *tally;
} scripted;

extern scripted script;
extern const nsp_exporter scripted_exporter;

// Everything as at first, with an empty tally.
void script_reset(void);

// A configuration: defaults, the environment not looked at, this exporter, small polls, shm_dir as it is.
void script_config(nsp_config *config);

// The log lines of a script_config: how many have this text in them since script_reset.
unsigned script_lines_with(const char *text);

// The accounting; fails the test unless they balance exactly. At rest.
nsp_stats script_balance(void);
// attempted, and the sum of all the rest.
uint64_t stats_sum(const nsp_stats *stats);
void books_print(const nsp_stats *stats);

uint64_t test_now_ns(void); // CLOCK_MONOTONIC
void test_sleep_ms(unsigned ms);

#endif
