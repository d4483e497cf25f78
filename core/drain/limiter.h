// SPDX-License-Identifier: Apache-2.0
//
// The law by which a limit of traces a second is kept: how much the rates have to be lowered, from what whoever drains
// has counted. It is pure arithmetic. It knows neither sessions nor clocks, so that a test can lead it through any load.
//
// With a load of N roots a second, of which the rates as they were set would sample a share P, the factor is
// limit / (N P). N is counted exactly, and within a tenth of a second, since roots that are left out are counted too. P
// changes with the kinds of roots, and is estimated from what was sampled; that takes as many traces as it needs. Since
// it is compared with the roots and the factor of the same time, a step of the load says nothing about it, and what
// was too much for a moment is not paid back.
#ifndef NSP_DRAIN_LIMITER_H
#define NSP_DRAIN_LIMITER_H

#include <nanospan/base.h>

enum { NSP__LIMITER_LOOKS = 32 };

// A number of events, and how many of them one unit of P, or one second, would have brought.
typedef struct nsp__limiter_count {
    double seen, per;
} nsp__limiter_count;

// Zeroed memory is the state before the first look.
typedef struct nsp__limiter {
    uint64_t looked_ns;  // of the last look; 0: there was none
    uint64_t changed_ns; // of the last look that wanted another factor
    double limit;        // that all of this is about
    struct {
        double roots, seconds;
    } looks[NSP__LIMITER_LOOKS]; // the last ones, in a ring
    uint32_t look;               // how many there were
    nsp__limiter_count load;     // roots in about a second
    // Traces, and how many there would have been if P were 1: in some seconds, since they were last tested, and while
    // the rings were not emptied.
    nsp__limiter_count share, recent, pending;
    double recent_seconds;
    uint64_t settled_ns;  // from then on they are counted
    double trace_seconds; // how long a trace takes, on average: it is counted when it ends
    bool remote;          // there were traces with remote parents
} nsp__limiter;

// What was counted since the last look.
typedef struct nsp__limiter_look {
    uint64_t now_ns;      // CLOCK_MONOTONIC
    double limit;         // in force; 0: none
    double factor;        // in force since the last look
    double rate_max;      // the highest rate of any root
    uint64_t roots;       // that began, sampled or not
    uint64_t traces;      // of them, those that were sampled and whose root has ended
    double trace_seconds; // how long all those took together
    bool behind;          // some that have ended are not counted yet
    bool remote; // some of the traces have remote parents: of such, roots that were left out are not counted
} nsp__limiter_look;

// The shortest time from one look to the next.
#define NSP__LIMITER_LOOK_NS UINT64_C(10000000)

// True if it is time for a look, if so many traces have been counted since the last one: it comes earlier if they are
// far too many.
bool nsp__limiter_due(const nsp__limiter *limiter, uint64_t now_ns, uint64_t traces);

// The factor that should be in force from now on: the same as before if it is near enough.
double nsp__limiter_step(nsp__limiter *limiter, const nsp__limiter_look *look);

#endif
