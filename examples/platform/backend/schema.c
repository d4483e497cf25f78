// SPDX-License-Identifier: Apache-2.0
//
// The backend's data: the signals that it has received, and the trades that were made on them.
#include <stdio.h>

#include "platform/backend/backend.h"

// Some signals from before the start, so that there is something to read: [symbol, result, confidence,
// price].
static const char seed_text[] =
    "INSERT INTO signals (created_ms, symbol, result, confidence, price) VALUES"
    " (1767225600000, 'BTCUSDT', 'BUY', 0.85, 60000), (1767225601000, 'ETHUSDT', 'SELL', 0.71, 3000),"
    " (1767225602000, 'SOLUSDT', 'BUY', 0.64, 150), (1767225603000, 'XRPUSDT', 'BUY', 0.52, 0.6),"
    " (1767225604000, 'ADAUSDT', 'SELL', 0.58, 0.45), (1767225605000, 'DOGEUSDT', 'SELL', 0.77, 0.25),"
    " (1767225606000, 'BTCUSDT', 'BUY', 0.81, 60010), (1767225607000, 'ETHUSDT', 'SELL', 0.69, 2998)";

static bool seed(sqlite3 *connection)
{
    long long signals;
    return database_integer(connection, "SELECT count(*) FROM signals", &signals) &&
           (signals > 0 || sqlite3_exec(connection, seed_text, NULL, NULL, NULL) == SQLITE_OK);
}

const struct database_plan backend_plan = {
    .schema =
        "CREATE TABLE IF NOT EXISTS signals ("
        " id INTEGER PRIMARY KEY, created_ms INTEGER NOT NULL, symbol TEXT NOT NULL, result TEXT NOT NULL,"
        " confidence REAL NOT NULL, price REAL NOT NULL);"
        "CREATE INDEX IF NOT EXISTS signals_of_symbol ON signals (symbol, id);"
        "CREATE TABLE IF NOT EXISTS trades ("
        " id INTEGER PRIMARY KEY, created_ms INTEGER NOT NULL, order_id INTEGER NOT NULL UNIQUE,"
        " user_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, size REAL NOT NULL,"
        " price REAL NOT NULL, signal_id INTEGER NOT NULL REFERENCES signals (id));",
    .seed = seed,
};
