// SPDX-License-Identifier: Apache-2.0
//
// The sender: one thread that takes closed batches, sends them through the exporter, retries, and hands the
// empty batches back. Draining never waits for it; the pool of batches bounds its memory.
//
// Concurrency: the drainer calls take_empty and put_closed (one drainer at a time), and the sender thread
// does the reverse. Any thread may use wait, stop and the counters.
#ifndef NSP_DRAIN_SENDER_H
#define NSP_DRAIN_SENDER_H

#include <nanospan/exporter.h>

#include "drain/batch.h"

typedef struct nsp__sender nsp__sender;

typedef struct nsp__sender_options {
    const nsp_exporter *exporter;
    void *exporter_state;
    nsp__batch *batches; // the pool, all EMPTY; count is a power of two
    uint32_t count;
    nsp__counters *counters;
    int *cancel;    // the word that nsp_exporter_context.cancel points to
    int *held_back; // that of nsp_exporter_context.held_back; NULL: none
    // Not 0: the receiver may have accepted the running attempt, whatever held_back says. NULL: 0.
    const int *doubt;
    uint64_t export_timeout_ns;              // deadline of one attempt
    const char *cpus;                        // the CPUs that the thread may use, or NULL
    uint64_t backoff_min_ns, backoff_max_ns; // multiplied by a jitter of 0.5 to 1.5
    bool alone_checks;                       // true if no collector's thread makes them (base/alone.h)
    // Set to true by stop if the thread was left behind: exporter state, batches and these words must then
    // stay forever. May be NULL.
    bool *left_behind;
} nsp__sender_options;

// Retry: while running, a batch is sent again without a limit of age or attempts. The pool is the bound: when
// it is used up, rings fill and new traces are refused at their root. A Retry-After is honoured up to 60 s,
// and neither wait nor stop cuts it short. Both cut our own backoff short, which also stays at its minimum
// while somebody waits. Batches are settled in the order in which they were closed.
//
// Accounting of a settled batch: EXPORTED adds to exported and rejected, REJECTED to rejected, UNCONFIRMED to
// unconfirmed. Parts that the exporter reports are counted, and taken off the batch, after each attempt.
// Spans that stop gives up are unconfirmed if the receiver may have accepted some attempt, otherwise
// discarded. An attempt that does not return counts as accepted, unless the exporter holds the batch back.
// batches_sent counts answered requests, batches_failed those that ended in anything but EXPORTED. The
// drainer counts bytes_encoded.

// Allocates and starts the thread ("nsp-sender": SCHED_OTHER, all signals blocked).
nsp_status nsp__sender_start(nsp__sender **out, const nsp__sender_options *options);

// Drainer: takes an empty batch, or NULL if all are in use. Wait-free.
nsp__batch *nsp__sender_take_empty(nsp__sender *sender);
// Drainer: hands over a closed batch (header already CLOSED, sequence set) and wakes the sender. Wait-free
// except for the wake-up.
void nsp__sender_put_closed(nsp__sender *sender, nsp__batch *batch);
// Drainer: gives back a batch that it took and did not use; the sender is not involved.
void nsp__sender_put_unused(nsp__sender *sender, nsp__batch *batch);

// Waits until every batch up to this sequence number has been settled (exported, rejected or given up), or
// until the deadline (CLOCK_MONOTONIC ns). True if settled. When a wait begins, a batch in backoff is retried
// at once, but such requests cause at most one retry per minimum backoff, so waiting in short slices is fine.
bool nsp__sender_wait(nsp__sender *sender, uint64_t sequence, uint64_t deadline_ns);

typedef struct nsp__sender_end {
    bool all_sent;
    bool in_callback;  // the thread was left behind inside the log callback: lines would wait for it
    uint64_t given_up; // spans of the batches that were left
} nsp__sender_end;

// To be called after the drainer's last put_closed. Sends what is queued until the deadline, then cancels a
// running send. What is left is counted (unconfirmed if in doubt, otherwise discarded), and the thread is
// joined. Says what was left. Ends by deadline + 200 ms (for a deadline in the past: 200 ms
// after the call). If the thread cannot be joined by then (a blocked resolver), it is left behind, detached,
// and touches nothing that was freed. Ends early when it is clear that there would be no further attempt
// before the deadline.
nsp__sender_end nsp__sender_stop(nsp__sender *sender, uint64_t deadline_ns);

// For the exit of the process (base/exit_gate.h): makes a running send return soon, and lets the thread see
// that there will be no other. May be called from any thread, also in a signal handler. Does nothing if the
// sender is being created or freed for a second.
void nsp__sender_cancel(void);

// In the child of a fork, which has no sender thread.
void nsp__sender_fork_child(void);
// The same, and forgets the sender without touching its thread.
void nsp__sender_abandon(nsp__sender *sender);

#endif
