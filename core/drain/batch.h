// SPDX-License-Identifier: Apache-2.0
//
// A batch: the public half that exporters see, with its header in the session, which a reader needs after a
// crash.
#ifndef NSP_DRAIN_BATCH_H
#define NSP_DRAIN_BATCH_H

#include <nanospan/exporter.h>

#include "shm/batches.h"
#include "shm/counters.h"

typedef struct nsp__batch {
    nsp_batch exported; // what the exporter sees
    nsp__batch_header *header;
    // One word for each of config->threads: the ring position up to which the batch holds that thread's records.
    // A reader after a crash takes the rest from the ring. NULL in a pool that no collector fills.
    uint64_t *coverage;
    nsp__counters *counters;      // of its session: what becomes of its spans is entered there
    struct nsp__batch_pool *pool; // where it returns to when it is settled
    // In which its pool's batches were handed over, from 1; the header has the session's own.
    uint64_t sequence;
    struct nsp__batch *next; // behind it in its pool's line; the sender's thread alone (turns.h)
    uint32_t index;          // in its pool
    uint32_t settled;        // of its spans, since it was handed over; the sender's thread alone
    // Its session is lost: it is neither sent nor counted. Set by the drainer, or on the sender's thread by
    // the exporter's send (release AB1, acquire AB2)
    bool abandoned;
} nsp__batch;

static inline bool nsp__batch_abandoned(const nsp__batch *batch)
{
    return __atomic_load_n(&batch->abandoned, __ATOMIC_ACQUIRE); // AB2: acquires AB1
}

#endif
