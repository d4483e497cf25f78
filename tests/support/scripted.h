// SPDX-License-Identifier: Apache-2.0
//
// An exporter without a network that a test controls: it answers by a script, stalls, blocks, or refuses
// spans. What it accepts goes into a tally. There is one per process.
#ifndef NSP_TESTS_SCRIPTED_H
#define NSP_TESTS_SCRIPTED_H

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

#include "support/tally.h"

typedef struct scripted_verdict {
    nsp_send_result result; // after RETRY and UNKNOWN send is called again in a millisecond
    bool taken;             // whether the spans are added to the tally
    uint64_t rejected;      // with EXPORTED: that many spans, counted from the first, are not
} scripted_verdict;

typedef struct scripted {
    // Decides the answer, on the sender's thread; NULL: everything is accepted.
    scripted_verdict (*answer)(void *context, const nsp_batch *batch);
    void *context;
    uint32_t items_max; // append refuses spans with more bytes of items; 0: no limit
    nsp_status created; // the status that create returns
    bool stalled;       // atomic: while set, send waits until its deadline or cancel, then returns RETRY
    bool deaf;          // send ignores its deadline and cancel
    uint64_t delay_ns;  // duration of each send; atomic
    // Counters; atomic.
    uint64_t sends, appended, creates, destroys;
    uint32_t batch_spans_max;
    uint64_t batch_bytes_max;
    tally *tally;
} scripted;

extern scripted script;
extern const nsp_exporter scripted_exporter;

// Restores the initial state, with an empty tally.
void script_reset(void);

// A configuration with defaults, without the environment, with this exporter and short polls. shm_dir stays
// unchanged.
void script_config(nsp_config *config);

// With script_config: returns how many log lines since script_reset contain this text.
unsigned script_lines_with(const char *text);

// Reads the statistics; fails the test unless they balance exactly. No spans may be in progress.
nsp_stats script_balance(void);
// The sum of all counters that must add up to `attempted`, and a print of all of them.
uint64_t stats_sum(const nsp_stats *stats);
void accounting_print(const nsp_stats *stats);

uint64_t test_now_ns(void); // CLOCK_MONOTONIC
void test_sleep_ms(unsigned ms);

#endif
