// SPDX-License-Identifier: Apache-2.0
//
// The collector drains the rings, in passes, straight into the exporter's batch, and hands full batches to
// the sender. ring_walk.c handles one ring, pass.c all of them, flush.c a flush, and collector.c the thread
// and its start and end.
//
// It polls, and is never woken by a trading thread. A consumer that runs right behind a producer doubles the
// cost of a span by taking cache lines away from it. Whoever drains holds the drain lock: the collector's
// thread, an invoker, or a flush. They log only after releasing it (notices.h).
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
    nsp__sender *sender; // NULL if exporter is

    pthread_mutex_t drain; // held by whoever drains
    // Below: guarded by drain.
    nsp__batch *current; // being filled, or NULL
    uint64_t sequence;   // of the last closed batch
    uint32_t first;      // where the next pass begins
    uint64_t *snapshot;  // published positions, one per thread slot
    bool *damaged;       // by thread slot: a record was damaged, so lost records are still to be counted
    double fill;         // of the fullest ring, in the last pass
    nsp__notices notices;
    nsp__known known;

    pthread_mutex_t sleep;
    pthread_cond_t wake;     // the thread sleeps on it
    pthread_cond_t progress; // a pass is done, or the thread calls the log callback, or has ended
    // Below: guarded by sleep.
    uint64_t passes_wanted, passes_done;
    // The thread is in the log callback; when it returns it touches only `sleep` and what that guards.
    bool logging;
    bool stop, ended;
    bool has_thread;
    pthread_t thread;
} nsp__collector;

// Prepares the collector, and starts its thread if the mode is NSP_COLLECTOR_THREAD. The caller keeps the
// arguments.
nsp_status nsp__collector_start(nsp__collector *collector, const nsp_config *config, nsp__session *session,
                                const nsp_exporter *exporter, void *exporter_state, nsp__sender *sender);

// Makes one pass on the calling thread, of at most max_spans spans. Returns their number; 0 if another thread
// is draining at this moment.
size_t nsp__collector_work(nsp__collector *collector, size_t max_spans);

// Collects and encodes what was published before the call, and waits until it is settled. Gives up early when
// *stopping becomes true. True if everything is settled.
bool nsp__collector_flush(nsp__collector *collector, uint64_t deadline_ns, const bool *stopping);

// The notices from a work or flush on the calling thread that nobody has logged yet. None if another thread
// is draining at this moment; that thread then logs them.
nsp__notices nsp__collector_notices(nsp__collector *collector);

// What became of the thread. ENDED: it has ended. LOGS: it was left behind in the log callback, where it
// touches nothing of ours any more except the collector. DRAINS: it was left behind in an exporter's encoder,
// and goes on with the collector, session, exporter and sender.
typedef enum nsp__collector_end {
    NSP__COLLECTOR_ENDED,
    NSP__COLLECTOR_LOGS,
    NSP__COLLECTOR_DRAINS
} nsp__collector_end;

// Ends the thread. Afterwards only the caller drains, unless the result is DRAINS. Waits for the thread until
// the deadline (CLOCK_MONOTONIC ns; at least 20 ms from now), and 2 s longer for a pass. If the thread is
// left behind, the collector's memory must stay.
nsp__collector_end nsp__collector_stop(nsp__collector *collector, uint64_t deadline_ns);

// To be called after this stop and the sender's. Counts what is left in the rings and in the unfinished batch
// as discarded, and logs the remaining notices. Returns the number of those spans.
uint64_t nsp__collector_discard_rest(nsp__collector *collector);

#endif
