// SPDX-License-Identifier: Apache-2.0
//
// The requests of the load driver: reading signals, trading, and requests that must be refused, each with the
// expected answer.
#ifndef PLATFORM_SCENARIO_H
#define PLATFORM_SCENARIO_H

#include <stddef.h>
#include <stdint.h>

enum scenario_kind {
    READING,   // GET /api/signals
    TRADING,   // POST /api/trades/execute
    PROVOKING, // either of them, in a form that must be refused
    SCENARIO_KINDS
};

struct scenario {
    const char *name;
    enum scenario_kind kind;
    const char *path;
    const char *body; // NULL: GET; otherwise JSON: %1$s is the user, %2$s a symbol, %3$s a side or nothing
    unsigned status;  // expected
    const char *result;
};

enum { SCENARIOS = 9, BODY_SIZE = 256 };
extern const struct scenario scenarios[SCENARIOS];
extern const char *const scenario_kind_names[SCENARIO_KINDS];

// The mix, as shares from 0 to 1: `failures` is the share of all requests that must be refused, `trades` the
// share of the others that trade.
struct mix {
    double trades, failures;
};

// Draws the next scenario. The state belongs to the worker.
size_t scenario_draw(const struct mix *mix, uint64_t *state);

// Writes the body of a POST.
void scenario_body(const struct scenario *scenario, uint64_t *state, char out[BODY_SIZE]);

#endif
