// SPDX-License-Identifier: Apache-2.0
//
// A simulated exchange inside the execution service: it lists instruments, refuses orders that break its
// rules, and fills orders against quotes around a reference price. Every order finds the full quotes. No
// network, no state besides the rules, no tracing.
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
    double depth;     // size of the best quote; the n-th best is n times as large
    double max_size;  // of an order
    double band;      // how far a limit may be from the reference, as a share of it
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
    double limit; // the worst acceptable price
};

struct exchange_fill {
    double size, price;
};

// The outcome of an order: refused, with a reason, or filled as far as the quotes allow; the rest expires.
struct exchange_report {
    const char *reason; // such as "symbol_halted"; NULL: not refused
    size_t fill_count;
    struct exchange_fill fills[EXCHANGE_LEVELS];
    double filled; // size
    double price;  // average
};

// The instrument, or NULL if it is not listed.
const struct exchange_instrument *exchange_find(const struct exchange *exchange, const char *symbol);

// Decides immediately.
void exchange_submit(const struct exchange *exchange, const struct exchange_order *order,
                     struct exchange_report *out);

// The size rounded down to whole lots. Symbols that are not listed have no lot; their size stays as it is.
double exchange_whole_lots(const struct exchange_instrument *instrument, double size);

#endif
