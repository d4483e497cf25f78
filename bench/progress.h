// SPDX-License-Identifier: Apache-2.0
//
// How far a run is, on standard error: a line that changes on a terminal, a line for each benchmark elsewhere. And whether
// someone has asked it to stop.
#ifndef NSP_BENCH_PROGRESS_H
#define NSP_BENCH_PROGRESS_H

#include "harness/setup.h"

// Before anything is measured. From then on SIGINT and SIGTERM stop the run (a second one kills it): the next progress() sets
// setup's rounds and tries to 0, so that every loop over rounds ends. earlier: JSON of an earlier run, which tells how long
// each benchmark takes; may be NULL or not exist.
void progress_start(bench_setup *setup, const char *earlier);

// One more benchmark will be measured.
void progress_expect(const char *name);

// Around each of them, in the order in which they were expected. The second returns the seconds in between.
void progress_begin(void);
double progress_end(void);

// The signal that asked to stop; 0: none.
int progress_stopped(void);

#endif
