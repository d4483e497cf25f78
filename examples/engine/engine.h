// SPDX-License-Identifier: Apache-2.0
//
// The engine's state: everything that an order touches on its way, allocated before the first one comes.
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <nanospan/nanospan.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/histogram.h"
#include "shared/stream.h"
#include "engine/account.h"
#include "engine/book.h"
#include "engine/drop_copy.h"
#include "engine/order.h"

// Written by the trading thread alone, with count(); read by others with counted() while it runs.
struct counters {
    uint64_t orders;  // order messages: new and cancel
    uint64_t cancels; // of these
    uint64_t accepted;
    uint64_t rejected;
    uint64_t fills;
    uint64_t filled_units;  // of the order that came last in each trade
    uint64_t resting;       // orders in the books
    uint64_t with_context;  // order messages that carried a trace context
    uint64_t orders_traced; // order messages whose span is recorded
    uint64_t lives_traced;  // order_life spans begun
    uint64_t withdrawn;     // orders taken off the books when their feed went away
    uint64_t connections;
    uint64_t broken; // connections ended for bytes that were no message
};

static inline void count(uint64_t *counter, uint64_t more)
{
    __atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

static inline uint64_t counted(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

struct engine {
    struct order_pool pool;
    struct book *books[INSTRUMENTS];
    struct accounts accounts;
    struct fill *fills; // of the order in work
    struct drop_copy drop_copy;
    struct stream stream;
    struct counters counters;
    struct histogram
        tick_to_trade; // from receive to the end of submit, in ticks; read after the thread has ended
    nsp_ticks first_order, last_order;
    bool failed; // the drop copy cannot be written: no more trading
};

// Allocates everything; false with a line on standard error.
bool engine_init(struct engine *engine, size_t max_orders, uint32_t account_count, const char *drop_copy);
void engine_free(struct engine *engine);

// Bytes that the answers to one message may take.
size_t engine_answer_max(const struct engine *engine);

// Takes all orders off the books, as exchanges do when a client goes away.
void engine_withdraw_all(struct engine *engine);

#endif
