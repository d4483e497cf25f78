// SPDX-License-Identifier: Apache-2.0
//
// Whose batch the sender sends next. The batches of each pool wait in a line of their own, in the order in which
// they were closed, and the pools take turns: one batch each. So a pool whose first batch cannot be delivered keeps
// back its own batches and nobody else's.
//
// A failed attempt alone does not say whether the receiver is away or whether it cannot answer this one batch.
// Another pool's turn does. If that fails too, the receiver seems to be away, and all wait together, so that many
// pools cause no more attempts than one: at most one in a minimum backoff, and longer pauses with each that fails,
// once every pool that has batches had a turn. If it does not fail, and the first pool then fails again, that one is
// `blamed`: it is put aside with a backoff of its own, and the others go on without it.
//
// For the sender's thread, or the stop that left it behind. Nothing here blocks, or frees anything.
#ifndef NSP_DRAIN_TURNS_H
#define NSP_DRAIN_TURNS_H

#include "drain/batch_pool.h"

typedef struct nsp__turns {
    nsp__batch_pool *first, *last; // those with batches; the next turn is the first one's that may have one
    nsp__batch_pool *bound;        // no other may have one; NULL: none
    uint64_t streak;               // of answers: how often one came; never 0
    uint32_t failures;             // attempts that failed since the last answer
    uint32_t failed_pools;         // with how many pools
    uint64_t asked_ns;             // nobody is tried before: the receiver has asked for it
    uint64_t gap_ns;               // those that have failed are not, and nobody once several have
    uint64_t again_ns;             // those that have failed are not, unless an answer comes
} nsp__turns;

// How long to wait after a failed attempt, in ns.
typedef struct nsp__turns_pauses {
    uint64_t own;    // the pool itself
    uint64_t others; // others that have failed, until an answer comes
    uint64_t least;  // whatever comes, between attempts that may all be in vain
} nsp__turns_pauses;

void nsp__turns_begin(nsp__turns *turns);

// At the end of its pool's line.
void nsp__turns_add(nsp__turns *turns, nsp__batch *batch);
// The first of its pool's line is settled, given up or left. Its pool is not touched afterwards if it was the
// last one, and otherwise gets its next turn after all others.
void nsp__turns_remove(nsp__turns *turns, nsp__batch *batch);

// The pool whose turn is next, and when (*due_ns, CLOCK_MONOTONIC; `now`: at once). NULL: there are no batches.
nsp__batch_pool *nsp__turns_next(const nsp__turns *turns, uint64_t now, uint64_t *due_ns);

// The receiver has answered, so it is there.
void nsp__turns_answered(nsp__turns *turns);
// An attempt of this pool has failed. If others could send since the one before, it is blamed from now on, until its
// batch is settled. asked: the receiver has said when to come again, so it is there and nobody is to blame.
void nsp__turns_failed(nsp__turns *turns, nsp__batch_pool *pool, bool asked);
// After that: it gets its next turn after all others, when these pauses are over.
void nsp__turns_put_off(nsp__turns *turns, nsp__batch_pool *pool, uint64_t now,
                        const nsp__turns_pauses *pauses);
// The same, if the receiver wants to be asked by nobody until then.
void nsp__turns_hold(nsp__turns *turns, nsp__batch_pool *pool, uint64_t until_ns);
// This pool's turn is at this time, which is earlier than it would be.
void nsp__turns_hurry(nsp__turns *turns, nsp__batch_pool *pool, uint64_t due_ns);

#endif
