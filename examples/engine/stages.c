// SPDX-License-Identifier: Apache-2.0
#include "engine/stages.h"

#include <string.h>

static enum reason decode_new(const struct engine *engine, const uint8_t *message, size_t length,
                              struct request *request)
{
    struct message_new_order order;
    if (length < sizeof order)
        return REASON_MALFORMED;
    memcpy(&order, message, sizeof order);
    request->id = order.order_id;
    request->account = order.account;
    request->side = order.side;
    request->time_in_force = order.time_in_force;
    request->price = order.price;
    request->quantity = order.quantity;
    memcpy(request->symbol, order.symbol, SYMBOL_SIZE);
    int instrument = instrument_find(order.symbol);
    if (instrument < 0)
        return REASON_UNKNOWN_SYMBOL;
    request->instrument = (uint16_t)instrument;
    if ((order.side != SIDE_BUY && order.side != SIDE_SELL) ||
        (order.time_in_force != TIF_DAY && order.time_in_force != TIF_IMMEDIATE))
        return REASON_MALFORMED;
    if (!book_has_price(engine->books[instrument], order.price))
        return REASON_PRICE_BAND;
    return order.quantity > 0 ? REASON_NONE : REASON_BAD_QUANTITY;
}

enum reason stage_decode(const struct engine *engine, const uint8_t *message, size_t length,
                         struct request *request)
{
    struct message_header header;
    memcpy(&header, message, sizeof header);
    request->cancel = header.type == MESSAGE_CANCEL;
    if (!request->cancel)
        return decode_new(engine, message, length, request);
    struct message_cancel cancel;
    if (length < sizeof cancel)
        return REASON_MALFORMED;
    memcpy(&cancel, message, sizeof cancel);
    request->id = cancel.order_id;
    request->account = cancel.account;
    request->target_id = cancel.target_id;
    return REASON_NONE;
}

enum reason stage_check_balance(struct engine *engine, const struct request *request)
{
    struct account *account = account_find(&engine->accounts, request->account);
    if (account == NULL)
        return REASON_UNKNOWN_ACCOUNT;
    if (order_find(&engine->pool, request->id) != NULL)
        return REASON_DUPLICATE_ID;
    if (engine->pool.used == engine->pool.capacity)
        return REASON_BOOK_FULL;
    return account_reserve(account, request->side, request->instrument, request->price, request->quantity);
}

enum reason stage_calculate_size(struct engine *engine, struct request *request)
{
    const struct instrument *instrument = &instruments[request->instrument];
    uint64_t largest = instrument->max_notional / request->price;
    uint32_t quantity = request->quantity < largest ? request->quantity : (uint32_t)largest;
    quantity -= quantity % instrument->lot;
    account_release(account_find(&engine->accounts, request->account), request->side, request->instrument,
                    request->price, request->quantity - quantity);
    if (quantity == 0)
        return REASON_BELOW_LOT;
    request->quantity = quantity;
    return REASON_NONE;
}

static void settle(struct engine *engine, const struct order *taker, const struct fill *fill)
{
    struct account *ours = account_find(&engine->accounts, taker->account);
    struct account *theirs = account_find(&engine->accounts, fill->maker->account);
    if (taker->side == SIDE_BUY)
        account_settle(ours, taker->price, theirs, taker->instrument, fill->price, fill->quantity);
    else
        account_settle(theirs, fill->price, ours, taker->instrument, fill->price, fill->quantity);
}

void stage_match(struct engine *engine, const struct request *request, struct outcome *outcome)
{
    struct order *order = order_take(&engine->pool, request->id); // not NULL: check_balance has checked that
    order->account = request->account;
    order->price = request->price;
    order->quantity = order->leaves = request->quantity;
    order->instrument = request->instrument;
    order->side = request->side;
    order->time_in_force = request->time_in_force;

    struct book *book = engine->books[order->instrument];
    outcome->order = order;
    outcome->fills = (uint32_t)book_match(book, order, engine->fills);
    for (uint32_t i = 0; i < outcome->fills; i++) {
        settle(engine, order, &engine->fills[i]);
        outcome->value += (uint64_t)engine->fills[i].price * engine->fills[i].quantity;
    }
    outcome->filled = order->quantity - order->leaves;
    outcome->leaves = order->leaves;
    if (order->leaves == 0) {
        outcome->result = RESULT_FILLED;
    } else if (order->time_in_force == TIF_IMMEDIATE) {
        outcome->result = RESULT_EXPIRED;
        account_release(account_find(&engine->accounts, order->account), order->side, order->instrument,
                        order->price, order->leaves);
    } else {
        outcome->result = outcome->fills ? RESULT_PARTIALLY_FILLED : RESULT_RESTING;
        book_rest(book, order);
    }
    outcome->order_done = outcome->result == RESULT_FILLED || outcome->result == RESULT_EXPIRED;
}

enum reason stage_cancel(struct engine *engine, const struct request *request, struct outcome *outcome)
{
    struct order *order = order_find(&engine->pool, request->target_id);
    if (order == NULL)
        return REASON_UNKNOWN_ORDER;
    if (order->account != request->account)
        return REASON_NOT_OWNER;
    book_remove(engine->books[order->instrument], order);
    account_release(account_find(&engine->accounts, order->account), order->side, order->instrument,
                    order->price, order->leaves);
    outcome->order = order;
    outcome->order_done = true;
    outcome->leaves = order->leaves;
    outcome->result = RESULT_CANCELLED;
    return REASON_NONE;
}

bool stage_submit(struct engine *engine, const struct request *request, const struct outcome *outcome)
{
    const struct order *order = outcome->order;
    struct drop_record record = {
        .order_id = order->id,
        .account = order->account,
        .price = order->price,
        .quantity = order->quantity,
        .instrument = order->instrument,
        .side = order->side,
        .event = DROP_ACCEPTED,
    };
    if (!request->cancel)
        drop_copy_add(&engine->drop_copy, record);
    for (uint32_t i = 0; i < outcome->fills; i++) {
        struct drop_record trade = record;
        trade.event = DROP_TRADE;
        trade.maker_id = engine->fills[i].maker->id;
        trade.quantity = engine->fills[i].quantity;
        trade.price = engine->fills[i].price;
        drop_copy_add(&engine->drop_copy, trade);
    }
    if (request->cancel || outcome->result == RESULT_EXPIRED) {
        record.quantity = outcome->leaves;
        record.event = request->cancel ? DROP_CANCELLED : DROP_EXPIRED;
        drop_copy_add(&engine->drop_copy, record);
    }
    return drop_copy_write(&engine->drop_copy);
}

static void put(struct stream *stream, const void *message, size_t size)
{
    void *room = stream_put(stream, size);
    if (room != NULL) // always true: the gateway takes a message only if there is room for all of its answers
        memcpy(room, message, size);
}

void stage_report(struct engine *engine, const struct request *request, const struct outcome *outcome)
{
    for (uint32_t i = 0; i < outcome->fills; i++) {
        const struct fill *fill = &engine->fills[i];
        struct message_fill news = {
            .header = {sizeof news, PROTOCOL_VERSION, MESSAGE_FILL},
            .account = fill->maker->account,
            .order_id = fill->maker->id,
            .taker_id = request->id,
            .quantity = fill->quantity,
            .price = fill->price,
            .leaves = fill->maker_leaves,
        };
        put(&engine->stream, &news, sizeof news);
    }
    struct message_report report = {
        .header = {sizeof report, PROTOCOL_VERSION, MESSAGE_REPORT},
        .account = request->account,
        .order_id = request->id,
        .value = outcome->value,
        .filled = outcome->filled,
        .leaves = outcome->leaves,
        .fills = outcome->fills,
        .result = (uint8_t)outcome->result,
        .reason = (uint8_t)outcome->reason,
    };
    put(&engine->stream, &report, sizeof report);
}

void stage_retire(struct engine *engine, const struct outcome *outcome)
{
    for (uint32_t i = 0; i < outcome->fills; i++)
        if (engine->fills[i].maker_leaves == 0)
            order_give(&engine->pool, engine->fills[i].maker);
    if (outcome->order != NULL && outcome->order_done)
        order_give(&engine->pool, outcome->order);
}

void stage_count(struct engine *engine, const struct request *request, const struct outcome *outcome)
{
    struct counters *counters = &engine->counters;
    count(&counters->orders, 1);
    count(&counters->cancels, request->cancel);
    count(outcome->result == RESULT_REJECTED ? &counters->rejected : &counters->accepted, 1);
    count(&counters->fills, outcome->fills);
    count(&counters->filled_units, outcome->filled);
    __atomic_store_n(&counters->resting, engine->pool.used, __ATOMIC_RELAXED);
}
