// SPDX-License-Identifier: Apache-2.0
//
// The sender: one thread that takes closed batches, sends them through the exporter, retries, and gives each of
// them back to its pool. Draining never waits for it; the pools bound what waits.
//
// One sender may serve the pools of many sessions. They take turns (turns.h): one that waits has at most one batch of
// each other pool before it, however many those have, and one whose batch cannot be delivered holds nobody up.
//
// Concurrency: the drainer calls put_closed (one drainer at a time), also for several pools, and the sender
// thread gives back. Any thread may use wait, settled, stop and the counters.
#ifndef NSP_DRAIN_SENDER_H
#define NSP_DRAIN_SENDER_H

#include <nanospan/exporter.h>

#include "drain/batch_pool.h"

typedef struct nsp__sender nsp__sender;

typedef struct nsp__sender_options {
    const nsp_exporter *exporter;
    void *exporter_state;
    uint32_t closed_max; // the most batches that can be closed at once: those of all pools together
    int *cancel;         // the word that nsp_exporter_context.cancel points to
    int *held_back;      // that of nsp_exporter_context.held_back; NULL: none
    // One of them not 0: the receiver may have accepted the running attempt, whatever held_back says. NULL: 0.
    const int *doubts[2];
    // Written by the exporter's send. True: it remembers what it has done of this batch, of which there is more to
    // do, and would forget that with another one. So until this one is settled there is no other. NULL: false.
    const bool *bound;
    uint64_t export_timeout_ns;              // deadline of one attempt
    const char *cpus;                        // the CPUs that the thread may use, or NULL
    uint64_t backoff_min_ns, backoff_max_ns; // multiplied by a jitter of 0.5 to 1.5
    bool alone_checks;                       // true if no collector's thread makes them (base/alone.h)
    bool faults; // batches lie in files that others may cut short, so the thread lets SIGBUS through
    // Stop gives nothing up, counts nothing, and returns no batch to its pool: what is not settled stays
    // CLOSED or SENDING in its header, for whoever drains that session next.
    bool leave_rest;
    // Set to true by stop if the thread was left behind: exporter state, batches and these words must then
    // stay forever. May be NULL.
    bool *left_behind;
} nsp__sender_options;

// Retry: while running, a batch is sent again without a limit of age or attempts. The pool is the bound: when
// it is used up, rings fill and new traces are refused at their root. A Retry-After is honoured up to 60 s,
// and neither wait nor stop cuts it short; it holds for all pools. Both cut our own backoff short, which also stays
// at its minimum while somebody waits. The batches of a pool are settled in the order in which they were closed.
//
// Accounting of a settled batch: EXPORTED adds to exported and rejected, REJECTED to rejected, UNCONFIRMED to
// unconfirmed. Parts that the exporter reports are counted, and taken off the batch, after each attempt.
// Spans that stop gives up are unconfirmed if the receiver may have accepted some attempt, otherwise
// discarded. An attempt that does not return counts as accepted, unless the exporter holds the batch back.
// batches_sent counts answered requests, batches_failed those that ended in anything but EXPORTED. The
// drainer counts bytes_encoded.

// Allocates and starts the thread ("nsp-sender": SCHED_OTHER, all signals blocked but what `faults` says).
// NSP_ERR_BUSY: another one lives in this process.
nsp_status nsp__sender_start(nsp__sender **out, const nsp__sender_options *options);

// Drainer: hands over a closed batch (header already CLOSED) and wakes the sender. Returns the batch's sequence in
// its pool, which wait and settled take: 1 for the pool's first batch, then one more for each. Wait-free except for
// the wake-up.
uint64_t nsp__sender_put_closed(nsp__sender *sender, nsp__batch *batch);

// True if every batch of the pool up to this sequence number has been settled. If that is its last one, no sender
// uses the pool any more. Wait-free.
bool nsp__sender_settled(const nsp__batch_pool *pool, uint64_t sequence);
// Waits until every batch of the pool up to this sequence number has been settled (exported, rejected or given up), or
// until the deadline (CLOCK_MONOTONIC ns). True if settled. When a wait begins, a batch in backoff is retried
// at once, but such requests cause at most one retry per minimum backoff, so waiting in short slices is fine.
bool nsp__sender_wait(nsp__sender *sender, const nsp__batch_pool *pool, uint64_t sequence,
                      uint64_t deadline_ns);

typedef struct nsp__sender_end {
    bool all_sent;
    bool in_callback;  // the thread was left behind inside the log callback: lines would wait for it
    uint64_t given_up; // spans of the batches that were given up, or left
} nsp__sender_end;

// To be called after the drainer's last put_closed. Sends what is queued until the deadline, then cancels a
// running send. What is left is counted (unconfirmed if in doubt, otherwise discarded) unless `leave_rest` is set,
// and the thread is joined. Says what was left. Ends by deadline + 200 ms (for a deadline in the past: 200 ms
// after the call). If the thread cannot be joined by then (a blocked resolver), it is left behind, detached,
// and touches nothing that was freed. Ends early when it is clear that there would be no further attempt
// before the deadline.
nsp__sender_end nsp__sender_stop(nsp__sender *sender, uint64_t deadline_ns);

// For a sender whose drainer hangs, so that it cannot be stopped: it goes on, and another one may be started.
void nsp__sender_orphan(nsp__sender *sender);

// For the exit of the process (base/exit_gate.h): makes a running send return soon, and lets the thread see
// that there will be no other. May be called from any thread, also in a signal handler. Does nothing if the
// sender is being created or freed for a second.
void nsp__sender_cancel(void);

// In the child of a fork, which has no sender thread.
void nsp__sender_fork_child(void);
// The same, and forgets the sender without touching its thread.
void nsp__sender_abandon(nsp__sender *sender);

#endif
