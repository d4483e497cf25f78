// SPDX-License-Identifier: Apache-2.0
//
// The execution service's data: accounts, positions, orders, and the rules of the simulated exchange.
#include <stdio.h>

#include "platform/execution/execution.h"

// FTTUSDT is halted. LUNAUSDT is no longer listed, although accounts hold it.
static const char seed_text[] =
    "INSERT INTO instruments (symbol, reference, tick, lot, depth, max_size, band, halted) VALUES"
    " ('BTCUSDT', 60000, 5, 0.0001, 0.5, 20, 0.05, 0), ('ETHUSDT', 3000, 0.5, 0.001, 5, 300, 0.05, 0),"
    " ('SOLUSDT', 150, 0.02, 0.01, 100, 5000, 0.05, 0), ('XRPUSDT', 0.6, 0.0001, 1, 20000, 1000000, 0.05, 0),"
    " ('ADAUSDT', 0.45, 0.0001, 1, 20000, 1000000, 0.05, 0), ('DOGEUSDT', 0.25, 0.0001, 1, 40000, 2000000, "
    "0.10, 0),"
    " ('FTTUSDT', 1.2, 0.001, 0.1, 1000, 10000, 0.05, 1);"
    "WITH RECURSIVE users (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM users WHERE n < 64)"
    " INSERT INTO accounts (user_id, cash) SELECT 'user-' || n, 1000000 FROM users;"
    "INSERT INTO positions (user_id, symbol, quantity)"
    " SELECT user_id, symbol, 500000 / reference FROM accounts, instruments;"
    "INSERT INTO positions (user_id, symbol, quantity) SELECT user_id, 'LUNAUSDT', 1000000 FROM accounts;";

static bool seed(sqlite3 *connection)
{
    long long accounts;
    return database_integer(connection, "SELECT count(*) FROM accounts", &accounts) &&
           (accounts > 0 || sqlite3_exec(connection, seed_text, NULL, NULL, NULL) == SQLITE_OK);
}

const struct database_plan execution_plan = {
    .schema =
        "CREATE TABLE IF NOT EXISTS instruments ("
        " symbol TEXT PRIMARY KEY, reference REAL NOT NULL, tick REAL NOT NULL, lot REAL NOT NULL,"
        " depth REAL NOT NULL, max_size REAL NOT NULL, band REAL NOT NULL, halted INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS accounts ("
        " user_id TEXT PRIMARY KEY, cash REAL NOT NULL CHECK (cash >= 0));"
        "CREATE TABLE IF NOT EXISTS positions ("
        " user_id TEXT NOT NULL REFERENCES accounts (user_id), symbol TEXT NOT NULL,"
        " quantity REAL NOT NULL CHECK (quantity >= 0), PRIMARY KEY (user_id, symbol));"
        "CREATE TABLE IF NOT EXISTS orders ("
        " id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES accounts (user_id), symbol TEXT NOT NULL,"
        " side TEXT NOT NULL, ordered REAL NOT NULL, filled REAL NOT NULL, price REAL NOT NULL);",
    .seed = seed,
};

bool load_instruments(struct database *database, struct exchange *out)
{
    struct connection connection;
    sqlite3_stmt *statement = NULL;
    bool good = database_take(database, &connection) == SQLITE_OK &&
                sqlite3_prepare_v2(
                    connection.handle,
                    "SELECT symbol, reference, tick, lot, depth, max_size, band, halted FROM instruments", -1,
                    &statement, NULL) == SQLITE_OK;
    while (good && out->count < EXCHANGE_INSTRUMENTS_MAX && sqlite3_step(statement) == SQLITE_ROW) {
        struct exchange_instrument *instrument = &out->list[out->count++];
        double *numbers[] = {&instrument->reference, &instrument->tick,     &instrument->lot,
                             &instrument->depth,     &instrument->max_size, &instrument->band};
        snprintf(instrument->symbol, sizeof instrument->symbol, "%s",
                 (const char *)sqlite3_column_text(statement, 0));
        for (int i = 0; i < 6; i++)
            *numbers[i] = sqlite3_column_double(statement, i + 1);
        instrument->halted = sqlite3_column_int(statement, 7) != 0;
    }
    sqlite3_finalize(statement);
    database_give(database, &connection);
    return good && out->count > 0;
}
