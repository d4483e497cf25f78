// SPDX-License-Identifier: Apache-2.0
//
// The sender: one thread that takes closed batches, sends them through the exporter, retries, and hands the empty
// batches back. Draining never waits for it; the pool of batches is the memory bound.
//
// Concurrency: drainer calls take_empty and put_closed (one drainer at a time); the sender thread does the reverse;
// wait, stop and the counters may be used by any thread.
#ifndef NSP_DRAIN_SENDER_H
#define NSP_DRAIN_SENDER_H

#include <nanospan/exporter.h>

#include "drain/batch.h"

typedef struct nsp__sender nsp__sender;

typedef struct nsp__sender_options {
    const nsp_exporter *exporter;
    void *exporter_state;
    nsp__batch *batches; // the pool, all EMPTY; count a power of two
    uint32_t count;
    nsp__counters *counters;
    int *cancel;                             // the word that nsp_exporter_context.cancel points to
    uint64_t export_timeout_ns;              // deadline of one attempt
    const char *cpus;                        // affinity, or NULL
    uint64_t backoff_min_ns, backoff_max_ns; // times a jitter of 0.5 to 1.5
    bool alone_checks; // where there is no collector's thread to make them (base/alone.h)
    // Set to true by stop if the thread was left behind: exporter state, batches and
    // cancel must then stay for ever. NULL: not told.
    bool *left_behind;
} nsp__sender_options;

// Retry: while running, a batch is sent again without limit of age or number; the pool is the bound (then rings fill
// and new traces are refused at their root). A Retry-After is honoured up to 60 s, and neither wait nor stop cut it
// short; own backoff is cut short by both, and stays at its minimum while somebody waits. Batches are settled in the
// order in which they were closed.
//
// Accounting of a settled batch: EXPORTED adds to exported and rejected, REJECTED to rejected, UNCONFIRMED to unconfirmed; parts
// that the exporter reports are booked, and taken off the batch, after each attempt. What stop gives up is
// unconfirmed if some attempt may have been taken, else discarded. batches_sent counts answered requests,
// batches_failed those that ended in anything but EXPORTED. bytes_encoded is the drainer's.

// Allocates and starts the thread ("nsp-sender": SCHED_OTHER, all signals blocked).
nsp_status nsp__sender_start(nsp__sender **out, const nsp__sender_options *options);

// Drainer: an empty batch, or NULL if all are in use. Wait-free.
nsp__batch *nsp__sender_take_empty(nsp__sender *sender);
// Drainer: hands over a closed batch (header already CLOSED, sequence set) and wakes the sender. Wait-free but for
// the wake.
void nsp__sender_put_closed(nsp__sender *sender, nsp__batch *batch);
// Drainer: hands back a batch that it took and did not use, without the sender.
void nsp__sender_put_unused(nsp__sender *sender, nsp__batch *batch);

// Waits until every batch up to this sequence number has been settled (exported, rejected, given up), or the deadline
// (CLOCK_MONOTONIC ns). True if settled. A batch in backoff is retried at once when a wait begins, but for such a
// wish no more often than the least backoff: waiting in short slices is fine.
bool nsp__sender_wait(nsp__sender *sender, uint64_t sequence, uint64_t deadline_ns);

// Stops, after the drainer's last put_closed: sends what is queued until the deadline, then cancels a running send;
// what is left is counted (unconfirmed if in doubt, else discarded) and the thread joined. Returns true if nothing
// was left. Ends by deadline + 200 ms (a deadline in the past: from the call). If the thread cannot be joined by
// then (a blocked resolver), it is left behind, detached, touching nothing freed. Ends early when it is clear that
// no attempt more would come before the deadline.
bool nsp__sender_stop(nsp__sender *sender, uint64_t deadline_ns);

// The process is exiting (base/exit_gate.h): has a running send return soon, and lets the thread see that
// there is no other. From any thread, a signal handler's included; does nothing if the sender is just being
// made or freed for a second.
void nsp__sender_cancel(void);

// In the child of a fork: there is no sender's thread.
void nsp__sender_fork_child(void);
// And forgets the sender without touching its thread.
void nsp__sender_abandon(nsp__sender *sender);

#endif
