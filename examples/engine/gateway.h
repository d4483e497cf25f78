// SPDX-License-Identifier: Apache-2.0
//
// The trading thread: accepts one feed after the other, reads and processes its messages, and sends the
// answers.
#ifndef ENGINE_GATEWAY_H
#define ENGINE_GATEWAY_H

#include <stdbool.h>

#include "engine/engine.h"

struct gateway {
    struct engine *engine;
    int listener;
    int cpu;       // the thread is pinned to it; -1: not pinned
    bool give_way; // yield after each empty poll: for machines with one processor
    bool once;     // end when the first feed disconnects
    bool stop;     // set by any thread, with __atomic_store_n
    bool done;     // set by the trading thread at its end
};

// The thread's function; argument: struct gateway. Returns NULL.
void *gateway_run(void *argument);

#endif
