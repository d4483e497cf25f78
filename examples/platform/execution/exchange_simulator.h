// SPDX-License-Identifier: Apache-2.0
//
// A simulated exchange inside the execution service: it lists instruments, refuses what is against its rules, and fills
// orders against standing quotes around a reference price, which their makers renew after each order. No network, no
// state beyond the rules, no tracing.
#ifndef PLATFORM_EXCHANGE_SIMULATOR_H
#define PLATFORM_EXCHANGE_SIMULATOR_H

#include <stdbool.h>
#include <stddef.h>

enum { EXCHANGE_INSTRUMENTS_MAX = 64, EXCHANGE_LEVELS = 10, EXCHANGE_SYMBOL_SIZE = 20 };

struct exchange_instrument {
    char symbol[EXCHANGE_SYMBOL_SIZE];
    double reference; // the middle of the quotes
    double tick;      // between two quotes
    double lot;       // sizes are multiples of it
    double depth;     // size of the best quote; the n-th has n times as much
    double max_size;  // of an order
    double band;      // share of the reference that a limit may be away from it
    bool halted;
};

struct exchange {
    size_t count;
    struct exchange_instrument list[EXCHANGE_INSTRUMENTS_MAX];
};

struct exchange_order {
    const char *symbol;
    bool buy;
    double size;
    double limit; // worst price that is taken
};

struct exchange_fill {
    double size, price;
};

// What became of an order: refused, with a reason, or filled as far as the quotes went; the rest expires.
struct exchange_report {
    const char *reason; // "symbol_halted"; NULL: not refused
    size_t fill_count;
    struct exchange_fill fills[EXCHANGE_LEVELS];
    double filled; // size
    double price;  // average
};

// The instrument, or NULL if it is not listed.
const struct exchange_instrument *exchange_find(const struct exchange *exchange, const char *symbol);

// Decides at once.
void exchange_submit(const struct exchange *exchange, const struct exchange_order *order,
                     struct exchange_report *out);

// The size in whole lots, rounded down; unlisted symbols have no lot.
double exchange_whole_lots(const struct exchange_instrument *instrument, double size);

#endif
