// SPDX-License-Identifier: Apache-2.0
#include "engine/life.h"

#include <string.h>

#include "engine/instrument.h"

void life_sample_all(void)
{
    nsp_sampler_set_rule("order_life", 1.0);
}

// Begins the span of an order that was accepted at this tick, with a link to the span of the order message.
static void life_begin(struct order *order, const nsp_span *message, nsp_ticks accepted)
{
    nsp_link link; // the context in it is large, and is written as a whole
    nsp_span_context(message, &link.context);
    if ((link.context.flags & NSP_TRACE_FLAG_SAMPLED) == 0)
        return; // an outlier rule decides about that trace when it ends
    // To the order itself, which is its trace's first span here: the context is that of the stage that is open.
    memcpy(link.context.span_id, &link.context.local_root, sizeof link.context.span_id);
    link.attributes = NULL;
    link.attribute_count = 0;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    options.start = accepted;
    options.links = &link;
    options.link_count = 1;
    order->life = nsp_span_begin_detached(NSP_NAME("order_life"), &options);
    nsp_span_set_i64(order->life, NSP_KEY("order.id"), (int64_t)order->id);
    nsp_span_set_i64(order->life, NSP_KEY("user.id"), order->account);
    nsp_span_set_str(order->life, NSP_KEY("trade.symbol"), instruments[order->instrument].symbol);
    nsp_span_set_str(order->life, NSP_KEY("trade.side"), side_text(order->side));
    nsp_span_set_i64(order->life, NSP_KEY("trade.size"), order->quantity);
    nsp_span_set_i64(order->life, NSP_KEY("trade.price"), order->price);
}

void life_add_fill(struct order *order, uint32_t quantity, uint32_t price, nsp_ticks at)
{
    if (!nsp_span_recording(order->life)) // refused under pressure
        return;
    nsp_attr attributes[] = {
        nsp_attr_i64(NSP_KEY("trade.size"), quantity),
        nsp_attr_i64(NSP_KEY("trade.price"), price),
    };
    nsp_span_add_event_with(order->life, NSP_NAME("fill"), at, attributes, 2);
}

void life_finish(struct order *order, const char *result, nsp_ticks at)
{
    nsp_span_set_i64(order->life, NSP_KEY("trade.filled"), order->quantity - order->leaves);
    nsp_span_set_i64(order->life, NSP_KEY("match.fills"), order->fills);
    nsp_span_set_str(order->life, NSP_KEY("order.result"), result);
    nsp_span_end_at(order->life, at);
    order->life = NULL;
}

void lives_tell(struct engine *engine, const struct request *request, const struct outcome *outcome,
                const nsp_span *message, nsp_ticks accepted, nsp_ticks matched)
{
    struct order *order = outcome->order;
    if (!request->cancel && nsp_span_recording(message)) {
        life_begin(order, message, accepted);
        count(&engine->counters.lives_traced,
              nsp_span_recording(order->life)); // false if the trace was refused under pressure
    }
    for (uint32_t i = 0; i < outcome->fills; i++) {
        struct fill *fill = &engine->fills[i];
        life_fill(order, fill->quantity, fill->price, matched);
        life_fill(fill->maker, fill->quantity, fill->price, matched);
        if (fill->maker_leaves == 0)
            life_end(fill->maker, "filled", matched);
    }
    if (outcome->order_done)
        life_end(order, result_text(outcome->result), matched);
}
