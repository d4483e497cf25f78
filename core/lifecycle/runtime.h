// SPDX-License-Identifier: Apache-2.0
//
// Everything that belongs to one session: puts it together and takes it apart. There are no locks here: the
// callers make sure, by the mutex of state.h, that calls come one at a time.
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
    nsp__batch_pool pool; // empty without an exporter
    nsp__sender *sender;
    nsp__collector collector; // not started if the session is drained from outside
    nsp__known known; // then: what of the session's troubles was said; guarded by the mutex of state.h
    int cancel;       // stops a running send
    int held_back;    // by a running send: nobody can have taken its batch yet
    // Threads that did not end, and may still use what they have pointers to:
    bool sender_left_behind;    // inside the exporter or the log callback
    bool collector_left_behind; // inside the log callback, or in the exporter's encoder
    bool attach_left_behind;    // an application thread is attaching to the session, or ours drains it
    // Not destroyed: the sender's thread may use it, or the process is exiting or a child that it has forked.
    bool exporter_left_behind;
    // Set by stop:
    bool sent;               // nothing was given up
    char unsent_why[160];    // if not: "", or why, as the end of a sentence
    bool sender_in_callback; // the sender's thread was left behind inside the log callback
    uint64_t given_up;       // spans that were
    struct nsp__runtime *next_left;
} nsp__runtime;

// Builds a session from runtime->config and starts it. On failure everything except the configuration is
// undone. NSP_ERR_UNSUPPORTED: this process is a child that the exporter has forked, and nothing of its
// parent's is touched.
nsp_status nsp__runtime_start(nsp__runtime *runtime);

// To be called after start: logs one line that says where spans go and at what rate. Logs nothing if spans
// are discarded, because start has said so.
void nsp__runtime_announce(const nsp__runtime *runtime);

// Sends what is left until the deadline (CLOCK_MONOTONIC ns) and stops everything except the session, whose
// accounting can still be read.
void nsp__runtime_stop(nsp__runtime *runtime, uint64_t deadline_ns);

// To be called after stop. True if some thread was left behind: the runtime's memory must then stay forever.
bool nsp__runtime_left_behind(const nsp__runtime *runtime);

// To be called after stop: writes the final accounting, ends the session, and logs how many spans were given
// up, or are left in a session that is drained from outside. Sets *given_up to that number. True if stop gave up
// none.
bool nsp__runtime_end(nsp__runtime *runtime, nsp_stats *final_stats, uint64_t *given_up);

// To be called in the child of a fork: forgets the parent's session; the configuration stays.
void nsp__runtime_abandon(nsp__runtime *runtime);

#endif
