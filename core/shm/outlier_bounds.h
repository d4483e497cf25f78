// SPDX-License-Identifier: Apache-2.0
//
// From which duration on a root is among the slowest share of its rule. Whoever drains finds that out from
// the histograms of all threads (drain/outlier_law.h), and writes it here with relaxed stores; a thread reads
// it at the end of a root, relaxed. Nobody else writes these lines.
#ifndef NSP_SHM_OUTLIER_BOUNDS_H
#define NSP_SHM_OUTLIER_BOUNDS_H

#include "shm/outliers.h"

// Not known: nothing is kept for being among the slowest.
#define NSP__SLOWEST_UNKNOWN UINT64_MAX

typedef struct nsp__outlier_bounds {
    // Of the policy whose rules have these numbers; 0: nobody has looked yet, and `slowest_ticks` means
    // nothing.
    uint32_t generation;
    uint32_t reserved;
    // Nanoseconds of a tick when the session began, in the clock's units (clock/clock.h); constant after
    // that. By it ticks of histograms are shown, since what is shown of them may never go down.
    uint64_t tick_rate;
    uint64_t reserved_too[14];
    uint64_t slowest_ticks[NSP__CLASSES]; // by outlier rule: a root of so many ticks or more
} nsp__outlier_bounds;

_Static_assert(sizeof(nsp__outlier_bounds) % 128 == 0, "lines of its own");

#endif
