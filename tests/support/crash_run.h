// SPDX-License-Identifier: Apache-2.0
//
// Starts programs/crash_engine.c with a slow receiver, has it killed, recovers its session into a file, and
// checks that every span is in one of the two (crash_check.h). Everything but the timing follows from a seed.
#ifndef NSP_TESTS_CRASH_RUN_H
#define NSP_TESTS_CRASH_RUN_H

#include "support/crash_check.h"

typedef struct crash_plan {
    uint64_t seed;
    // The engine kills itself at this testpoint, at its nth visit; a first recovery does, if its name begins with
    // "recover: ". NULL: the engine is killed from here, and one recovery of four, too.
    const char *point;
    uint32_t visit;
    bool spared; // not killed at all
} crash_plan;

// The testpoints whose visits are counted; the same for all runs.
typedef struct crash_points {
    uint32_t count;
    char names[JOURNAL_POINTS_MAX][JOURNAL_POINT_NAME];
    uint32_t visits[JOURNAL_POINTS_MAX]; // by all runs so far, of this process
} crash_points;

// Runs one engine. Returns false with a line that says what is wrong. points: NULL: none. The session lies
// in a folder within that of session_fixture.h; if NSP_CRASH_KEEP is set and something is wrong, it is moved out
// of there, with a copy of the session as the engine left it, and named.
bool crash_run(const crash_plan *plan, crash_points *points, crash_sums *sums, char *wrong, size_t size);

// Runs plan(context, 0), plan(context, 1) ... count in several processes, which stop at the first failure.
// Returns false after the failure has been printed, with `what` and the number. The sums are those of all.
typedef crash_plan crash_planner(const void *context, uint32_t number);
bool crash_run_all(crash_planner *planner, const void *context, uint32_t count, const crash_points *points,
                   crash_sums *sums);

#endif
