// SPDX-License-Identifier: Apache-2.0
//
// A batch: the public half that exporters see, and its header in the session, which a reader needs after a
// crash.
#ifndef NSP_DRAIN_BATCH_H
#define NSP_DRAIN_BATCH_H

#include <nanospan/exporter.h>

#include "shm/counters.h"

// Life of a batch. Transitions: EMPTY -> FILLING -> CLOSED by the drainer; CLOSED -> SENDING -> EMPTY by the
// sender.
enum { NSP__BATCH_EMPTY = 0, NSP__BATCH_FILLING = 1, NSP__BATCH_CLOSED = 2, NSP__BATCH_SENDING = 3 };

// In shared memory, one for each batch of the pool. Written by the current owner of the batch.
typedef struct nsp__batch_header {
    uint32_t state; // NSP__BATCH_...; stored after the other members (BH1), for a reader of a copy (BH2)
    uint32_t spans;
    uint64_t data_offset; // where the batch's bytes begin in the file `batches`
    uint64_t capacity, head, length;
    uint64_t sequence; // the order of closing, from 1
    uint32_t attempts; // attempts to send
    uint32_t in_doubt; // 1: the receiver may have accepted some attempt
} nsp__batch_header;

typedef struct nsp__batch {
    nsp_batch exported; // what the exporter sees
    nsp__batch_header *header;
    uint32_t index;
} nsp__batch;

#endif
