// SPDX-License-Identifier: Apache-2.0
//
//     POST /api/trades/execute       SERVER; a root unless the caller sent a context
//       validate_request
//       ai-engine: get_signal        CLIENT; the AI engine's server span is its child
//       execution: place_order       CLIENT; the execution service's server span is its child
//       store_trade                  writes the trade and its signal to SQLite
//
// A trade stops at the step that refuses it.
#include <stdio.h>
#include <time.h>

#include "platform/backend/backend.h"
#include "platform/backend/validate.h"
#include "platform/service/failure.h"
#include "platform/service/query.h"

// How far an order without a limit may go from the current price, as a share of it.
static const double SLIPPAGE = 0.002;

struct trade {
    struct trade_request request;
    char side[SIDE_SIZE];
    char signal[SIDE_SIZE];
    double confidence, signal_price, limit_price;
    double size, price;
    long long order_id, id;
};

// The reply to the caller if another service did not answer, or did not answer as expected.
static void reply_upstream(struct reply *reply, const struct client *client, const struct answer *answer)
{
    const char *service = client_service(client);
    if (answer->timed_out)
        reply_failure(reply, 504, "upstream_timeout", "%s", answer->problem);
    else if (answer->status == 0)
        reply_failure(reply, 503, "upstream_unreachable", "%s", answer->problem);
    else
        reply_failure(reply, 502, "upstream_failed", "%s answered %u: %s", service, answer->status,
                      answer->problem);
}

static bool get_signal(struct backend *backend, struct trade *trade, struct reply *reply)
{
    struct answer answer;
    char path[64];
    snprintf(path, sizeof path, "/signals/%s", trade->request.symbol);
    bool good =
        client_call(backend->ai_engine, NSP_NAME("ai-engine: get_signal"), "GET", path, NULL, &answer);
    if (good) {
        snprintf(trade->signal, sizeof trade->signal, "%s", answer_text(&answer, "result", ""));
        trade->confidence = answer_number(&answer, "confidence", 0);
        trade->signal_price = answer_number(&answer, "price", 0);
        good = *trade->signal && trade->signal_price > 0;
        if (!good)
            reply_failure(reply, 502, "upstream_failed", "%s: the answer contains no signal",
                          client_service(backend->ai_engine));
    } else if (answer.status == 404) {
        reply_failure(reply, 404, "unknown_symbol", "%s", answer.problem);
    } else {
        reply_upstream(reply, backend->ai_engine, &answer);
    }
    answer_free(&answer);
    return good;
}

// Side and limit: the client's if given, otherwise the signal's.
static void decide(struct trade *trade)
{
    const struct trade_request *request = &trade->request;
    snprintf(trade->side, sizeof trade->side, "%s", *request->side ? request->side : trade->signal);
    double distance = trade->side[0] == 'B' ? 1 + SLIPPAGE : 1 - SLIPPAGE;
    trade->limit_price = request->limit_price > 0 ? request->limit_price : trade->signal_price * distance;
}

static bool place_order(struct backend *backend, struct trade *trade, struct reply *reply)
{
    struct answer answer;
    json_t *order = json_pack("{s:s, s:s, s:s, s:f, s:f}", "user_id", trade->request.user_id, "symbol",
                              trade->request.symbol, "side", trade->side, "limit_price", trade->limit_price,
                              "confidence", trade->confidence);
    if (trade->request.amount > 0)
        json_object_set_new(order, "amount", json_real(trade->request.amount));
    bool good = client_call(backend->execution, NSP_NAME("execution: place_order"), "POST", "/orders", order,
                            &answer);
    if (good) {
        trade->order_id = (long long)answer_number(&answer, "order_id", 0);
        trade->size = answer_number(&answer, "size", 0);
        trade->price = answer_number(&answer, "price", 0);
        good = trade->order_id > 0 && trade->size > 0;
        if (!good)
            reply_failure(reply, 502, "upstream_failed", "%s: the answer contains no order",
                          client_service(backend->execution));
    } else if (answer.status == 422) {
        reply_failure(reply, 422, answer_text(&answer, "error", "rejected"), "%s", answer.problem);
    } else {
        reply_upstream(reply, backend->execution, &answer);
    }
    answer_free(&answer);
    return good;
}

static const struct query_text insert_signal = {
    "INSERT", "signals",
    "INSERT INTO signals (created_ms, symbol, result, confidence, price) VALUES (?1, ?2, ?3, ?4, ?5)"};

static const struct query_text insert_trade = {
    "INSERT", "trades",
    "INSERT INTO trades (created_ms, order_id, user_id, symbol, side, size, price, signal_id)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, last_insert_rowid())"};

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int store_signal(sqlite3 *connection, nsp_span *span, const struct trade *trade, long long at)
{
    struct query query;
    if (query_begin(&query, connection, span, &insert_signal)) {
        sqlite3_bind_int64(query.statement, 1, at);
        sqlite3_bind_text(query.statement, 2, trade->request.symbol, -1, SQLITE_STATIC);
        sqlite3_bind_text(query.statement, 3, trade->signal, -1, SQLITE_STATIC);
        sqlite3_bind_double(query.statement, 4, trade->confidence);
        sqlite3_bind_double(query.statement, 5, trade->signal_price);
    }
    query_run(&query, NULL);
    return query.error;
}

static int store_order(sqlite3 *connection, nsp_span *span, struct trade *trade, long long at)
{
    struct query query;
    if (query_begin(&query, connection, span, &insert_trade)) {
        sqlite3_bind_int64(query.statement, 1, at);
        sqlite3_bind_int64(query.statement, 2, trade->order_id);
        sqlite3_bind_text(query.statement, 3, trade->request.user_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(query.statement, 4, trade->request.symbol, -1, SQLITE_STATIC);
        sqlite3_bind_text(query.statement, 5, trade->side, -1, SQLITE_STATIC);
        sqlite3_bind_double(query.statement, 6, trade->size);
        sqlite3_bind_double(query.statement, 7, trade->price);
    }
    query_run(&query, NULL);
    trade->id = sqlite3_last_insert_rowid(connection);
    return query.error;
}

// Stores both the signal and the trade, or neither. Returns SQLite's code.
static int store_trade(struct database *database, struct trade *trade)
{
    NSP_SPAN(span, "store_trade");
    struct connection connection;
    long long at = now_ms();
    int code = query_connect(database, span, &connection);
    if (code == SQLITE_OK)
        code = query_control(connection.handle, span, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = store_signal(connection.handle, span, trade, at);
    if (code == SQLITE_OK)
        code = store_order(connection.handle, span, trade, at);
    if (code == SQLITE_OK)
        code = query_control(connection.handle, span, "COMMIT");
    database_give(database, &connection);
    if (code == SQLITE_OK)
        nsp_span_set_i64(span, NSP_KEY("trade.id"), trade->id);
    return code;
}

// Sets what is known about the trade, whether it was made or not.
static void describe(nsp_span *root, const struct trade *trade)
{
    nsp_span_set_str(root, NSP_KEY("user.id"), trade->request.user_id);
    nsp_span_set_str(root, NSP_KEY("trade.symbol"), trade->request.symbol);
    if (!*trade->side)
        return;
    nsp_span_set_str(root, NSP_KEY("trade.side"), trade->side);
    nsp_span_set_f64(root, NSP_KEY("ai.confidence"), trade->confidence);
    if (!trade->order_id)
        return;
    nsp_span_set_i64(root, NSP_KEY("order.id"), trade->order_id);
    nsp_span_set_f64(root, NSP_KEY("trade.size"), trade->size);
    nsp_span_set_f64(root, NSP_KEY("trade.price"), trade->price);
}

static void execute(const struct request *request, struct trade *trade, struct reply *reply)
{
    struct backend *backend = request->context;
    if (!get_signal(backend, trade, reply))
        return;
    decide(trade);
    if (!place_order(backend, trade, reply))
        return;
    int code = store_trade(request->database, trade);
    if (code != SQLITE_OK) {
        reply_failure(reply, 500, "trade_not_stored", "order %lld was executed, but could not be stored: %s",
                      trade->order_id, database_code_name(code));
        return;
    }
    reply_json(reply, 201, "executed",
               json_pack("{s:I, s:I, s:s, s:s, s:f, s:f, s:f}", "trade_id", (json_int_t)trade->id, "order_id",
                         (json_int_t)trade->order_id, "symbol", trade->request.symbol, "side", trade->side,
                         "size", trade->size, "price", trade->price, "confidence", trade->confidence));
}

void execute_trade(const struct request *request, struct reply *reply)
{
    struct trade trade = {0};
    char problem[160];
    if (!validate_request(request->body, request->body_length, &trade.request, problem, sizeof problem)) {
        reply_failure(reply, 400, "invalid_request", "%s", problem);
        return;
    }
    execute(request, &trade, reply);
    describe(nsp_span_current(), &trade);
}
