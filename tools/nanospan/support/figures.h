// SPDX-License-Identifier: Apache-2.0
//
// The figures of all sessions of this user, as commands show them that watch engines: one look, and the rates since
// the look before.
#ifndef NANOSPAN_SUPPORT_FIGURES_H
#define NANOSPAN_SUPPORT_FIGURES_H

#include <nanospan/inspect.h>

// Since the look before, by second; all 0 in the first look at an engine (`rated` is false).
typedef struct figures_rates {
    double spans;     // begun and sampled
    double unsampled; // traces that the sampler left out
    double refused;   // traces left out because a ring was filled above its watermark
    double dropped;   // spans, for whatever cause
    double exported;
    double batches; // requests that were answered
    double bytes;   // of their bodies
    double retries;
    double kept; // spans that the head left out, and an outlier rule kept
} figures_rates;

typedef struct figures_thread {
    nsp_session_thread seen;
    char name[32]; // "": it has none
    uint64_t dropped;
    figures_rates rates; // spans, unsampled, refused, dropped
    bool rated;
} figures_thread;

// How long the local roots of one name took.
typedef struct figures_latency {
    char *name;
    nsp_latency all;    // since the engine began to trace
    nsp_latency recent; // since the look before, without sum_ns; as `all` if there were none
    double per_second;  // 0 in the first look at it
} figures_latency;

typedef struct figures_engine {
    nsp_session seen; // its texts and arrays are those below
    char *directory;
    const char *name; // the last part of that; it tells sessions apart
    char *service;    // of its resource, or the beginning of that name
    char *problem;    // why it cannot be read; NULL: it was read
    char *changed_process;
    nsp_session_rule *rules;
    nsp_session_outlier *outliers;
    figures_thread *threads;
    figures_latency *latencies; // seen.latency_count of them, those with the most roots first
    figures_rates rates;
    double answer_ns; // mean of the requests answered since the look before, or of all if there were none
    bool rated;
} figures_engine;

typedef struct figures {
    figures_engine *engines;
    size_t count, capacity;
} figures;

// Looks again, and compares with what was in `all`, which then is the new look: sessions that are gone are gone from
// it. folder: of the sessions; NULL: the environment's. The error is nsp_sessions_each's; then `all` stays as it was.
nsp_status figures_look(figures *all, const char *folder);
void figures_free(figures *all);

// How full rings are and have been: of the thread whose ring was the fullest; 0 to 1.
double figures_ring_fill(const figures_engine *engine);
double figures_ring_peak(const figures_engine *engine);

// Nanoseconds since the last pass over the rings; 0: there was none. As seen when the engine was looked at.
uint64_t figures_pass_age_ns(const figures_engine *engine);

// How long records had waited in the rings, at most, at the last pass; or since then, if that is longer and some are
// waiting: whoever drains has stopped.
uint64_t figures_lag_ns(const figures_engine *engine);

// What drains it, in a word: "itself", "agent", "nobody" (it is to be drained from outside), "ended", "dead", or
// "unknown" (it cannot be read).
const char *figures_state(const figures_engine *engine);

#endif
