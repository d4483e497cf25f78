// SPDX-License-Identifier: Apache-2.0
//
// A small drainer of a session from outside: it does to the session's files what a drainer does, and counts every
// span as exported that it takes out. For tests of the engine's side.
#ifndef NSP_TESTS_OUTSIDE_DRAINER_H
#define NSP_TESTS_OUTSIDE_DRAINER_H

#include "shm/control.h"
#include "shm/slot.h"

typedef struct outside_drainer {
    int directory, threads, lock;
    nsp__control *control; // of the session; mapped
    uint64_t unsettled;    // spans that it has taken out and not settled
} outside_drainer;

// Opens the session without taking its lock, so that a test can look at what the engine says there.
void outside_drainer_look(outside_drainer *drainer, const char *session);
// Takes the lock too; false if another process has it.
bool outside_drainer_open(outside_drainer *drainer, const char *session);
void outside_drainer_close(outside_drainer *drainer);

// Takes at most so many spans out of the rings; returns their number.
uint64_t outside_drainer_take(outside_drainer *drainer, uint64_t most);
// Counts what it has taken as exported.
void outside_drainer_settle(outside_drainer *drainer);
// Takes and settles all, and says which flush that settles.
void outside_drainer_pass(outside_drainer *drainer);

#endif
