// SPDX-License-Identifier: Apache-2.0
//
// The trading thread: takes one feed after the other, reads its messages, has them processed, sends the answers.
#ifndef ENGINE_GATEWAY_H
#define ENGINE_GATEWAY_H

#include <stdbool.h>

#include "engine/engine.h"

struct gateway {
    struct engine *engine;
    int listener;
    int cpu;       // to pin the thread to; -1: not pinned
    bool give_way; // hand the processor over after each empty poll: for machines with one
    bool once;     // end with the first feed
    bool stop;     // set by any thread, with __atomic_store_n
    bool done;     // set by the trading thread at its end
};

// The thread's function; argument: struct gateway. Returns NULL.
void *gateway_run(void *argument);

#endif
