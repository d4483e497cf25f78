// SPDX-License-Identifier: Apache-2.0
//
// The instruments that are traded. orders/make_orders.py draws its prices around the same middle prices.
#ifndef ENGINE_INSTRUMENT_H
#define ENGINE_INSTRUMENT_H

#include <stdint.h>

#include "protocol/protocol.h"

struct instrument {
    char symbol[SYMBOL_SIZE + 1];
    uint32_t middle;       // ticks; the band of allowed prices lies around it
    uint32_t lot;          // units; sizes are rounded down to whole lots
    uint64_t max_notional; // ticks x units of one order; larger orders are reduced
};

enum { INSTRUMENTS = 6 };

extern const struct instrument instruments[INSTRUMENTS];

// The index of the instrument with this symbol, in the form that messages have, or -1.
int instrument_find(const char symbol[SYMBOL_SIZE]);

#endif
