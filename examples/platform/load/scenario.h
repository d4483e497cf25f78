// SPDX-License-Identifier: Apache-2.0
//
// What the load driver asks for: reading signals, trading, and things that must be refused, each with the answer that is
// due.
#ifndef PLATFORM_SCENARIO_H
#define PLATFORM_SCENARIO_H

#include <stddef.h>
#include <stdint.h>

enum scenario_kind {
    READING,   // GET /api/signals
    TRADING,   // POST /api/trades/execute
    PROVOKING, // of either, what must be refused
    SCENARIO_KINDS
};

struct scenario {
    const char *name;
    enum scenario_kind kind;
    const char *path;
    const char *body; // NULL: GET; else JSON with %1$s the user, %2$s a symbol, %3$s a side or nothing
    unsigned status;  // that is due
    const char *result;
};

enum { SCENARIOS = 9, BODY_SIZE = 256 };
extern const struct scenario scenarios[SCENARIOS];
extern const char *const scenario_kind_names[SCENARIO_KINDS];

// The shares of the mix, from 0 to 1: of all requests, those that provoke; of the others, those that trade.
struct mix {
    double trades, failures;
};

// Draws what comes next. The state is the worker's own.
size_t scenario_draw(const struct mix *mix, uint64_t *state);

// Writes the body of a POST.
void scenario_body(const struct scenario *scenario, uint64_t *state, char out[BODY_SIZE]);

#endif
