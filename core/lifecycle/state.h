// SPDX-License-Identifier: Apache-2.0
//
// What nsp_init, nsp_shutdown, the exit handler and the fork handlers share: the state of the library, and
// its mutex.
//
//   NONE --init--> RUNNING --shutdown--> STOPPING --> NONE      (init again: a new session)
//   NONE --init, tracing turned off--> DISABLED --shutdown--> NONE
//   RUNNING --fork, in the child--> FORKED --first span--> RUNNING (a session of the child's own)
#ifndef NSP_LIFECYCLE_STATE_H
#define NSP_LIFECYCLE_STATE_H

#include <pthread.h>

#include "lifecycle/runtime.h"

typedef enum nsp__life_state {
    NSP__LIFE_NONE,
    NSP__LIFE_RUNNING,
    NSP__LIFE_STOPPING,
    NSP__LIFE_DISABLED,
    NSP__LIFE_FORKED
} nsp__life_state;

// Guarded by the mutex. It is never held while something is waited for, except during the start of a new
// session, nor in a log callback.
typedef struct nsp__life_shared {
    pthread_mutex_t mutex;
    pthread_cond_t changed; // there are no users any more, or the state is not STOPPING
    nsp__life_state current;
    nsp__runtime *runtime; // in all states but NONE; a new one for each session
    // Those of past sessions that a thread may still use. Leak checkers find them here.
    nsp__runtime *left;
    unsigned users;         // calls of flush and do_work under way
    bool stopping;          // makes them return
    uint64_t ended;         // how many sessions were shut down,
    bool last_sent;         // whether the last of them sent all,
    uint64_t last_given_up; // how many spans it did not send if not, and
    char last_why[160];     // why, or "",
    nsp_stats last_stats;   // and its accounting
} nsp__life_shared;

extern nsp__life_shared nsp__life;

// Takes the mutex. False: this thread holds it already, because somebody called us from an exporter's create
// or destroy, or from a signal handler.
bool nsp__life_lock(void);
void nsp__life_unlock(void);

// True if this thread holds the mutex, or is about to.
bool nsp__life_held(void);

// The same for the exit handler, which may interrupt anything. False if it was not free by the deadline
// (CLOCK_MONOTONIC ns).
bool nsp__life_lock_until(uint64_t deadline_ns);

// The error of a call for which nsp__life_lock returned false.
nsp_status nsp__life_called_from_within(void);

// With the mutex held: forgets the runtime, and frees it unless some thread may come back to it.
void nsp__life_drop(void);

// NSP_OK, or why this call can neither take the mutex nor do anything useful: another library's fork handler
// made it while ours hold the mutex, or it was made in a child in which ours have not run.
nsp_status nsp__life_amid_fork(void);

// The CLOCK_MONOTONIC time in ns at which this timeout, which may be of any length, is over.
uint64_t nsp__life_deadline_in(uint64_t timeout_ns);

// With the mutex held, which is released meanwhile: does what nsp_shutdown does (shutdown.c).
nsp_status nsp__life_shut_down(uint64_t deadline_ns);

// With the mutex held, before an exporter is created, since the process may exit meanwhile (exit.c).
void nsp__life_make_exit_hook(void);

// Registers the fork handlers (fork.c).
void nsp__life_handle_forks(void);

#endif
