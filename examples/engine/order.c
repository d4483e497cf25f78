// SPDX-License-Identifier: Apache-2.0
#include "engine/order.h"

#include <stdlib.h>
#include <string.h>

static struct order **bucket_of(const struct order_pool *pool, uint64_t id)
{
    return &pool->buckets[(id * 0x9e3779b97f4a7c15u >> 32) & pool->bucket_mask];
}

bool order_pool_init(struct order_pool *pool, size_t capacity)
{
    size_t buckets = 1;
    while (buckets < 2 * capacity)
        buckets *= 2;
    *pool = (struct order_pool){.capacity = capacity, .bucket_mask = buckets - 1};
    pool->orders = malloc(capacity * sizeof *pool->orders);
    pool->buckets = malloc(buckets * sizeof *pool->buckets);
    if (pool->orders == NULL || pool->buckets == NULL) {
        order_pool_free(pool);
        return false;
    }
    // Touches every page now, so that no order has a page fault later.
    memset(pool->orders, 0, capacity * sizeof *pool->orders);
    for (size_t i = 0; i < buckets; i++)
        pool->buckets[i] = NULL;
    for (size_t i = capacity; i-- > 0;) {
        pool->orders[i].next = pool->free;
        pool->free = &pool->orders[i];
    }
    return true;
}

void order_pool_free(struct order_pool *pool)
{
    free(pool->orders);
    free(pool->buckets);
    *pool = (struct order_pool){0};
}

struct order *order_take(struct order_pool *pool, uint64_t id)
{
    struct order *order = pool->free;
    if (order == NULL)
        return NULL;
    pool->free = order->next;
    pool->used++;
    struct order **bucket = bucket_of(pool, id);
    *order = (struct order){.id = id, .next_in_bucket = *bucket};
    *bucket = order;
    return order;
}

void order_give(struct order_pool *pool, struct order *order)
{
    struct order **place = bucket_of(pool, order->id);
    while (*place != order)
        place = &(*place)->next_in_bucket;
    *place = order->next_in_bucket;
    order->next = pool->free;
    pool->free = order;
    pool->used--;
}

struct order *order_find(const struct order_pool *pool, uint64_t id)
{
    struct order *order = *bucket_of(pool, id);
    while (order != NULL && order->id != id)
        order = order->next_in_bucket;
    return order;
}
