// SPDX-License-Identifier: Apache-2.0
//
//     POST /orders                   SERVER; child of the caller's execution: place_order
//       check_balance                reads the account from SQLite
//       calculate_size               by balance and confidence, in whole lots
//       submit_to_exchange           the simulated exchange decides; fills are settled in SQLite
//
// One transaction is open from check_balance to the settlement, so two orders never spend the same money: the
// second one waits in check_balance.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "platform/execution/execution.h"
#include "platform/service/failure.h"
#include "platform/service/query.h"

static const double LEAST_VALUE = 10;   // of an order
static const double USUAL_SHARE = 0.02; // of the balance, if the client gives no amount

struct order {
    const char *user_id, *symbol, *side;
    bool buy;
    double limit_price, confidence, amount;
    double cash, quantity; // of the account
    double size;
    long long id;
    struct exchange_report report;
};

static const struct query_text select_account = {
    "SELECT", "accounts",
    "SELECT accounts.cash, coalesce(positions.quantity, 0) FROM accounts LEFT JOIN positions"
    " ON positions.user_id = accounts.user_id AND positions.symbol = ?2 WHERE accounts.user_id = ?1"};

static const struct query_text update_account = {"UPDATE", "accounts",
                                                 "UPDATE accounts SET cash = cash + ?2 WHERE user_id = ?1"};

static const struct query_text upsert_position = {
    "INSERT", "positions",
    "INSERT INTO positions (user_id, symbol, quantity) VALUES (?1, ?2, max(?3, 0))"
    " ON CONFLICT (user_id, symbol) DO UPDATE SET quantity = quantity + ?3"};

static const struct query_text insert_order = {
    "INSERT", "orders",
    "INSERT INTO orders (user_id, symbol, side, ordered, filled, price) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"};

// A refusal is a valid answer of this service, not a failure of it: status 422, and the span that refused is
// marked.
static void refuse(nsp_span *span, struct reply *reply, const char *reason, const char *message)
{
    span_fail(span, reason, "%s", message);
    reply_failure(reply, 422, reason, "%s", message);
}

// Opens the transaction and reads the account. Returns SQLite's code.
static int read_account(struct database *database, struct connection *connection, nsp_span *span,
                        struct order *order, bool *found)
{
    struct query query;
    int code = query_connect(database, span, connection);
    if (code == SQLITE_OK)
        code = query_control(connection->handle, span, "BEGIN IMMEDIATE");
    if (code != SQLITE_OK)
        return code;
    if (query_begin(&query, connection->handle, span, &select_account)) {
        sqlite3_bind_text(query.statement, 1, order->user_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(query.statement, 2, order->symbol, -1, SQLITE_STATIC);
        *found = query_next(&query);
        if (*found) {
            order->cash = sqlite3_column_double(query.statement, 0);
            order->quantity = sqlite3_column_double(query.statement, 1);
        }
    }
    query_end(&query);
    return query.error;
}

// How much of the account the order may use, as a value in cash.
static double available(const struct order *order)
{
    return order->buy ? order->cash : order->quantity * order->limit_price;
}

static bool check_balance(struct database *database, struct connection *connection, struct order *order,
                          struct reply *reply)
{
    NSP_SPAN(span, "check_balance");
    char message[120];
    bool found = false;
    nsp_span_set_str(span, NSP_KEY("user.id"), order->user_id);
    int code = read_account(database, connection, span, order, &found);
    if (code != SQLITE_OK) {
        query_failure_reply(reply, code);
        return false;
    }
    if (!found) {
        refuse(span, reply, "unknown_user", "the account does not exist");
        return false;
    }
    double needed = fmax(order->amount, LEAST_VALUE);
    nsp_span_set_f64(span, NSP_KEY("balance.available"), available(order));
    nsp_span_set_f64(span, NSP_KEY("balance.needed"), needed);
    if (available(order) >= needed)
        return true;
    snprintf(message, sizeof message, "%.2f are needed, the account has %.2f", needed, available(order));
    refuse(span, reply, "insufficient_balance", message);
    return false;
}

// The higher the confidence, the larger the order.
static bool calculate_size(const struct exchange *exchange, struct order *order, struct reply *reply)
{
    NSP_SPAN(span, "calculate_size");
    const struct exchange_instrument *instrument = exchange_find(exchange, order->symbol);
    double budget = order->amount > 0 ? order->amount : fmax(available(order) * USUAL_SHARE, LEAST_VALUE);
    double size = exchange_whole_lots(instrument, budget * order->confidence / order->limit_price);
    if (instrument != NULL && size > instrument->max_size)
        size = instrument->max_size;
    order->size = size;
    nsp_span_set_f64(span, NSP_KEY("ai.confidence"), order->confidence);
    nsp_span_set_f64(span, NSP_KEY("trade.budget"), budget);
    nsp_span_set_f64(span, NSP_KEY("trade.size"), size);
    if (size > 0)
        return true;
    refuse(span, reply, "size_below_lot", "the amount buys less than one lot");
    return false;
}

static int settle_account(sqlite3 *connection, nsp_span *span, const struct order *order, double cash)
{
    struct query query;
    if (query_begin(&query, connection, span, &update_account)) {
        sqlite3_bind_text(query.statement, 1, order->user_id, -1, SQLITE_STATIC);
        sqlite3_bind_double(query.statement, 2, cash);
    }
    query_run(&query, NULL);
    return query.error;
}

static int settle_position(sqlite3 *connection, nsp_span *span, const struct order *order, double quantity)
{
    struct query query;
    if (query_begin(&query, connection, span, &upsert_position)) {
        sqlite3_bind_text(query.statement, 1, order->user_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(query.statement, 2, order->symbol, -1, SQLITE_STATIC);
        sqlite3_bind_double(query.statement, 3, quantity);
    }
    query_run(&query, NULL);
    return query.error;
}

static int record_order(sqlite3 *connection, nsp_span *span, struct order *order)
{
    struct query query;
    if (query_begin(&query, connection, span, &insert_order)) {
        sqlite3_bind_text(query.statement, 1, order->user_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(query.statement, 2, order->symbol, -1, SQLITE_STATIC);
        sqlite3_bind_text(query.statement, 3, order->side, -1, SQLITE_STATIC);
        sqlite3_bind_double(query.statement, 4, order->size);
        sqlite3_bind_double(query.statement, 5, order->report.filled);
        sqlite3_bind_double(query.statement, 6, order->report.price);
    }
    query_run(&query, NULL);
    order->id = sqlite3_last_insert_rowid(connection);
    return query.error;
}

// Moves cash and units, and records the order. The span's db.* attributes describe the last statement that
// ran: the one that records the order, or the one that failed. Returns SQLite's code.
static int settle(sqlite3 *connection, nsp_span *span, struct order *order)
{
    double sign = order->buy ? 1 : -1;
    int code = settle_account(connection, span, order, -sign * order->report.filled * order->report.price);
    if (code == SQLITE_OK)
        code = settle_position(connection, span, order, sign * order->report.filled);
    if (code == SQLITE_OK)
        code = record_order(connection, span, order);
    if (code == SQLITE_OK)
        code = query_control(connection, span, "COMMIT");
    return code;
}

static void tell_fills(nsp_span *span, const struct exchange_report *report)
{
    for (size_t i = 0; i < report->fill_count; i++) {
        nsp_attr attributes[] = {nsp_attr_f64(NSP_KEY("trade.size"), report->fills[i].size),
                                 nsp_attr_f64(NSP_KEY("trade.price"), report->fills[i].price)};
        nsp_span_add_event_with(span, NSP_NAME("fill"), 0, attributes, 2);
    }
}

static bool submit_to_exchange(const struct exchange *exchange, sqlite3 *connection, struct order *order,
                               struct reply *reply)
{
    NSP_SPAN(span, "submit_to_exchange");
    struct exchange_report *report = &order->report;
    char message[120];
    nsp_span_set_str(span, NSP_KEY("trade.symbol"), order->symbol);
    nsp_span_set_str(span, NSP_KEY("trade.side"), order->side);
    nsp_span_set_f64(span, NSP_KEY("trade.limit_price"), order->limit_price);
    exchange_submit(exchange,
                    &(struct exchange_order){order->symbol, order->buy, order->size, order->limit_price},
                    report);
    if (report->reason != NULL) {
        nsp_attr reason = nsp_attr_str(NSP_KEY("reason"), report->reason);
        nsp_span_add_event_with(span, NSP_NAME("order_rejected"), 0, &reason, 1);
        snprintf(message, sizeof message, "the exchange refused to %s %s at %.6g: %s", order->side,
                 order->symbol, order->limit_price, report->reason);
        refuse(span, reply, report->reason, message);
        return false;
    }
    tell_fills(span, report);
    nsp_span_set_f64(span, NSP_KEY("trade.size"), report->filled);
    nsp_span_set_f64(span, NSP_KEY("trade.price"), report->price);
    int code = settle(connection, span, order);
    if (code != SQLITE_OK)
        query_failure_reply(reply, code);
    else
        nsp_span_set_i64(span, NSP_KEY("order.id"), order->id);
    return code == SQLITE_OK;
}

static bool read_order(json_t *body, struct order *out)
{
    double amount = json_number_value(json_object_get(body, "amount"));
    *out = (struct order){
        .user_id = json_string_value(json_object_get(body, "user_id")),
        .symbol = json_string_value(json_object_get(body, "symbol")),
        .side = json_string_value(json_object_get(body, "side")),
        .limit_price = json_number_value(json_object_get(body, "limit_price")),
        .confidence = json_number_value(json_object_get(body, "confidence")),
        .amount = amount > 0 ? amount : 0,
    };
    if (out->user_id == NULL || out->symbol == NULL || out->side == NULL)
        return false;
    out->buy = strcmp(out->side, "BUY") == 0;
    return (out->buy || strcmp(out->side, "SELL") == 0) && out->limit_price > 0 && out->confidence > 0 &&
           out->confidence <= 1;
}

static void execute(const struct execution *execution, struct database *database, struct order *order,
                    struct reply *reply)
{
    struct connection connection = {0};
    if (check_balance(database, &connection, order, reply) &&
        calculate_size(&execution->exchange, order, reply) &&
        submit_to_exchange(&execution->exchange, connection.handle, order, reply))
        reply_json(reply, 201, order->report.filled < order->size ? "partially_filled" : "filled",
                   json_pack("{s:I, s:s, s:s, s:f, s:f, s:f}", "order_id", (json_int_t)order->id, "symbol",
                             order->symbol, "side", order->side, "ordered", order->size, "size",
                             order->report.filled, "price", order->report.price));
    database_give(database, &connection); // rolls a refused order back
}

void place_order(const struct request *request, struct reply *reply)
{
    json_t *body = json_loadb(request->body, request->body_length, JSON_REJECT_DUPLICATES, NULL);
    struct order order;
    if (read_order(body, &order)) {
        nsp_span_set_str(nsp_span_current(), NSP_KEY("user.id"), order.user_id);
        nsp_span_set_str(nsp_span_current(), NSP_KEY("trade.symbol"), order.symbol);
        execute(request->context, request->database, &order, reply);
        if (order.report.filled > 0)
            nsp_span_set_f64(nsp_span_current(), NSP_KEY("trade.size"), order.report.filled);
    } else {
        reply_failure(reply, 400, "invalid_order",
                      "user_id, symbol, side, limit_price and confidence are needed");
    }
    json_decref(body);
}
