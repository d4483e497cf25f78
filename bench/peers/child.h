// SPDX-License-Identifier: Apache-2.0
//
// Runs a peer in its own process, so that run-time systems with their own threads, signal handlers and
// allocators can disturb neither each other nor later measurements.
#ifndef NSP_BENCH_PEER_CHILD_H
#define NSP_BENCH_PEER_CHILD_H

#include "harness/noise.h"
#include "harness/setup.h"
#include "peers/peer.h"

typedef struct peer_calls {
    const char *(*start)(const char *endpoint, int mode);
    void (*run)(int operation, size_t count);
    void (*sample)(int operation, uint32_t *ticks, size_t count);
    void (*stop)(void);
    void (*count)(peer_counts *out);
    bool (*drained)(void); // waits until the queue is empty; NULL: the peer cannot do that
} peer_calls;

// What a peer can do.
enum { PEER_HAS_UNSAMPLED = 1, PEER_HAS_DISABLED = 2, PEER_SPEAKS_OTLP = 4, PEER_WRITES_TRACE = 8 };

typedef struct peer {
    const char *name;       // also of its shared object
    const char *configured; // its configuration
    unsigned features;
    const peer_calls *calls; // NULL: in a shared object
    const char *absent;      // why it is never available; NULL: it may be available
} peer;

extern const peer peers[];
extern const size_t peer_count_all;

// The peers without a shared object.
extern const peer_calls peer_nanospan, peer_mutex_queue, peer_ck_ring, peer_nothing;

enum { PEER_ROUNDS = 64, PEER_SAMPLES = 300000 };

typedef struct peer_rounds {
    unsigned count;
    double ns[PEER_ROUNDS], ratio[PEER_ROUNDS], additions[PEER_ROUNDS]; // ns of a span; ratio to 2T
} peer_rounds;

// Shared by the two processes.
typedef struct peer_page {
    const bench_setup *setup;
    char endpoint[64]; // "": the exporter counts
    peer_mode mode;
    bool pinned;

    // Written by the child.
    unsigned done, of; // progress
    bool finished;
    char problem[120];
    bench_noise best;
    uint64_t recorded; // spans that it was asked to record
    peer_counts counts;
    nsp_stats stats; // nanospan's span counters; size 0: another peer

    peer_rounds rounds[2]; // by operation
    uint32_t samples[PEER_SAMPLES];
    size_t sampled;

    uint64_t begun_ns;   // CLOCK_MONOTONIC
    double took_ns;      // of the loop alone
    uint64_t memory_kib; // peak resident memory
} peer_page;

// What the child does between start and stop, on the measured thread. calls are the peer's functions.
typedef void (*peer_job)(const peer_calls *calls, peer_page *page);

// How to run a job.
typedef struct peer_task {
    peer_job job;
    peer_mode mode;
    const char *endpoint; // NULL: the exporter counts
    bool pinned; // the measured thread on its CPU, everything else on the collector's; otherwise all on both
} peer_task;

// Runs a job in a child and waits for it. NULL after result_fail or result_skip. Each call returns the same
// page.
const peer_page *peer_work(const peer *which, const peer_task *task, const bench_setup *setup,
                           bench_result *out);

// Call it in the child from time to time: moves threads that the peer has started to the collector's CPU.
void peer_settle(const peer_page *page);

// The version of a peer, or why it is not available. False: not available.
bool peer_about(const peer *which, char *text, size_t size);

#endif
