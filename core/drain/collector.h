// SPDX-License-Identifier: Apache-2.0
//
// The collector: drains the rings in one pass each straight into the exporter's batch, and hands full batches to the
// sender. ring_walk.c is one ring, pass.c all of them, flush.c a flush, collector.c the thread and the ends.
//
// It polls and is never woken by a trading thread: a consumer that runs right behind a producer doubles the cost of
// a span by moving cache lines under its cursor. Who drains holds the drain lock: the collector's thread, an invoker, a
// flush. What they have to say they say without it (notices.h).
#ifndef NSP_DRAIN_COLLECTOR_H
#define NSP_DRAIN_COLLECTOR_H

#include <pthread.h>

#include "drain/batch_pool.h"
#include "drain/notices.h"
#include "drain/sender.h"

typedef struct nsp__collector {
    const nsp_config *config;
    nsp__session *session;
    const nsp_exporter *exporter; // NULL: records are discarded and counted
    void *exporter_state;
    nsp__sender *sender; // NULL with the exporter

    pthread_mutex_t drain; // held by whoever drains
    // Below: guarded by drain.
    nsp__batch *current; // being filled, or NULL
    uint64_t sequence;   // of the last batch closed
    uint32_t first;      // where the next pass begins
    uint64_t *snapshot;  // published positions, one a thread slot
    bool *damaged;       // by thread slot: a record was damaged, so what was drained is counted anew
    double fill;         // of the fullest ring, at the last pass
    nsp__notices notices;
    nsp__known known;

    pthread_mutex_t sleep;
    pthread_cond_t wake;     // the thread sleeps on it
    pthread_cond_t progress; // a pass was done, or the thread tells, or has ended
    // Below: guarded by sleep.
    uint64_t passes_wanted, passes_done;
    bool
        telling; // the thread is in the log callback, and touches nothing but `sleep` and what it guards when it returns
    bool stop, ended;
    bool has_thread;
    pthread_t thread;
} nsp__collector;

// Prepares; starts the thread if the mode is NSP_COLLECTOR_THREAD. The arguments stay owned by the caller.
nsp_status nsp__collector_start(nsp__collector *collector, const nsp_config *config, nsp__session *session,
                                const nsp_exporter *exporter, void *exporter_state, nsp__sender *sender);

// One pass on the calling thread: at most max_spans. Returns their number; 0 if somebody else drains at this moment.
size_t nsp__collector_work(nsp__collector *collector, size_t max_spans);

// Collects and encodes what was published before the call, and waits until it has been answered for. *stopping: gives
// up early when it becomes true. True if all is settled.
bool nsp__collector_flush(nsp__collector *collector, uint64_t deadline_ns, const bool *stopping);

// What a work or flush on the calling thread brought up and nobody has told yet. None if somebody else drains at this
// moment, who then takes it.
nsp__notices nsp__collector_notices(nsp__collector *collector);

// What became of the thread: it has ended; or it was left behind, in the log callback, where it touches
// nothing any more but the collector; or in an exporter's encoder, where it goes on with the collector,
// session, exporter and sender.
typedef enum nsp__collector_end {
    NSP__COLLECTOR_ENDED,
    NSP__COLLECTOR_TELLS,
    NSP__COLLECTOR_DRAINS
} nsp__collector_end;

// Ends the thread. Afterwards, unless it drains, only the caller does. It is waited for until the deadline
// (CLOCK_MONOTONIC ns; at least 20 ms from now), and 2 s longer for a pass. Left behind, its collector's
// memory must stay.
nsp__collector_end nsp__collector_stop(nsp__collector *collector, uint64_t deadline_ns);

// After stop, and after the sender's: what is left in the rings and in the unfinished batch is counted as discarded,
// and what is left of the notices is told. Returns how many spans that were.
uint64_t nsp__collector_discard_rest(nsp__collector *collector);

#endif
