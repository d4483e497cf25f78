// SPDX-License-Identifier: Apache-2.0
//
// A pool of batches. Its size bounds what can wait for the network. A sender may serve several pools: each batch
// returns to its own, and the batches of one pool are settled in the order in which they were handed over.
//
// Concurrency: the drainer takes batches and gives unused ones back (one drainer at a time); the sender's thread
// gives back the settled ones.
#ifndef NSP_DRAIN_BATCH_POOL_H
#define NSP_DRAIN_BATCH_POOL_H

#include "drain/batch_queue.h"
#include "shm/session.h"

// Its batches that wait for the sender's turn (turns.h).
typedef struct nsp__line {
    nsp__batch *first, *last;               // NULL: none
    struct nsp__batch_pool *before, *after; // other pools with such batches
    // Of the first one:
    uint32_t attempts; // to send it, of this sender
    bool blamed;       // others could send between attempts that failed
    uint64_t streak;   // in which its last attempt failed; 0: none did
    uint64_t due_ns;   // of the next one
} nsp__line;

typedef struct nsp__batch_pool {
    nsp__batch *batches; // `count` of them
    uint32_t count;
    uint32_t unused_count;
    nsp__batch **unused;    // the drainer's alone: a stack
    nsp__batch_queue empty; // sender's thread -> drainer
    // What lines in the log call whoever the batches are of, as in "checkout (1234)"; set before the first batch is
    // handed over. NULL: this process's own engine, which needs no name.
    const char *label;
    uint64_t sequence; // the drainer's alone: of the last batch that it handed over
    uint64_t settled;  // by the sender: of the last settled one (release SE1, acquire SE2)
    // The sender's thread alone.
    nsp__line line;
    bool unconfirmed;      // its last answer was UNCONFIRMED
    nsp__figures *figures; // of its session: the sender keeps them. NULL: nobody does. Set after init
} nsp__batch_pool;

// Makes a pool of `count` empty batches, which have no memory yet: the caller sets header, coverage, data and
// capacity of each. The counters are those of the pool's session. False: no memory. A failed pool may be destroyed.
bool nsp__batch_pool_init(nsp__batch_pool *pool, uint32_t count, nsp__counters *counters);
// No sender may have a batch of it (nsp__sender_settled), or it must have left them behind for good (leave_rest).
// Zeroed memory may be destroyed.
void nsp__batch_pool_destroy(nsp__batch_pool *pool);

// Gives the batches their places in the session's zeroed file `batches`, and writes their headers.
void nsp__batch_pool_place(nsp__batch_pool *pool, const nsp__session *session, const nsp_config *config);

// Drainer: takes an empty batch, or NULL if all are in use. Wait-free.
nsp__batch *nsp__batch_pool_take(nsp__batch_pool *pool);
// Drainer: gives back a batch that it took and did not use; the sender is not involved.
void nsp__batch_pool_put_unused(nsp__batch_pool *pool, nsp__batch *batch);
// Drainer: how many batches were taken and have not come back. Wait-free.
uint32_t nsp__batch_pool_away(nsp__batch_pool *pool);

// Sender's thread: the batch is settled and empty. Wait-free.
void nsp__batch_pool_put_settled(nsp__batch *batch);

#endif
