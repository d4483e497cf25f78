// SPDX-License-Identifier: Apache-2.0
//
// The session's counters of the exporting side, in shared memory. The sender and the drainer add to them
// atomically; anybody may read them. Field names are those of nsp_stats.
#ifndef NSP_SHM_COUNTERS_H
#define NSP_SHM_COUNTERS_H

#include <nanospan/base.h>

typedef struct nsp__counters {
    uint64_t discarded, unconfirmed, rejected, exported, spooled;
    uint64_t dropped_invalid;
    uint64_t batches_sent, batches_failed, bytes_sent, bytes_encoded;
} nsp__counters;

static inline void nsp__counters_add(uint64_t *counter, uint64_t amount)
{
    __atomic_fetch_add(counter, amount, __ATOMIC_RELEASE); // C1: acquired at C2 (stats.c)
}

#endif
