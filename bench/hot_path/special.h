// SPDX-License-Identifier: Apache-2.0
//
// Operations that need more than a session: a second thread, or a full ring.
#ifndef NSP_BENCH_SPECIAL_H
#define NSP_BENCH_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>

// ---- handover.c: detached spans that one thread begins and another one ends ----

enum { HANDOVER_MOST = 500 }; // spans in a burst: less than half of the detached spans that may be open

bool handover_start(void); // starts the other thread
void handover_stop(void);

void run_handover_begin(size_t count);
void handover_collect(void); // the other thread ends what was begun

void handover_supply(size_t count); // the other thread begins this many spans
void run_handover_end(size_t count);
void handover_settle(void); // ends the rest of them

// ---- full_ring.c ----

bool full_ring_refuse(void); // fills the ring until roots are refused
bool full_ring_fill(
    void); // fills the ring until a child like those of run_full_child is lost; its root stays open
void full_ring_finish(void);
void run_full_child(size_t count);

#endif
