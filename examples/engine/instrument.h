// SPDX-License-Identifier: Apache-2.0
//
// What is traded here. orders/make_orders.py draws its prices around the same middles.
#ifndef ENGINE_INSTRUMENT_H
#define ENGINE_INSTRUMENT_H

#include <stdint.h>

#include "protocol/protocol.h"

struct instrument {
    char symbol[SYMBOL_SIZE + 1];
    uint32_t middle;       // ticks; the band of allowed prices lies around it
    uint32_t lot;          // units; sizes are rounded down to whole lots
    uint64_t max_notional; // ticks x units of one order; larger ones are cut
};

enum { INSTRUMENTS = 6 };

extern const struct instrument instruments[INSTRUMENTS];

// The index of a symbol as it stands in a message, or -1.
int instrument_find(const char symbol[SYMBOL_SIZE]);

#endif
