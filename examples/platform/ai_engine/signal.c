// SPDX-License-Identifier: Apache-2.0
//
//     GET /signals/{symbol}          SERVER; child of the caller's ai-engine: get_signal
//       load_models                  reads the weights from SQLite
//       predict                      reads recent prices from SQLite and applies the models
#include "platform/ai_engine/ai_engine.h"
#include "platform/ai_engine/model.h"
#include "platform/service/failure.h"
#include "platform/service/query.h"

static const struct query_text all_weights = {
    "SELECT", "weights", "SELECT model, feature, weight FROM weights ORDER BY model, feature"};

static const struct query_text newest_prices = {
    "SELECT", "prices", "SELECT price FROM prices WHERE symbol = ?1 ORDER BY step DESC LIMIT ?2"};

struct prediction {
    const char *result; // "BUY" or "SELL"
    double confidence;  // 0.5 to 1
    double price;       // the newest
};

static bool read_weights(struct query *query, struct models *out)
{
    bool good = true;
    while (query_next(query)) {
        const char *model = (const char *)sqlite3_column_text(query->statement, 0);
        const char *feature = (const char *)sqlite3_column_text(query->statement, 1);
        good = model != NULL && feature != NULL &&
               models_set(out, model, feature, sqlite3_column_double(query->statement, 2)) && good;
    }
    return good;
}

static bool load_models(struct database *database, struct connection *connection, struct models *out,
                        struct reply *reply)
{
    NSP_SPAN(span, "load_models");
    struct query query = {0};
    bool sound = false;
    query.error = query_connect(database, span, connection);
    if (query.error == SQLITE_OK && query_begin(&query, connection->handle, span, &all_weights))
        sound = read_weights(&query, out);
    query_end(&query);
    if (query.error != SQLITE_OK) {
        query_failure_reply(reply, query.error);
        return false;
    }
    const char *incomplete = models_incomplete(out);
    if (!sound || out->count == 0 || incomplete != NULL) {
        span_fail(span, "bad_model", "the weights%s%s are incomplete", incomplete != NULL ? " of " : "",
                  incomplete != NULL ? incomplete : "");
        reply_failure(reply, 500, "bad_model", "the models cannot be loaded");
        return false;
    }
    nsp_span_set_i64(span, NSP_KEY("ai.models"), (int64_t)out->count);
    return true;
}

// Reads the prices, the newest last. False if there are too few, or if they could not be read.
static bool read_prices(struct connection *connection, nsp_span *span, const char *symbol,
                        double out[PRICES_NEEDED], struct reply *reply)
{
    struct query query;
    int count = 0;
    if (query_begin(&query, connection->handle, span, &newest_prices)) {
        sqlite3_bind_text(query.statement, 1, symbol, -1, SQLITE_STATIC);
        sqlite3_bind_int(query.statement, 2, PRICES_NEEDED);
        while (count < PRICES_NEEDED && query_next(&query))
            out[PRICES_NEEDED - ++count] = sqlite3_column_double(query.statement, 0);
    }
    query_end(&query);
    if (query.error != SQLITE_OK) {
        query_failure_reply(reply, query.error);
    } else if (count < PRICES_NEEDED) {
        span_fail(span, "unknown_symbol", "%d prices for %s are known, %d are needed", count, symbol,
                  PRICES_NEEDED);
        reply_failure(reply, 404, "unknown_symbol", "there are no prices for %s", symbol);
    }
    return query.error == SQLITE_OK && count == PRICES_NEEDED;
}

static bool predict(struct connection *connection, const char *symbol, const struct models *models,
                    struct prediction *out, struct reply *reply)
{
    NSP_SPAN(span, "predict");
    double prices[PRICES_NEEDED], features[FEATURES];
    nsp_span_set_str(span, NSP_KEY("symbol"), symbol);
    if (!read_prices(connection, span, symbol, prices, reply))
        return false;
    model_features(prices, features);
    double up = models_predict(models, features);
    out->result = up >= 0.5 ? "BUY" : "SELL";
    out->confidence = up >= 0.5 ? up : 1 - up;
    out->price = prices[PRICES_NEEDED - 1];
    nsp_span_set_f64(span, NSP_KEY("confidence"), out->confidence);
    nsp_span_set_str(span, NSP_KEY("result"), out->result);
    nsp_span_set_f64s(span, NSP_KEY("ai.features"), features, FEATURES);
    return true;
}

void get_signal(const struct request *request, struct reply *reply)
{
    struct connection connection = {0};
    struct models models = {0};
    struct prediction prediction;
    nsp_span *server = nsp_span_current();
    nsp_span_set_str(server, NSP_KEY("symbol"), request->argument);
    if (load_models(request->database, &connection, &models, reply) &&
        predict(&connection, request->argument, &models, &prediction, reply)) {
        nsp_span_set_f64(server, NSP_KEY("ai.confidence"), prediction.confidence);
        reply_json(reply, 200, "ok",
                   json_pack("{s:s, s:s, s:f, s:f}", "symbol", request->argument, "result", prediction.result,
                             "confidence", prediction.confidence, "price", prediction.price));
    }
    database_give(request->database, &connection);
}
