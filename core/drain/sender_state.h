// SPDX-License-Identifier: Apache-2.0
//
// The inside of the sender, shared by its parts: sender.c (what others call), sender_thread.c (the thread) and
// sender_log.c (what it logs).
#ifndef NSP_DRAIN_SENDER_STATE_H
#define NSP_DRAIN_SENDER_STATE_H

#include <pthread.h>

#include "base/exit_gate.h"
#include "common/time.h"
#include "drain/batch_queue.h"
#include "drain/sender.h"
#include "drain/turns.h"

// What the sender thread is doing. BLOCKING: it is in code that may block for as long as it likes (the
// exporter's send, the log callback). The thread makes the transitions WORKING -> BLOCKING and BLOCKING ->
// WORKING; stop makes BLOCKING -> ABANDONED, and from then on owns everything that the thread owned; the
// thread makes WORKING -> DONE and touches nothing afterwards.
enum { NSP__SENDER_WORKING, NSP__SENDER_BLOCKING, NSP__SENDER_ABANDONED, NSP__SENDER_DONE };

enum { NSP__SENDER_LABEL_MAX = 304 };

struct nsp__sender {
    // Written before the thread starts.
    nsp__sender_options options;
    nsp__sender *next_kept;
    pthread_t thread;

    nsp__batch_queue closed; // drainer -> sender thread
    nsp__event work;         // signalled by put_closed, wait, stop; the thread sleeps on it
    nsp__event progress;     // signalled by the thread; wait and stop sleep on it

    // Shared, by __atomic builtins. A release store of stopping or thread_state pairs with its acquire loads.
    uint64_t waiting_spans;  // in closed batches; added by the drainer, subtracted by the thread
    uint64_t stop_deadline;  // by stop, before stopping
    uint32_t stopping;       // by stop
    uint32_t waiters;        // threads inside wait
    uint32_t retry_requests; // by wait and stop: asks for our own backoff to end now
    uint32_t thread_state;   // NSP__SENDER_...
    bool orphan;             // nsp__sender_orphan; guarded by the lock in sender.c

    // Used by the sender thread only.
    nsp__turns turns;    // what it has taken out of `closed`
    nsp__batch *current; // being sent: the first of its pool's line
    char label
        [NSP__SENDER_LABEL_MAX]; // of its pool, which may be gone when the line in the log is written; "": none
    uint64_t random;
    uint64_t last_requested_retry; // when a pause last ended on request
    uint32_t requests_seen;        // of retry_requests, before the last attempt
    uint64_t given_up_spans; // this and gave_up: stop reads them too, once the thread is done or left behind
    bool gave_up;
    bool was_in_doubt; // the current batch, before the running attempt; stop reads it of a thread left behind
    bool no_attempt_left; // while stopping: there would be no further attempt before the deadline
    bool logging;         // writing a log line
    bool has_sent;        // made its first attempt
    bool stays;           // cannot be joined, because the process is exiting; read when the thread is done
    bool failing;         // the last attempt was RETRY or UNKNOWN, of a pool that is not blamed for it
};

static inline bool nsp__sender_stopping(const nsp__sender *sender)
{
    return __atomic_load_n(&sender->stopping, __ATOMIC_ACQUIRE); // SP2: acquires SP1
}

// UINT64_MAX while nobody stops the sender; 0 when the process is exiting.
static inline uint64_t nsp__sender_stop_deadline(const nsp__sender *sender)
{
    if (nsp__exit_closed())
        return 0;
    return nsp__sender_stopping(sender) ? __atomic_load_n(&sender->stop_deadline, __ATOMIC_RELAXED)
                                        : UINT64_MAX;
}

static inline void nsp__sender_begin_blocking(nsp__sender *sender)
{
    __atomic_store_n(&sender->thread_state, NSP__SENDER_BLOCKING, __ATOMIC_RELEASE); // SW1: to SW2
}

// False: the thread was left behind meanwhile, and no longer owns anything.
static inline bool nsp__sender_end_blocking(nsp__sender *sender)
{
    uint32_t expected = NSP__SENDER_BLOCKING;
    return __atomic_compare_exchange_n(&sender->thread_state, &expected, NSP__SENDER_WORKING, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); // SW2
}

// What the log says of an attempt's pool, which may be gone by then: as it was before, and is after it.
typedef struct nsp__attempt {
    bool was_blamed, blamed;
    bool was_unconfirmed;
} nsp__attempt;

// sender_log.c: before an attempt. Keeps the pool's label.
nsp__attempt nsp__sender_look(nsp__sender *sender, const nsp__batch_pool *pool);
// Logs what came of it, after it is counted; spans: what was left of the batch. False: left behind.
bool nsp__sender_report(nsp__sender *sender, nsp_send_result result, const nsp_send_report *report,
                        uint64_t spans, const nsp__attempt *seen);

// Run by the thread.
void *nsp__sender_run(void *sender);

// For whoever owns the thread's part: the thread itself, or the stop that left it behind. Counts spans as
// unconfirmed if the batch is in doubt, otherwise as discarded. The caller settles the batch.
void nsp__sender_count_as_given_up(nsp__sender *sender, nsp__batch *batch);
// Counts and settles all that is left; with `leave_rest` it leaves these batches as they are.
void nsp__sender_give_up_rest(nsp__sender *sender);
// Notes that its spans are given up or left.
void nsp__sender_note_given_up(nsp__sender *sender, const nsp__batch *batch);
// The batch's spans are in the accounting now and no longer in the batch. This order makes sure that a reader
// after a crash finds them in one of the two, for a moment in both, but never in neither.
void nsp__sender_close_account(nsp__sender *sender, nsp__batch *batch);
// All batches of the pool up to this sequence are settled. The last access to a pool of which this is the last one.
void nsp__sender_announce(nsp__sender *sender, nsp__batch_pool *pool, uint64_t sequence);

#endif
