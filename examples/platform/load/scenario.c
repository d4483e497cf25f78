// SPDX-License-Identifier: Apache-2.0
#include "platform/load/scenario.h"

#include <stdio.h>

#define SIGNALS "/api/signals"
#define EXECUTE "/api/trades/execute"

const struct scenario scenarios[SCENARIOS] = {
    {"read_signals", READING, SIGNALS, NULL, 200, "ok"},
    {"trade", TRADING, EXECUTE, "{\"user_id\":\"%1$s\",\"symbol\":\"%2$s\"%3$s}", 201, "executed"},
    {"bad_query", PROVOKING, SIGNALS "?limit=-1", NULL, 400, "invalid_query"},
    {"bad_body", PROVOKING, EXECUTE, "{\"symbol\":\"%2$s\",\"amount\":\"much\"}", 400, "invalid_request"},
    {"unknown_symbol", PROVOKING, EXECUTE, "{\"user_id\":\"%1$s\",\"symbol\":\"NOSUCH\"}", 404,
     "unknown_symbol"},
    {"too_expensive", PROVOKING, EXECUTE,
     "{\"user_id\":\"%1$s\",\"symbol\":\"%2$s\",\"side\":\"BUY\",\"amount\":1e12}", 422,
     "insufficient_balance"},
    {"not_listed", PROVOKING, EXECUTE, "{\"user_id\":\"%1$s\",\"symbol\":\"LUNAUSDT\",\"side\":\"BUY\"}", 422,
     "symbol_not_listed"},
    {"halted", PROVOKING, EXECUTE, "{\"user_id\":\"%1$s\",\"symbol\":\"FTTUSDT\",\"side\":\"BUY\"}", 422,
     "symbol_halted"},
    {"out_of_band", PROVOKING, EXECUTE,
     "{\"user_id\":\"%1$s\",\"symbol\":\"%2$s\",\"side\":\"BUY\",\"limit_price\":0.01}", 422,
     "price_out_of_band"},
};

const char *const scenario_kind_names[SCENARIO_KINDS] = {"signals", "trades", "refusals"};

enum { FIRST_PROVOKING = 2, USERS = 64 };

static const char *const symbols[] = {"BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT"};
// Half of the trades let the AI engine choose the side.
static const char *const sides[] = {"", "", ",\"side\":\"BUY\"", ",\"side\":\"SELL\""};

// A random number from 0 to below - 1.
static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

static double draw_share(uint64_t *state)
{
    return (double)draw(state, 1u << 30) / (1u << 30);
}

size_t scenario_draw(const struct mix *mix, uint64_t *state)
{
    if (draw_share(state) < mix->failures)
        return FIRST_PROVOKING + draw(state, SCENARIOS - FIRST_PROVOKING);
    return draw_share(state) < mix->trades ? TRADING : READING;
}

void scenario_body(const struct scenario *scenario, uint64_t *state, char out[BODY_SIZE])
{
    char user[32];
    snprintf(user, sizeof user, "user-%u", (unsigned)draw(state, USERS) + 1);
    const char *symbol = symbols[draw(state, sizeof symbols / sizeof *symbols)];
    const char *side = sides[draw(state, sizeof sides / sizeof *sides)];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" // the formats are in the table above
    snprintf(out, BODY_SIZE, scenario->body, user, symbol, side);
#pragma GCC diagnostic pop
}
