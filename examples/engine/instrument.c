// SPDX-License-Identifier: Apache-2.0
#include "engine/instrument.h"

#include <string.h>

const struct instrument instruments[INSTRUMENTS] = {
    {"BTCUSDT", 60000, 1, 60000 * 400ull},   {"ETHUSDT", 30000, 5, 30000 * 2000ull},
    {"SOLUSDT", 15000, 10, 15000 * 4000ull}, {"XRPUSDT", 6000, 100, 6000 * 40000ull},
    {"ADAUSDT", 4500, 100, 4500 * 40000ull}, {"DOGEUSDT", 2500, 500, 2500 * 200000ull},
};

int instrument_find(const char symbol[SYMBOL_SIZE])
{
    // The symbols in the table are zero padded, like those in messages.
    for (int i = 0; i < INSTRUMENTS; i++)
        if (memcmp(instruments[i].symbol, symbol, SYMBOL_SIZE) == 0)
            return i;
    return -1;
}
