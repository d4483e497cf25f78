// SPDX-License-Identifier: Apache-2.0
//
// What the trace layer works on: the session, its limits, and the table of the threads that record.
#ifndef NSP_TRACE_TRACE_STATE_H
#define NSP_TRACE_TRACE_STATE_H

#include "base/fork.h"
#include "shm/session.h"
#include "trace/thread_state.h"

// What the trace layer works on; set by lifecycle before nsp__active, kept (retired) after shutdown.
typedef struct nsp__trace {
    nsp__session *session;
    nsp__control *control;
    nsp__detached_pool pool, unsampled_pool;
    uint64_t watermark_permille; // of a ring's bytes
    uint64_t ring_bytes, outlier_bytes;
    uint32_t record_bytes, open_spans, threads;
    uint32_t value_limit;
    uint32_t attributes, events, links; // limits of a span
    uint32_t event_attributes, link_attributes;
    // Counts the trouble of attaching threads. They do not log it; whoever drains does.
    struct {
        uint32_t private_rings, no_slot, no_memory, no_shared;
    } trouble;
    uint32_t slots_claimed; // slots that were made or are being made; process-local
    uint32_t attaching;     // threads that are just being attached
    bool disabled;          // tracing was turned off by configuration; set by lifecycle
    bool external;          // the session is drained from outside
    bool cpu_numbers;       // local roots say on which CPU they ran
    uint32_t epoch;         // number of this session within the process
    // By slot index (release T1, acquire T2). Whoever only needs a thread's slot, above all the drainer, uses
    // the second table and so does not touch the lines of a producer, which are written at every span.
    nsp__producer *producers[NSP__THREADS_MAX];
    nsp__slot *slots[NSP__THREADS_MAX];
} nsp__trace;

extern nsp__trace nsp__trace_state;

static inline nsp__producer *nsp__producer_at(uint32_t index)
{
    return __atomic_load_n(&nsp__trace_state.producers[index], __ATOMIC_ACQUIRE); // T2
}

static inline nsp__slot *nsp__slot_at(uint32_t index)
{
    return __atomic_load_n(&nsp__trace_state.slots[index], __ATOMIC_ACQUIRE); // T2
}

// True while tracing runs. nsp__trace_activate sets it, for threads that are not attached too (A1, A2).
extern bool nsp__active;
void nsp__trace_activate(bool active);

// Turns tracing off for this thread; true.
bool nsp__parents_state_left(void);

// True in the child of a fork in which the library's handler has not run: what belongs to the parent cannot
// be reached. This thread then finds tracing turned off, until that handler runs.
static inline bool nsp__parents_state(void)
{
    return NSP__UNLIKELY(nsp__process_copied()) && nsp__parents_state_left();
}

// Called when a thread without state begins a span while tracing is active but this process has no session
// yet (the child of a fork). Set by lifecycle; returns true if there is a session now.
extern bool (*nsp__session_wanted)(void);

// To be called after tracing was made inactive: waits for the threads that are attaching at this moment, for
// this many milliseconds at most. False if one of them takes longer (a debugger may have stopped it); its
// session must then stay.
bool nsp__trace_quiesce(uint32_t milliseconds);

#endif
