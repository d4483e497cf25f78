// SPDX-License-Identifier: Apache-2.0
//
// Threads that do the same job at the same time.
#ifndef NSP_BENCH_USER_CREW_H
#define NSP_BENCH_USER_CREW_H

#include <stdbool.h>

enum { CREW_MAX = 8 };

// Starts all threads but the first, which is the calling one, and attaches them. False if a thread cannot be
// started; then the process can only end.
bool crew_start(unsigned threads);

// Each thread runs job(context, its index), once all are ready. Returns when all have finished.
void crew_run(void (*job)(void *context, unsigned index), void *context);

// Ends the threads, whose rings are drained later.
void crew_stop(void);

#endif
