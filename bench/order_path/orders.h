// SPDX-License-Identifier: Apache-2.0
//
// The order file that the example's feed replays, in the form of messages.
#ifndef NSP_BENCH_ORDERS_H
#define NSP_BENCH_ORDERS_H

#include "harness/result.h"
#include "order_path/engine/path.h"

// The messages before `steady_begin` fill the order books, and those from `steady_end` on nearly empty them.
// In between, about as many orders are added as removed.
typedef struct order_stream {
    order_message *messages;
    uint8_t *bytes;
    size_t count, steady_begin, steady_end;
    double sampled; // share of the messages that carry a sampled context
} order_stream;

// Loads the orders. If `sampled` is negative, messages carry no trace context; otherwise each message carries
// one, and this share of them (0 to 1) is sampled. False with a problem in out.
bool orders_load(order_stream *stream, double sampled, bench_result *out);
void orders_free(order_stream *stream);

#endif
