// SPDX-License-Identifier: Apache-2.0
//
// A peer at work, in a process of its own: run-time systems with threads, signal handlers and allocators of their own cannot
// disturb each other there, nor what is measured later.
#ifndef NSP_BENCH_PEER_CHILD_H
#define NSP_BENCH_PEER_CHILD_H

#include "harness/setup.h"
#include "peers/peer.h"

typedef struct peer_calls {
    const char *(*start)(const char *endpoint, int mode);
    void (*run)(int operation, size_t count);
    void (*sample)(int operation, uint32_t *ticks, size_t count);
    void (*stop)(void);
    void (*count)(peer_counts *out);
    bool (*drained)(void); // waits until the queue is empty; NULL: it does not tell
} peer_calls;

// What a peer knows how to do.
enum { PEER_HAS_UNSAMPLED = 1, PEER_HAS_DISABLED = 2, PEER_SPEAKS_OTLP = 4, PEER_WRITES_TRACE = 8 };

typedef struct peer {
    const char *name;       // and of its shared object
    const char *configured; // how
    unsigned features;
    const peer_calls *calls; // NULL: in a shared object
    const char *absent;      // why it never is there; NULL: it may be
} peer;

extern const peer peers[];
extern const size_t peer_count_all;

// Those without a shared object.
extern const peer_calls peer_nanospan, peer_mutex_queue, peer_ck_ring, peer_nothing;

enum { PEER_ROUNDS = 64, PEER_SAMPLES = 300000 };

typedef struct peer_rounds {
    unsigned valid, invalid;
    double ns[PEER_ROUNDS], ratio[PEER_ROUNDS]; // of a span; to 2T
} peer_rounds;

// Shared by the two processes.
typedef struct peer_page {
    const bench_setup *setup;
    char endpoint[64]; // "": the exporter counts
    peer_mode mode;
    bool pinned;

    // By the child.
    unsigned done, of; // how far it is
    bool finished;
    char problem[120];
    bench_noise best;
    uint64_t recorded; // spans that it was told to record
    peer_counts counts;
    nsp_stats books; // nanospan's; size 0: another peer's

    peer_rounds rounds[2]; // by operation
    uint32_t samples[PEER_SAMPLES];
    size_t sampled;
    unsigned sampled_invalid; // steps

    uint64_t begun_ns;   // CLOCK_MONOTONIC
    double took_ns;      // the loop alone
    uint64_t memory_kib; // the most that was resident
} peer_page;

// What the child does between start and stop, on the measured thread. calls: of the peer.
typedef void (*peer_job)(const peer_calls *calls, peer_page *page);

// How a job is run.
typedef struct peer_task {
    peer_job job;
    peer_mode mode;
    const char *endpoint; // NULL: the exporter counts
    bool pinned; // the measured thread to its CPU, all else to the collector's; else all to these two
} peer_task;

// Runs a job in a child and waits for it. NULL after result_fail or result_skip; the page is the same at each call.
const peer_page *peer_work(const peer *which, const peer_task *task, const bench_setup *setup,
                           bench_result *out);

// In the child, now and then: threads that the peer has started since go to the collector's CPU.
void peer_settle(const peer_page *page);

// Version of a shared object, or why it is not there. False: not there.
bool peer_about(const peer *which, char *text, size_t size);

#endif
