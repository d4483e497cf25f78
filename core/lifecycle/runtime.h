// SPDX-License-Identifier: Apache-2.0
//
// One session's worth of everything, put together and taken apart. No locks here: lifecycle.c sees to it that calls
// come one at a time.
#ifndef NSP_LIFECYCLE_RUNTIME_H
#define NSP_LIFECYCLE_RUNTIME_H

#include <nanospan/stats.h>

#include "drain/collector.h"
#include "config/resource.h"
#include "shm/session.h"

typedef struct nsp__runtime {
    nsp_config config; // resolved
    nsp__session session;
    nsp__resource resource;
    nsp_exporter_context exporter_context;
    const nsp_exporter *exporter; // NULL: none
    void *exporter_state;
    nsp__batch *batches;
    nsp__sender *sender;
    nsp__collector collector;
    int cancel; // stops a running send
    // Threads that did not end, and may come back to what they know:
    bool sender_left_behind;    // inside the exporter or the log callback
    bool collector_left_behind; // inside the log callback, or in the exporter's encoder
    bool attach_left_behind;    // a thread of the application's attaches to the session, or ours drains it
    bool exporter_left_behind;  // not destroyed: for the sender's thread, or because the process is exiting
    struct nsp__runtime *next_left;
} nsp__runtime;

// Builds a session from runtime->config and starts it. On failure everything is undone but the configuration.
nsp_status nsp__runtime_start(nsp__runtime *runtime);

// After start, one line in the log: where spans go, and at what rate. Nothing where they are discarded, which start
// has said.
void nsp__runtime_announce(const nsp__runtime *runtime);

// Sends what there is until the deadline (CLOCK_MONOTONIC ns) and stops everything but the session, whose accounting can
// still be read. True if nothing was given up.
bool nsp__runtime_stop(nsp__runtime *runtime, uint64_t deadline_ns);

// True if some thread was left behind, after stop: the runtime must stay where it is for ever.
bool nsp__runtime_left_behind(const nsp__runtime *runtime);

// After stop: writes the final accounting and ends the session.
void nsp__runtime_end(nsp__runtime *runtime, nsp_stats *final_stats);

// In the child of a fork: forgets the parent's session; the configuration stays.
void nsp__runtime_abandon(nsp__runtime *runtime);

#endif
