// SPDX-License-Identifier: Apache-2.0
//
// The AI engine's data: prices, and the weights of its models. Filled once, always with the same values.
#include <stdint.h>

#include "platform/ai_engine/ai_engine.h"

enum { STEPS = 256 };

static const struct instrument {
    const char *symbol;
    double price; // the newest
    double volatility;
} instruments[] = {
    {"BTCUSDT", 60000, 0.0008}, {"ETHUSDT", 3000, 0.0011},  {"SOLUSDT", 150, 0.0018},
    {"XRPUSDT", 0.6, 0.0015},   {"ADAUSDT", 0.45, 0.0016},  {"DOGEUSDT", 0.25, 0.0024},
    {"FTTUSDT", 1.2, 0.0031},   {"LUNAUSDT", 0.08, 0.0040},
};

// A small random generator with its own state, so that the prices are the same on every machine.
static double next_uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

// A random walk backwards in time from the newest price.
static bool seed_prices(sqlite3 *connection, const struct instrument *instrument, uint64_t state)
{
    sqlite3_stmt *statement = NULL;
    double price = instrument->price;
    bool good = sqlite3_prepare_v2(connection, "INSERT INTO prices (symbol, step, price) VALUES (?1, ?2, ?3)",
                                   -1, &statement, NULL) == SQLITE_OK;
    for (int step = STEPS; good && step >= 1; step--) {
        sqlite3_bind_text(statement, 1, instrument->symbol, -1, SQLITE_STATIC);
        sqlite3_bind_int(statement, 2, step);
        sqlite3_bind_double(statement, 3, price);
        good = sqlite3_step(statement) == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK;
        price *= 1 + instrument->volatility * (2 * next_uniform(&state) - 1);
    }
    sqlite3_finalize(statement);
    return good;
}

static const char seed_weights[] =
    "INSERT INTO weights (model, version, feature, weight) VALUES"
    " ('momentum', 3, 'bias', 0.05), ('momentum', 3, 'momentum_5', 1.10), ('momentum', 3, 'momentum_20', "
    "1.70),"
    " ('momentum', 3, 'distance', 0.60), ('momentum', 3, 'volatility', -0.40),"
    " ('reversion', 1, 'bias', 0.00), ('reversion', 1, 'momentum_5', -0.30), ('reversion', 1, 'momentum_20', "
    "0.55),"
    " ('reversion', 1, 'distance', -0.80), ('reversion', 1, 'volatility', 0.20)";

static bool seed(sqlite3 *connection)
{
    long long count;
    if (!database_integer(connection, "SELECT count(*) FROM prices", &count))
        return false;
    for (size_t i = 0; count == 0 && i < sizeof instruments / sizeof *instruments; i++)
        if (!seed_prices(connection, &instruments[i], i + 1))
            return false;
    return database_integer(connection, "SELECT count(*) FROM weights", &count) &&
           (count > 0 || sqlite3_exec(connection, seed_weights, NULL, NULL, NULL) == SQLITE_OK);
}

const struct database_plan ai_engine_plan = {
    .schema = "CREATE TABLE IF NOT EXISTS prices ("
              " symbol TEXT NOT NULL, step INTEGER NOT NULL, price REAL NOT NULL CHECK (price > 0),"
              " PRIMARY KEY (symbol, step)) WITHOUT ROWID;"
              "CREATE TABLE IF NOT EXISTS weights ("
              " model TEXT NOT NULL, version INTEGER NOT NULL, feature TEXT NOT NULL, weight REAL NOT NULL,"
              " PRIMARY KEY (model, feature)) WITHOUT ROWID;",
    .seed = seed,
};
