// SPDX-License-Identifier: Apache-2.0
//
// The stages of an order message. Nothing here knows about tracing: process.c puts the spans around it.
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
    uint32_t quantity; // calculate_size may reduce it
    uint64_t id;
    uint64_t target_id;           // of a cancel
    char symbol[SYMBOL_SIZE + 1]; // as it was sent
};

static inline const char *request_type(const struct request *request)
{
    return request->cancel ? "cancel" : request->time_in_force == TIF_IMMEDIATE ? "immediate" : "limit";
}

// The outcome of an order message.
struct outcome {
    enum result result;
    enum reason reason;
    struct order *order; // the new order, or the one that was cancelled
    bool order_done;     // the order is in no book any more
    uint32_t fills;      // number of entries in engine->fills
    uint32_t filled, leaves;
    uint64_t value;
};

// Reads and checks the message. For an invalid message, *request has the fields that could be read.
enum reason stage_decode(const struct engine *engine, const uint8_t *message, size_t length,
                         struct request *request);

// Checks whether this account may place this order, and reserves what it may cost.
enum reason stage_check_balance(struct engine *engine, const struct request *request);

// Reduces the size to the largest allowed value and rounds it down to whole lots; the reservation shrinks
// with it.
enum reason stage_calculate_size(struct engine *engine, struct request *request);

// Trades against the book and settles; the rest joins the book or expires.
void stage_match(struct engine *engine, const struct request *request, struct outcome *outcome);

// The same stage for a cancel: takes the order off the book.
enum reason stage_cancel(struct engine *engine, const struct request *request, struct outcome *outcome);

// Writes the outcome to the exchange-side stream. False if the stream cannot be written.
bool stage_submit(struct engine *engine, const struct request *request, const struct outcome *outcome);

// Puts the answer, and the notices for the owners of resting orders, into the connection's buffer.
void stage_report(struct engine *engine, const struct request *request, const struct outcome *outcome);

// Adds the message and its outcome to the engine's counters.
void stage_count(struct engine *engine, const struct request *request, const struct outcome *outcome);

// Gives back the orders that are done. Must come last, because everything above may still read them.
void stage_retire(struct engine *engine, const struct outcome *outcome);

#endif
