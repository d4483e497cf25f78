// SPDX-License-Identifier: Apache-2.0
//
// The engine's state: everything that an order touches, allocated before the first order arrives.
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
#include "engine/faults.h"
#include "engine/order.h"
#include "engine/stopwatch.h"

// Written only by the trading thread, with count(); other threads read it with counted() while the engine
// runs.
struct counters {
    uint64_t orders;  // order messages: new and cancel
    uint64_t cancels; // cancel messages among them
    uint64_t accepted;
    uint64_t rejected;
    uint64_t fills;
    uint64_t filled_units;  // of the incoming order of each trade
    uint64_t resting;       // orders in the books
    uint64_t with_context;  // order messages that carried a trace context
    uint64_t orders_traced; // order messages whose span is recorded, also if it is not kept at its end
    uint64_t lives_traced;  // order_life spans begun
    uint64_t withdrawn;     // orders taken off the books when their feed disconnected
    uint64_t connections;
    uint64_t broken; // connections closed because of bytes that were not a valid message
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
    struct fill *fills; // of the order that is being processed
    struct drop_copy drop_copy;
    struct stream stream;
    struct counters counters;
    struct histogram
        tick_to_trade; // from receive to the end of submit, in ticks; only read after the thread has ended
    nsp_ticks first_order, last_order;
    struct faults faults;
    struct stopwatch stopwatch;
    bool by_calls; // orders are traced by ordinary calls
    bool failed;   // the drop copy cannot be written: trading must stop
};

// Allocates everything. No order is held up, and nobody looks for slow ones, unless that is set and started afterwards.
// On failure, prints a line on standard error and returns false.
bool engine_init(struct engine *engine, size_t max_orders, uint32_t account_count, const char *drop_copy);
void engine_free(struct engine *engine);

// The most bytes that the answers to one message can take.
size_t engine_answer_max(const struct engine *engine);

// Takes all orders off the books, as exchanges do when a client disconnects.
void engine_withdraw_all(struct engine *engine);

#endif
