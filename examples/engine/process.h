// SPDX-License-Identifier: Apache-2.0
//
// One order message from start to end, traced. This is the file to copy from.
#ifndef ENGINE_PROCESS_H
#define ENGINE_PROCESS_H

#include <nanospan/nanospan.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

// Works off an order message. `received` is when its bytes were read, `start` when its turn came: the message before it
// in the same read had to be finished first. Returns when it was done, which is the next one's start.
nsp_ticks process_order(struct engine *engine, const uint8_t *message, size_t length, nsp_ticks received,
                        nsp_ticks start);

#endif
