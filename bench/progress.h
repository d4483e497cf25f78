// SPDX-License-Identifier: Apache-2.0
//
// The progress of a run, on standard error: one line that changes on a terminal, otherwise a line for each
// benchmark. Also tells whether a signal has asked the run to stop.
#ifndef NSP_BENCH_PROGRESS_H
#define NSP_BENCH_PROGRESS_H

#include "harness/setup.h"

// Call it before anything is measured. From then on, SIGINT and SIGTERM stop the run (a second one kills it):
// the next progress() sets the setup's rounds to 0, which ends every loop over rounds. earlier is
// the JSON file of an earlier run, which tells how long each benchmark takes; it may be NULL or not exist.
void progress_start(bench_setup *setup, const char *earlier);

// Announces a benchmark that will be measured.
void progress_expect(const char *name);

// Call them around each benchmark, in the order in which they were announced. progress_end returns the
// seconds in between.
void progress_begin(void);
double progress_end(void);

// The signal that asked the run to stop; 0: none.
int progress_stopped(void);

#endif
