// SPDX-License-Identifier: Apache-2.0
//
// The pool of detached spans. A place is taken from the pool once, by whichever thread runs out of places of its own, and
// from then on circulates between the threads that end its spans and its owner: pushed home by anybody (wait-free),
// popped by the owner alone, so there is no ABA and no grace period.
#include "trace/detached.h"

#include "base/tsan.h"

static nsp__detached_node *take_home(nsp__producer *producer)
{
    struct cds_wfs_node *link = __cds_wfs_pop_nonblocking(&producer->home);
    // "Would block": another thread is between the two steps of its push. Waiting for it is out of the question.
    if (link == NULL || link == CDS_WFS_WOULDBLOCK)
        return NULL;
    NSP__TSAN_ACQUIRE(link);
    return (nsp__detached_node *)(void *)link; // its first member
}

static nsp__detached_node *take_new(nsp__producer *producer)
{
    const nsp__detached_pool *pool = &producer->pool;
    // One addition, whatever the other threads do. Looked at first, so that an empty pool is not counted on for ever.
    if (__atomic_load_n(pool->taken, __ATOMIC_RELAXED) >= pool->count)
        return NULL;
    uint32_t taken = __atomic_fetch_add(pool->taken, 1, __ATOMIC_RELAXED);
    if (taken >= pool->count)
        return NULL;
    nsp__detached_node *node = &pool->nodes[taken];
    node->owner = producer;
    return node;
}

nsp__frame *nsp__detached_take(nsp__producer *producer)
{
    nsp__detached_node *node = take_home(producer);
    if (node == NULL)
        node = take_new(producer);
    return node != NULL ? nsp__detached_frame(&producer->pool, node->index) : NULL;
}

// Of the pool that the ending thread works on, and by the frame's address: what the pages of a session that has ended
// say is no longer true.
void nsp__detached_release(const nsp__detached_pool *pool, nsp__frame *frame)
{
    if (!nsp__detached_owned(pool, frame))
        return; // another session's
    nsp__detached_node *node = &pool->nodes[((uintptr_t)frame - (uintptr_t)pool->frames) / pool->stride];
    nsp__producer *owner = node->owner;
    if (owner == NULL)
        return; // the session has just ended
    cds_wfs_node_init(&node->link);
    NSP__TSAN_RELEASE(&node->link);
    cds_wfs_push(&owner->home, &node->link);
}
