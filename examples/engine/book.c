// SPDX-License-Identifier: Apache-2.0
#include "engine/book.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(BOOK_LEVELS == 64 * 64, "one summary word covers the bitmap");

struct book *book_new(uint32_t low_price)
{
    struct book *book = malloc(sizeof *book);
    if (book == NULL)
        return NULL;
    memset(book, 0, sizeof *book);
    book->low = low_price;
    return book;
}

bool book_has_price(const struct book *book, uint32_t price)
{
    return price >= book->low && price - book->low < BOOK_LEVELS;
}

static struct book_side *side_of(struct book *book, unsigned side)
{
    return side == SIDE_BUY ? &book->bids : &book->asks;
}

static const struct book_side *const_side_of(const struct book *book, unsigned side)
{
    return side == SIDE_BUY ? &book->bids : &book->asks;
}

// The index of the best level, or -1 if the side is empty.
static int best_level(const struct book_side *part, unsigned side)
{
    if (part->summary == 0)
        return -1;
    if (side == SIDE_BUY) {
        int word = 63 - __builtin_clzll(part->summary);
        return word * 64 + 63 - __builtin_clzll(part->words[word]);
    }
    int word = __builtin_ctzll(part->summary);
    return word * 64 + __builtin_ctzll(part->words[word]);
}

static void mark(struct book_side *part, uint32_t index)
{
    part->words[index / 64] |= 1ull << (index % 64);
    part->summary |= 1ull << (index / 64);
}

static void unmark(struct book_side *part, uint32_t index)
{
    part->words[index / 64] &= ~(1ull << (index % 64));
    if (part->words[index / 64] == 0)
        part->summary &= ~(1ull << (index / 64));
}

void book_rest(struct book *book, struct order *order)
{
    struct book_side *part = side_of(book, order->side);
    uint32_t index = order->price - book->low;
    struct level *level = &part->levels[index];
    order->next = NULL;
    order->prev = level->newest;
    if (level->newest != NULL)
        level->newest->next = order;
    else {
        level->oldest = order;
        mark(part, index);
    }
    level->newest = order;
    level->quantity += order->leaves;
    part->orders++;
}

void book_remove(struct book *book, struct order *order)
{
    struct book_side *part = side_of(book, order->side);
    uint32_t index = order->price - book->low;
    struct level *level = &part->levels[index];
    if (order->prev != NULL)
        order->prev->next = order->next;
    else
        level->oldest = order->next;
    if (order->next != NULL)
        order->next->prev = order->prev;
    else
        level->newest = order->prev;
    if (level->oldest == NULL)
        unmark(part, index);
    level->quantity -= order->leaves;
    part->orders--;
    order->next = order->prev = NULL;
}

size_t book_match(struct book *book, struct order *taker, struct fill *fills)
{
    unsigned other = taker->side == SIDE_BUY ? SIDE_SELL : SIDE_BUY;
    struct book_side *part = side_of(book, other);
    size_t count = 0;
    while (taker->leaves > 0) {
        int index = best_level(part, other);
        if (index < 0)
            break;
        uint32_t price = book->low + (uint32_t)index;
        if (taker->side == SIDE_BUY ? price > taker->price : price < taker->price)
            break;
        struct level *level = &part->levels[index];
        struct order *maker = level->oldest;
        uint32_t quantity = maker->leaves < taker->leaves ? maker->leaves : taker->leaves;
        maker->leaves -= quantity;
        taker->leaves -= quantity;
        level->quantity -= quantity;
        maker->fills++;
        taker->fills++;
        fills[count++] = (struct fill){maker, quantity, price, maker->leaves};
        if (maker->leaves == 0)
            book_remove(book, maker);
    }
    return count;
}

struct order *book_best(const struct book *book, enum side side)
{
    const struct book_side *part = const_side_of(book, side);
    int index = best_level(part, side);
    return index < 0 ? NULL : part->levels[index].oldest;
}

uint64_t book_depth_at(const struct book *book, enum side side, uint32_t price)
{
    return book_has_price(book, price) ? const_side_of(book, side)->levels[price - book->low].quantity : 0;
}

size_t book_orders(const struct book *book)
{
    return book->bids.orders + book->asks.orders;
}
