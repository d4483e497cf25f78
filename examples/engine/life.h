// SPDX-License-Identifier: Apache-2.0
//
// An order's whole life, from acceptance until it is filled, cancelled, expired or withdrawn, as a detached span: it
// outlives the message that brought the order, and ends wherever the order does.
//
// It is a trace of its own, for it may last hours, with a link to the trace of the order message. It is recorded exactly
// where that one is, so that no link leads nowhere: life_begin is asked only for recorded orders, and the sampler has
// a rule that keeps every life (life_sample_all).
#ifndef ENGINE_LIFE_H
#define ENGINE_LIFE_H

#include <nanospan/nanospan.h>
#include <stdint.h>

#include "engine/order.h"

// Sets the sampler's rule. Once, after nsp_init.
void life_sample_all(void);

// Begins the span of an order accepted at this tick, linked to the order message's span.
void life_begin(struct order *order, const nsp_span *message, nsp_ticks accepted);

// Notes a trade.
void life_fill(struct order *order, uint32_t quantity, uint32_t price, nsp_ticks at);

// Ends the span, if there is one, with what became of the order.
void life_end(struct order *order, const char *result, nsp_ticks at);

#endif
