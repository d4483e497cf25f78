// SPDX-License-Identifier: Apache-2.0
//
// The example engine's order path. Its sources in examples/engine are compiled twice into this program, traced and with
// NSP_DISABLE, each with all of its names hidden but this table.
#ifndef NSP_BENCH_PATH_H
#define NSP_BENCH_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

// As it came from a socket.
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
    // Works off messages that one read has brought. The answers to the last one stay in engine->stream; each of the ones
    // before it has made room for the next.
    void (*work_off)(struct engine *engine, const order_message *messages, size_t count);
} order_path;

extern const order_path order_path_traced, order_path_untraced;

#endif
