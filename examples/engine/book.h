// SPDX-License-Identifier: Apache-2.0
//
// The limit order book of one instrument: price-time priority, integer ticks and units.
//
// Prices lie in a band of BOOK_LEVELS ticks, so a level is found by its index, and the best price by a
// two-level bitmap: both in constant time. A level is an intrusive list of orders, oldest first. No
// allocation after book_new. Single-threaded.
#ifndef ENGINE_BOOK_H
#define ENGINE_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/order.h"
#include "protocol/protocol.h"

enum { BOOK_LEVELS = 4096 };

struct level {
    struct order *oldest, *newest;
    uint64_t quantity; // the sum of the orders' leaves
};

struct book_side {
    struct level levels[BOOK_LEVELS];
    uint64_t summary;                 // bit i is set if word i is not zero
    uint64_t words[BOOK_LEVELS / 64]; // a bit is set if its level has orders
    size_t orders;
};

struct book {
    uint32_t low; // price of level 0, ticks
    struct book_side bids, asks;
};

// One trade, at the resting order's price.
struct fill {
    struct order
        *maker; // its leaves are updated; without any, it is off the book and the caller must give it back
    uint32_t quantity;
    uint32_t price;
    uint32_t maker_leaves;
};

// Allocates the book and touches all of its pages; NULL if there is no memory. free() frees it.
struct book *book_new(uint32_t low_price);

// True if the price lies in the band.
bool book_has_price(const struct book *book, uint32_t price);

// Trades the order against the other side, best price first and oldest order first, until it is filled or
// nothing crosses its limit. Writes one fill for each trade and returns their number. An order trades at most
// once with each resting order, so `fills` needs room for as many fills as there are orders in the book.
size_t book_match(struct book *book, struct order *taker, struct fill *fills);

// Adds the rest of an order to the queue at its price.
void book_rest(struct book *book, struct order *order);

// Takes an order off the book.
void book_remove(struct book *book, struct order *order);

// The best order of a side (the oldest at the highest bid or lowest ask), or NULL.
struct order *book_best(const struct book *book, enum side side);

// Units resting at a price.
uint64_t book_depth_at(const struct book *book, enum side side, uint32_t price);

// The number of resting orders on both sides.
size_t book_orders(const struct book *book);

#endif
