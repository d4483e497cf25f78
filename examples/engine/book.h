// SPDX-License-Identifier: Apache-2.0
//
// A limit order book of one instrument: price-time priority, integer ticks and units.
//
// Prices lie in a band of BOOK_LEVELS ticks, so a level is found by its index, and the best price by a bitmap of two
// storeys: both in constant time. A level is an intrusive list of orders, oldest first. No allocation after book_new.
// One thread.
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
    uint64_t summary;                 // bit i: word i has a bit
    uint64_t words[BOOK_LEVELS / 64]; // bit: the level has orders
    size_t orders;
};

struct book {
    uint32_t low; // price of level 0, ticks
    struct book_side bids, asks;
};

// One trade, at the resting order's price.
struct fill {
    struct order
        *maker; // its leaves are updated; with none left it is off the book and the caller's to give back
    uint32_t quantity;
    uint32_t price;
    uint32_t maker_leaves;
};

// Allocates the book, with every page in place; NULL if there is no memory. free() frees it.
struct book *book_new(uint32_t low_price);

// True if the price lies in the band.
bool book_has_price(const struct book *book, uint32_t price);

// Trades the order against the other side, best price first, oldest order first, until it is filled or nothing crosses
// its limit. Writes one fill a trade and returns their number. An order trades at most once with each resting one, so
// `fills` needs room for as many as there are orders in the book.
size_t book_match(struct book *book, struct order *taker, struct fill *fills);

// Lets the rest of an order join the queue at its price.
void book_rest(struct book *book, struct order *order);

// Takes an order off the book.
void book_remove(struct book *book, struct order *order);

// The best order of a side, or NULL: highest bid or lowest ask, oldest first.
struct order *book_best(const struct book *book, enum side side);

// Units resting at a price.
uint64_t book_depth_at(const struct book *book, enum side side, uint32_t price);

// Resting orders of both sides.
size_t book_orders(const struct book *book);

#endif
