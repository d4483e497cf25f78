// SPDX-License-Identifier: Apache-2.0
//
// What happens to an order message, stage by stage. Nothing here knows of tracing: process.c lays the spans over it.
#ifndef ENGINE_STAGES_H
#define ENGINE_STAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "protocol/protocol.h"

// An order message, decoded.
struct request {
    bool cancel;
    uint8_t side, time_in_force;
    uint16_t instrument;
    uint32_t account;
    uint32_t price;
    uint32_t quantity; // calculate_size may lower it
    uint64_t id;
    uint64_t target_id;           // of a cancel
    char symbol[SYMBOL_SIZE + 1]; // as it was sent
};

// What became of it.
struct outcome {
    enum result result;
    enum reason reason;
    struct order *order; // the new order, or the one that was cancelled
    bool order_done;     // it is in no book any more
    uint32_t fills;      // in engine->fills
    uint32_t filled, leaves;
    uint64_t value;
};

// Reads and checks the message. What could be read of a bad one is in *request.
enum reason stage_decode(const struct engine *engine, const uint8_t *message, size_t length,
                         struct request *request);

// May this account place this order? Sets aside what it may cost.
enum reason stage_check_balance(struct engine *engine, const struct request *request);

// Rounds down to whole lots and cuts at the largest allowed value; what was set aside shrinks with it.
enum reason stage_calculate_size(struct engine *engine, struct request *request);

// Trades against the book and settles; the rest joins the book or expires.
void stage_match(struct engine *engine, const struct request *request, struct outcome *outcome);

// The counterpart for a cancel: takes the order off the book.
enum reason stage_cancel(struct engine *engine, const struct request *request, struct outcome *outcome);

// Writes what happened to the exchange-side stream. False if it cannot be written.
bool stage_submit(struct engine *engine, const struct request *request, const struct outcome *outcome);

// Puts the answer, and the news for owners of resting orders, into the connection's buffer.
void stage_report(struct engine *engine, const struct request *request, const struct outcome *outcome);

// Gives back the orders that are done. Last: everything above may still look at them.
void stage_retire(struct engine *engine, const struct outcome *outcome);

#endif
