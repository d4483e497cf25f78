// SPDX-License-Identifier: Apache-2.0
//
// What whoever drains does for rules that keep the slowest share: a few times a second it reads what has come
// into the histograms of all threads, leads the law of each such rule (outlier_law.h), and writes the bounds.
// A histogram into which nothing has come costs a load, and without such a rule a pass costs one.
#ifndef NSP_DRAIN_OUTLIER_WATCH_H
#define NSP_DRAIN_OUTLIER_WATCH_H

#include "drain/outlier_law.h"
#include "drain/ring_source.h"
#include "trace/policy_change.h"

// A rule that keeps a share.
typedef struct nsp__watched_rule {
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    nsp__outlier_law law;
} nsp__watched_rule;

// Of a place in a thread's slot, at the last look.
typedef struct nsp__watched_place {
    uint64_t ticks;
    uint32_t counts[NSP__LATENCY_STEPS];
} nsp__watched_place;

// Zeroed memory is the state before the first look.
typedef struct nsp__outlier_watch {
    uint32_t generation; // of the policy whose rules these are; 0: none
    bool begun;          // the histograms were looked at
    uint64_t looked_ns;
    uint32_t rule_count;                                // of those below that are not NULL
    nsp__watched_rule *rules[NSP__CLASSES];             // by rule
    nsp__watched_place *(*places)[NSP__LATENCY_PLACES]; // by thread slot; NULL: there was no rule yet
    uint32_t slots;
} nsp__outlier_watch;

// What a session has for it.
typedef struct nsp__outlier_view {
    nsp__policy_place policy;
    const nsp__outliers *outliers; // two, as many as policies; NULL: it has none
    nsp__outlier_bounds *bounds;   // NULL: it has none
} nsp__outlier_view;

// To be called after each pass, over these sources, of which there may be threads_max.
void nsp__outlier_watch_look(nsp__outlier_watch *watch, const nsp__outlier_view *view,
                             const nsp__ring_source *sources, uint32_t count, uint32_t threads_max,
                             uint64_t now_ns);

void nsp__outlier_watch_free(nsp__outlier_watch *watch);

#endif
