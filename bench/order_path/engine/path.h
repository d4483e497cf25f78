// SPDX-License-Identifier: Apache-2.0
//
// The order path of the example engine. Its sources in examples/engine are compiled twice into this program,
// traced and with NSP_DISABLE. Each copy exports only this table.
#ifndef NSP_BENCH_PATH_H
#define NSP_BENCH_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

// A message, in the form in which a socket delivers it.
typedef struct order_message {
    const uint8_t *bytes;
    size_t length;
} order_message;

typedef struct order_path {
    // What engine.h and life.h declare.
    bool (*init)(struct engine *engine, size_t max_orders, uint32_t account_count, const char *drop_copy);
    void (*free)(struct engine *engine);
    void (*withdraw_all)(struct engine *engine);
    void (*sample_lives)(void);
    // Processes the messages of one read. Only the answers to the last message stay in engine->stream.
    void (*work_off)(struct engine *engine, const order_message *messages, size_t count);
} order_path;

extern const order_path order_path_traced, order_path_untraced;

#endif
