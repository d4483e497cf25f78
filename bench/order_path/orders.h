// SPDX-License-Identifier: Apache-2.0
//
// The order file that the example's feed replays, as messages.
#ifndef NSP_BENCH_ORDERS_H
#define NSP_BENCH_ORDERS_H

#include "harness/result.h"
#include "order_path/engine/path.h"

// The books are filled by the messages before `steady_begin` and nearly emptied by those from `steady_end` on. Between
// the two as many orders come as go.
typedef struct order_stream {
    order_message *messages;
    uint8_t *bytes;
    size_t count, steady_begin, steady_end;
    double sampled; // part of the messages that carry a sampled context
} order_stream;

// Without trace contexts, where `sampled` is negative; else each message carries one, this part of them (0 to 1) sampled.
// False with a problem in out.
bool orders_load(order_stream *stream, double sampled, bench_result *out);
void orders_free(order_stream *stream);

#endif
