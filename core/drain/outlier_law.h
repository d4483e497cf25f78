// SPDX-License-Identifier: Apache-2.0
//
// The law by which the slowest share of roots is found: from the durations that threads count in histograms,
// the duration from which on a root is among them. It is pure arithmetic. It knows neither sessions nor
// clocks, so that a test can lead it through any load.
//
// The bound is the quantile of the roots of a window: the last five blocks, each of at least a quarter of a
// second and of as many roots as have 25 among the slowest share. So a busy engine's window is a little more
// than a second long, and one with few roots waits for as many as the share needs. Within a step of the
// histogram, the logarithm of the share that lasts longer is taken to fall evenly.
//
// What a step of the durations makes of that is seen at once, by how many roots were above the bound: if they
// are far too many or too few, only what came since counts. If they are a little too many or too few for some
// time, because durations drift, the quantile is taken of a share that is corrected by as much.
//
// Until ten roots of the share are expected in what was counted, nothing is known, and nothing is kept.
// Roots that took equally long, to the tick, are all among the slowest, or none of them is.
#ifndef NSP_DRAIN_OUTLIER_LAW_H
#define NSP_DRAIN_OUTLIER_LAW_H

#include "shm/latencies.h"
#include "shm/outlier_bounds.h"

enum { NSP__OUTLIER_LAW_BLOCKS = 5 };

typedef struct nsp__outlier_block {
    uint64_t begun_ns, roots;
    uint32_t counts[NSP__LATENCY_STEPS];
} nsp__outlier_block;

typedef struct nsp__outlier_law {
    double share; // wanted: more than 0, at most 1
    uint64_t slowest_ticks;
    double correction;     // of the share, as a logarithm
    bool known;            // there was a bound
    uint32_t newest, used; // of the blocks; those that are used end with the newest
    nsp__outlier_block blocks[NSP__OUTLIER_LAW_BLOCKS]; // in a ring
    uint64_t fresh_roots;
    uint32_t fresh[NSP__LATENCY_STEPS]; // counted since the last look
} nsp__outlier_law;

// The shortest time from one look to the next.
#define NSP__OUTLIER_LOOK_NS UINT64_C(200000000)

// The state before the first look.
void nsp__outlier_law_begin(nsp__outlier_law *law, double share);

// Roots that have ended since the last look.
static inline void nsp__outlier_law_count(nsp__outlier_law *law, uint32_t step, uint32_t roots)
{
    law->fresh[step] += roots;
    law->fresh_roots += roots;
}

// To be called after that. now_ns: of any clock that does not go back. Returns the bound, in ticks, which
// holds until the next look; or NSP__SLOWEST_UNKNOWN.
uint64_t nsp__outlier_law_look(nsp__outlier_law *law, uint64_t now_ns);

#endif
