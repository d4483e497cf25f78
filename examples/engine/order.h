// SPDX-License-Identifier: Apache-2.0
//
// Orders, their pool, and the index by order id. Everything is allocated once; to take, give back or find an
// order takes a few loads. Single-threaded.
#ifndef ENGINE_ORDER_H
#define ENGINE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nsp_span;

struct order {
    struct order *next, *prev; // in the price level, oldest first; `next` also links the free list
    struct order *next_in_bucket;
    uint64_t id;
    uint32_t account;
    uint32_t price;    // ticks
    uint32_t quantity; // units accepted
    uint32_t leaves;   // units not filled yet
    uint32_t fills;    // trades so far
    uint16_t instrument;
    uint8_t side;          // enum side
    uint8_t time_in_force; // enum time_in_force
    struct nsp_span *life; // its detached span; NULL if its trace is not recorded
};

struct order_pool {
    struct order *orders; // all of them
    struct order *free;
    struct order **buckets; // index by id; their number is a power of two
    size_t bucket_mask;
    size_t capacity, used;
};

// Allocates the pool and touches all of its pages. False if there is no memory.
bool order_pool_init(struct order_pool *pool, size_t capacity);
void order_pool_free(struct order_pool *pool);

// Takes a zeroed order, sets its id and adds it to the index; NULL if the pool is empty. The id must not be
// in use.
struct order *order_take(struct order_pool *pool, uint64_t id);

// Gives back an order that is in no book.
void order_give(struct order_pool *pool, struct order *order);

// The order with this id, or NULL.
struct order *order_find(const struct order_pool *pool, uint64_t id);

#endif
