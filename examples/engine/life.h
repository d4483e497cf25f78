// SPDX-License-Identifier: Apache-2.0
//
// The whole life of an order, from acceptance until it is filled, cancelled, expired or withdrawn, as a
// detached span. It outlives the message that brought the order, and ends wherever the order does.
//
// It is a trace of its own, because it may last for hours, and has a link to the trace of the order message.
// It is recorded exactly if the head has sampled that trace, so that every link leads to a recorded span: it is begun
// only for recorded orders, and a sampler rule keeps every order_life (life_sample_all). An order about which an
// outlier rule decides at its end has none, since that is too late to begin one.
#ifndef ENGINE_LIFE_H
#define ENGINE_LIFE_H

#include <nanospan/nanospan.h>
#include <stdint.h>

#include "engine/engine.h"
#include "engine/order.h"
#include "engine/stages.h"

// Sets the sampler rule. Call it once, after nsp_init.
void life_sample_all(void);

// Adds an event for a trade, and ends the span with the final result of the order; the order must have a span.
void life_add_fill(struct order *order, uint32_t quantity, uint32_t price, nsp_ticks at);
void life_finish(struct order *order, const char *result, nsp_ticks at);

// The same for any order. Most have no span, and then this is one check.
static inline void life_fill(struct order *order, uint32_t quantity, uint32_t price, nsp_ticks at)
{
    if (order->life != NULL)
        life_add_fill(order, quantity, price, at);
}

static inline void life_end(struct order *order, const char *result, nsp_ticks at)
{
    if (order->life != NULL)
        life_finish(order, result, at);
}

// Adds the trades to the order_life spans of the orders concerned; `message` is the span of the order message. To be
// called after submit_to_exchange, but with the clock readings taken before it: the times are right, and the path to the
// exchange does not get longer.
void lives_tell(struct engine *engine, const struct request *request, const struct outcome *outcome,
                const nsp_span *message, nsp_ticks accepted, nsp_ticks matched);

#endif
