// SPDX-License-Identifier: Apache-2.0
//
// One order message from start to end, traced. This is the file to copy from.
#ifndef ENGINE_PROCESS_H
#define ENGINE_PROCESS_H

#include <nanospan/nanospan.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

// Processes an order message. `received` is when its bytes were read; `start` is when its turn came, because
// the messages before it in the same read are processed first; 0 if it comes now. Returns the start of the next
// message: when this one was done, or 0 if it was not recorded, because then nobody has read the clock.
nsp_ticks process_order(struct engine *engine, const uint8_t *message, size_t length, nsp_ticks received,
                        nsp_ticks start);

// The same, traced by ordinary calls.
nsp_ticks process_order_by_calls(struct engine *engine, const uint8_t *message, size_t length,
                                 nsp_ticks received, nsp_ticks start);

// Whichever of these the engine is to use.
static inline nsp_ticks process_message(struct engine *engine, const uint8_t *message, size_t length,
                                        nsp_ticks received, nsp_ticks start)
{
    return engine->by_calls ? process_order_by_calls(engine, message, length, received, start)
                            : process_order(engine, message, length, received, start);
}

#endif
