// SPDX-License-Identifier: Apache-2.0
//
// The collector drains the rings, in passes, straight into the exporter's batch, and hands full batches to
// the sender. batch_fill.c handles the batch, ring_walk.c one ring, pass.c all of them, flush.c a flush, and
// collector.c the thread and its start and end.
//
// It polls, and is never woken by a trading thread. A consumer that runs right behind a producer doubles the
// cost of a span by taking cache lines away from it. Whoever drains holds the drain lock: the collector's
// thread, an invoker, or a flush. They log only after releasing it (notices.h).
#ifndef NSP_DRAIN_COLLECTOR_H
#define NSP_DRAIN_COLLECTOR_H

#include <pthread.h>

#include "drain/batch_pool.h"
#include "drain/limit.h"
#include "drain/notices.h"
#include "drain/outlier_watch.h"
#include "drain/path_plan.h"
#include "drain/ring_source.h"
#include "drain/ring_window.h"
#include "drain/sender.h"
#include "drain/switches.h"
#include "drain/snapshot.h"

// What a collector drains, and what it works with. All of it stays the caller's, who keeps it until the collector
// has ended.
typedef struct nsp__collector_options {
    const nsp_config *config;
    // Of this process's session, whose rings are drained. NULL: another process's are, those that `look` finds.
    nsp__control *control;
    nsp__counters *counters;      // of the session
    nsp__figures *figures;        // of the session, or NULL: nobody keeps them
    nsp__clock *clock;            // of the session, or a copy of it
    const nsp_exporter *exporter; // NULL: records are discarded and counted
    void *exporter_state;
    nsp__sender *sender;       // NULL if exporter is
    nsp__batch_pool *pool;     // as the sender
    nsp__snapshots *snapshots; // of the session, or NULL: nobody asks for one
    const nsp__paths *paths;   // of the session, or NULL: it has no declared paths
    nsp_name left_out; // the name nanospan.left_out in the session; 0: it comes later (paths.left_out)
    nsp_name kept;     // the name nanospan.kept in the session; 0: it comes later (taking.key)
    uint64_t closed;   // the largest sequence in the headers of the session's batches; 0 in a new one

    // The rest is for the rings of another process, which are not trusted. Such a collector has no thread and no
    // flush.
    //
    // Brings the sources up to date, which is an array of config->threads, by slot. Returns how many of them, from
    // the front, are to be looked at. Called at the beginning of each pass.
    uint32_t (*look)(void *argument, nsp__ring_source *sources);
    void *look_argument;
    // The private memory that records are copied to before they are looked at (ring_window.h): aligned to 8, at
    // least as large as the largest record. Several collectors of one thread may share it.
    uint8_t *window;
    size_t window_bytes;
} nsp__collector_options;

struct nsp__collector {
    nsp__collector_options options;

    pthread_mutex_t drain; // held by whoever drains
    // Below: guarded by drain.
    nsp__batch *current;       // being filled, or NULL
    uint64_t closed;           // the sequence in the header of the last closed batch
    uint64_t sequence;         // in the pool, of the last closed batch
    uint32_t first;            // where the next pass begins
    nsp__ring_source *sources; // by thread slot
    nsp__ring_window window;
    uint64_t *snapshot;      // published positions, by thread slot
    uint32_t snapshot_count; // slots that it is of
    bool *damaged;           // by thread slot: a record was damaged, so lost records are still to be counted
    // A ring of another process seems to hold more than it can. Nothing is taken out of it; the caller looks
    // here after a pass.
    bool impossible;
    // Passes go on to where the one before went, and no further, however much has been published since.
    bool frozen;
    double fill; // of the fullest ring, in the last pass
    bool behind; // after the last pass, something of what it found is still in the rings
    nsp__limit limit;
    nsp__outlier_watch watch;
    nsp__switches *switches; // NULL: they are not wanted
    nsp__path_plans paths;
    bool takes_paths; // the exporter has append_path
    size_t
        over; // spans that the last pass took out beyond its budget, since those of a path are taken out together
    nsp__snapshot taking;
    // CLOCK_MONOTONIC: everything that was published before is drained.
    uint64_t drained_ns;
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
};

// Prepares the collector, and starts its thread if the mode is NSP_COLLECTOR_THREAD and the rings are this
// process's. NSP_ERR_NO_MEMORY, or why a thread cannot be started: nothing is left to be freed.
nsp_status nsp__collector_start(nsp__collector *collector, const nsp__collector_options *options);

// Makes one pass on the calling thread, of at most max_spans spans; those of a path are taken out together, and so
// may be more. Returns their number; 0 if another thread is draining at this moment.
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
// as discarded, and logs the remaining notices, with what of the sampler's policy was not said. Returns the
// number of those spans.
uint64_t nsp__collector_discard_rest(nsp__collector *collector);

// Ends a collector without a thread, and leaves what is in the rings and in the unfinished batch as it is in the
// session, for whoever drains it next. Frees the collector's own memory.
void nsp__collector_leave_rest(nsp__collector *collector);

#endif
