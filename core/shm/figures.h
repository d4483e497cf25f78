// SPDX-License-Identifier: Apache-2.0
//
// Figures of the exporting side for whoever watches an engine: how long receivers take to answer, how far draining
// is behind, how full the rings have been. They are not part of the accounting, and nothing is decided by them. In
// shared memory, written by whoever drains and sends, with relaxed stores; anybody may read them. Members of
// nsp_stats have the same names.
#ifndef NSP_SHM_FIGURES_H
#define NSP_SHM_FIGURES_H

#include <nanospan/base.h>

enum { NSP__FIGURES_RINGS = 4096 }; // as many as there are thread slots

typedef struct nsp__figures {
    // Sender's thread.
    uint64_t answers;   // requests that were answered
    uint64_t answer_ns; // how long all of those took
    uint64_t answer_last_ns, answer_longest_ns;
    uint64_t retries; // attempts to send a batch that was attempted before
    uint8_t padding[88];
    // Whoever drains.
    uint64_t pass_ns; // CLOCK_MONOTONIC of the end of the last pass over the rings; 0: there was none
    uint64_t lag_ns, lag_longest_ns;
    uint64_t switches, switches_lost; // context switches that were read, and those that were not
    uint8_t padding_too[88];
    uint64_t ring_peak[NSP__FIGURES_RINGS]; // by thread slot: the most bytes that a pass found in its ring
} nsp__figures;

_Static_assert(sizeof(nsp__figures) % 128 == 0 && offsetof(nsp__figures, pass_ns) == 128, "lines, by writer");

// Each member has one writer at a time.
static inline void nsp__figure_set(uint64_t *figure, uint64_t value)
{
    __atomic_store_n(figure, value, __ATOMIC_RELAXED);
}

static inline void nsp__figure_add(uint64_t *figure, uint64_t amount)
{
    nsp__figure_set(figure, __atomic_load_n(figure, __ATOMIC_RELAXED) + amount);
}

static inline void nsp__figure_raise(uint64_t *figure, uint64_t value)
{
    if (value > __atomic_load_n(figure, __ATOMIC_RELAXED))
        nsp__figure_set(figure, value);
}

#endif
