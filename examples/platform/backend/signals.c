// SPDX-License-Identifier: Apache-2.0
//
//     HTTP GET /api/signals          SERVER; a root unless the caller sent a context
//       query_signals
//         connect_db                 takes a connection from the pool, or opens one
//         execute_query              reads the newest signals from SQLite
//       filter_signals               keeps the newest of each symbol, if its confidence is high enough
//       format_response
#include <stdlib.h>
#include <string.h>

#include "platform/backend/backend.h"
#include "platform/service/failure.h"
#include "platform/service/query.h"

enum { SIGNALS_MAX = 200, SYMBOL_SIZE = 20, RESULT_SIZE = 8 };

struct signal {
    long long id, created_ms;
    char symbol[SYMBOL_SIZE], result[RESULT_SIZE];
    double confidence, price;
};

struct signals {
    size_t count;
    struct signal list[SIGNALS_MAX];
};

struct wish {
    const char *symbol; // NULL: all
    double min_confidence;
    double limit;
};

static const struct query_text newest = {
    "SELECT", "signals",
    "SELECT id, created_ms, symbol, result, confidence, price FROM signals"
    " WHERE ?1 IS NULL OR symbol = ?1 ORDER BY id DESC LIMIT ?2"};

static void copy_text(char *out, size_t size, sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    snprintf(out, size, "%s", text != NULL ? (const char *)text : "");
}

static int execute_query(sqlite3 *connection, const struct wish *wish, struct signals *out)
{
    NSP_SPAN(span, "execute_query");
    struct query query;
    if (query_begin(&query, connection, span, &newest)) {
        if (wish->symbol != NULL)
            sqlite3_bind_text(query.statement, 1, wish->symbol, -1, SQLITE_STATIC);
        sqlite3_bind_int(query.statement, 2, SIGNALS_MAX);
        while (out->count < SIGNALS_MAX && query_next(&query)) {
            struct signal *signal = &out->list[out->count++];
            signal->id = sqlite3_column_int64(query.statement, 0);
            signal->created_ms = sqlite3_column_int64(query.statement, 1);
            copy_text(signal->symbol, sizeof signal->symbol, query.statement, 2);
            copy_text(signal->result, sizeof signal->result, query.statement, 3);
            signal->confidence = sqlite3_column_double(query.statement, 4);
            signal->price = sqlite3_column_double(query.statement, 5);
        }
    }
    query_end(&query);
    return query.error;
}

static int connect_db(struct database *database, struct connection *out)
{
    NSP_SPAN(span, "connect_db");
    return query_connect(database, span, out);
}

// Returns SQLite's code.
static int query_signals(struct database *database, const struct wish *wish, struct signals *out)
{
    NSP_SPAN(span, "query_signals");
    struct connection connection;
    int code = connect_db(database, &connection);
    if (code == SQLITE_OK)
        code = execute_query(connection.handle, wish, out);
    database_give(database, &connection);
    if (code != SQLITE_OK)
        span_fail(span, database_code_name(code), "signals could not be read");
    else
        nsp_span_set_i64(span, NSP_KEY("signals.read"), (int64_t)out->count);
    return code;
}

static bool seen(const struct signals *signals, size_t count, const char *symbol)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(signals->list[i].symbol, symbol) == 0)
            return true;
    return false;
}

// Keeps, in place, the newest signal of each symbol, if its confidence is high enough.
static void filter_signals(struct signals *signals, const struct wish *wish)
{
    NSP_SPAN(span, "filter_signals");
    struct signals newest_of_each = {0};
    size_t kept = 0;
    for (size_t i = 0; i < signals->count; i++)
        if (!seen(&newest_of_each, newest_of_each.count, signals->list[i].symbol))
            newest_of_each.list[newest_of_each.count++] = signals->list[i];
    for (size_t i = 0; i < newest_of_each.count && kept < (size_t)wish->limit; i++)
        if (newest_of_each.list[i].confidence >= wish->min_confidence)
            signals->list[kept++] = newest_of_each.list[i];
    nsp_span_set_i64(span, NSP_KEY("signals.in"), (int64_t)signals->count);
    nsp_span_set_i64(span, NSP_KEY("signals.out"), (int64_t)kept);
    nsp_span_set_f64(span, NSP_KEY("signals.min_confidence"), wish->min_confidence);
    signals->count = kept;
}

static void format_response(const struct signals *signals, struct reply *reply)
{
    NSP_SPAN(span, "format_response");
    json_t *list = json_array();
    for (size_t i = 0; i < signals->count; i++) {
        const struct signal *signal = &signals->list[i];
        json_array_append_new(list, json_pack("{s:I, s:I, s:s, s:s, s:f, s:f}", "id", (json_int_t)signal->id,
                                              "created_ms", (json_int_t)signal->created_ms, "symbol",
                                              signal->symbol, "result", signal->result, "confidence",
                                              signal->confidence, "price", signal->price));
    }
    reply_json(reply, 200, "ok", json_pack("{s:o}", "signals", list));
    nsp_span_set_i64(span, NSP_KEY("response.bytes"), reply->text != NULL ? (int64_t)strlen(reply->text) : 0);
}

// Reads a parameter as a number within bounds, or takes the fallback if it is missing. False if it is not
// such a number.
static bool number_of(const struct request *request, const char *name, double least, double most,
                      double fallback, double *out)
{
    const char *text = request_query(request, name);
    char *end;
    *out = fallback;
    if (text == NULL)
        return true;
    *out = strtod(text, &end);
    return *text && !*end && *out >= least && *out <= most;
}

void get_signals(const struct request *request, struct reply *reply)
{
    struct wish wish = {.symbol = request_query(request, "symbol")};
    struct signals signals = {0};
    nsp_span *root = nsp_span_current();
    if (wish.symbol != NULL)
        nsp_span_set_str(root, NSP_KEY("symbol"), wish.symbol);
    if (!number_of(request, "min_confidence", 0, 1, 0.5, &wish.min_confidence) ||
        !number_of(request, "limit", 1, SIGNALS_MAX, 50, &wish.limit)) {
        reply_failure(reply, 400, "invalid_query",
                      "min_confidence must be a number from 0 to 1, and limit from 1 to %d", SIGNALS_MAX);
        return;
    }
    int code = query_signals(request->database, &wish, &signals);
    if (code != SQLITE_OK) {
        query_failure_reply(reply, code);
        return;
    }
    filter_signals(&signals, &wish);
    format_response(&signals, reply);
}
