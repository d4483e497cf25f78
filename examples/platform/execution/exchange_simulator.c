// SPDX-License-Identifier: Apache-2.0
#include "platform/execution/exchange_simulator.h"

#include <math.h>
#include <string.h>

const struct exchange_instrument *exchange_find(const struct exchange *exchange, const char *symbol)
{
    for (size_t i = 0; i < exchange->count; i++)
        if (strcmp(exchange->list[i].symbol, symbol) == 0)
            return &exchange->list[i];
    return NULL;
}

double exchange_whole_lots(const struct exchange_instrument *instrument, double size)
{
    // Slightly more, so that rounding does not make 0.3 / 0.1 two lots.
    return instrument != NULL ? floor(size / instrument->lot + 1e-9) * instrument->lot : size;
}

static const char *refusal(const struct exchange_instrument *instrument, const struct exchange_order *order)
{
    if (instrument == NULL)
        return "symbol_not_listed";
    if (instrument->halted)
        return "symbol_halted";
    if (fabs(order->limit - instrument->reference) > instrument->band * instrument->reference)
        return "price_out_of_band";
    if (order->size > instrument->max_size)
        return "size_over_limit";
    return NULL;
}

static void match(const struct exchange_instrument *instrument, const struct exchange_order *order,
                  struct exchange_report *out)
{
    double left = order->size, value = 0;
    for (int level = 1; level <= EXCHANGE_LEVELS && left > instrument->lot / 2; level++) {
        double price = instrument->reference + (order->buy ? level : -level) * instrument->tick;
        if (order->buy ? price > order->limit : price < order->limit)
            break;
        double size = fmin(left, instrument->depth * level);
        out->fills[out->fill_count++] = (struct exchange_fill){size, price};
        value += size * price;
        left -= size;
    }
    out->filled = order->size - left;
    out->price = out->fill_count ? value / out->filled : 0;
    if (!out->fill_count)
        out->reason = "no_quotes_at_limit";
}

void exchange_submit(const struct exchange *exchange, const struct exchange_order *order,
                     struct exchange_report *out)
{
    const struct exchange_instrument *instrument = exchange_find(exchange, order->symbol);
    *out = (struct exchange_report){.reason = refusal(instrument, order)};
    if (out->reason == NULL)
        match(instrument, order, out);
}
