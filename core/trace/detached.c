// SPDX-License-Identifier: Apache-2.0
//
// The pools of detached spans. A place that was never used is taken from the front of the pool. When a span
// ends, its place goes to the wait-free stack (free list) of the thread that began the span. A free list is
// only ever taken as a whole, by one exchange, and any thread may do that. So the places of one thread's
// burst serve all threads: one that finds nothing of its own and nothing new takes over the free list of
// another. What was taken is a chain: its first place is used, and the others wait in one of the thread's
// spares, from where they are again taken as a whole.
#include "trace/detached.h"

#include "base/testpoint.h"
#include "base/tsan.h"
#include "trace/trace_state.h"

// How many other threads are looked at for one span. Bounded, so that a pool in full use costs little; the
// next span continues from there.
enum { OTHERS = 64 };

// Takes the first place of a chain and keeps the others in this spare, which is empty. NULL if another thread
// is between the two steps of pushing that first place, so that its successor is not known yet. Nobody may
// wait for that thread, so the chain is kept whole.
static nsp__detached_node *take_first(struct cds_wfs_node *chain, struct cds_wfs_node **spare)
{
    struct cds_wfs_node *rest = cds_wfs_next_nonblocking(chain);
    bool blocked = rest == CDS_WFS_WOULDBLOCK;
    if (blocked)
        rest = chain;
    if (rest != NULL)
        __atomic_store_n(spare, rest, __ATOMIC_RELEASE); // D1
    if (blocked)
        return NULL;
    NSP__TSAN_ACQUIRE(chain);
    return (nsp__detached_node *)(void *)chain; // its first member
}

static struct cds_wfs_node *chain_of_spare(struct cds_wfs_node **spare)
{
    if (__atomic_load_n(spare, __ATOMIC_RELAXED) == NULL)
        return NULL;
    return __atomic_exchange_n(spare, NULL, __ATOMIC_ACQUIRE); // D2: acquires D1
}

static struct cds_wfs_node *chain_of_free_list(nsp__detached_places *places)
{
    struct cds_wfs_head *head =
        cds_wfs_empty(&places->free_list) ? NULL : __cds_wfs_pop_all(&places->free_list);
    return head != NULL ? cds_wfs_first(head) : NULL;
}

// Only the thread itself fills its spares, so one that it saw empty, or emptied, stays empty. There is more
// than one, so that a chain that is blocked does not stand in the way of others.
static nsp__detached_node *take_own(nsp__detached_places *places)
{
    for (int i = 0; i < NSP__DETACHED_SPARES; i++) {
        struct cds_wfs_node **spare = &places->spares[i];
        struct cds_wfs_node *chain = chain_of_spare(spare);
        if (chain == NULL)
            chain = chain_of_free_list(places);
        nsp__detached_node *node = chain != NULL ? take_first(chain, spare) : NULL;
        if (node != NULL)
            return node;
    }
    return NULL;
}

static nsp__detached_node *take_new(const nsp__detached_pool *pool)
{
    // One subtraction, whatever the other threads do. The count is checked first, so that it does not keep
    // falling when the pool is empty. It counts what is left, not what was taken, so that a session that has
    // ended, whose pages are zero, has no place to give.
    if (__atomic_load_n(pool->left, __ATOMIC_RELAXED) - 1 >= pool->count)
        return NULL;
    uint32_t left = __atomic_fetch_sub(pool->left, 1, __ATOMIC_RELAXED);
    return left - 1 < pool->count ? &pool->nodes[pool->count - left] : NULL;
}

static struct cds_wfs_node *chain_of(nsp__detached_places *other)
{
    struct cds_wfs_node *chain = chain_of_free_list(other);
    for (int i = 0; chain == NULL && i < NSP__DETACHED_SPARES; i++)
        chain = chain_of_spare(&other->spares[i]);
    return chain;
}

static __attribute__((noinline)) nsp__detached_node *take_over(nsp__producer *producer,
                                                               nsp__detached_places *places)
{
    bool recorded = places == &producer->recorded;
    struct cds_wfs_node **spare = places->spares, **end = places->spares + NSP__DETACHED_SPARES;
    uint32_t count = __atomic_load_n(&producer->control->slot_count, __ATOMIC_ACQUIRE); // S4
    for (uint32_t i = 0; i < count && i < OTHERS; i++) {
        while (spare < end && __atomic_load_n(spare, __ATOMIC_RELAXED) != NULL)
            spare++; // a blocked chain
        if (spare == end)
            return NULL;
        uint32_t index = places->next_other < count ? places->next_other : 0;
        places->next_other = index + 1;
        nsp__producer *other = nsp__producer_at(index);
        if (other == NULL || other == producer)
            continue;
        nsp__detached_places *theirs = recorded ? &other->recorded : &other->unsampled;
        struct cds_wfs_node *chain = theirs->pool.nodes == places->pool.nodes ? chain_of(theirs) : NULL;
        nsp__detached_node *node = chain != NULL ? take_first(chain, spare) : NULL;
        if (node != NULL)
            return node;
    }
    return NULL;
}

nsp__frame *nsp__detached_take(nsp__producer *producer, nsp__detached_places *places)
{
    nsp__detached_node *node = take_own(places);
    if (node == NULL && places->pool.count != 0) {
        node = take_new(&places->pool);
        if (node == NULL)
            node = take_over(producer, places);
    }
    if (node == NULL)
        return NULL;
    node->owner = producer;
    NSP__TESTPOINT("detached: place taken");
    // Found by its place in the pool, because the node's own content may be zero by now.
    return nsp__detached_frame(&places->pool, (uint32_t)(node - places->pool.nodes));
}

static bool owned(const nsp__detached_pool *pool, const nsp__frame *frame)
{
    return (uintptr_t)frame - (uintptr_t)pool->frames < (uintptr_t)pool->count * pool->stride;
}

bool nsp__detached_owned(const nsp__producer *producer, const nsp__frame *frame)
{
    return owned(&producer->recorded.pool, frame) || owned(&producer->unsampled.pool, frame);
}

// Looks at the pool that the ending thread works on, and at the frame's address, because the pages of a
// session that has ended hold nothing that could be trusted.
void nsp__detached_release(const nsp__producer *producer, nsp__frame *frame)
{
    bool recorded = NSP__LIKELY(owned(&producer->recorded.pool, frame));
    const nsp__detached_pool *pool = recorded ? &producer->recorded.pool : &producer->unsampled.pool;
    if (!recorded && !owned(pool, frame))
        return; // it belongs to another session
    nsp__detached_node *node = &pool->nodes[((uintptr_t)frame - (uintptr_t)pool->frames) / pool->stride];
    nsp__producer *owner = node->owner;
    if (owner == NULL)
        return; // the session has just ended
    cds_wfs_node_init(&node->link);
    NSP__TSAN_RELEASE(&node->link);
    cds_wfs_push(recorded ? &owner->recorded.free_list : &owner->unsampled.free_list, &node->link);
}
