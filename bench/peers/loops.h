// SPDX-License-Identifier: Apache-2.0
//
// The loops of the peers that are written in C or C++. Both call the peer's two operations, which the compiler
// inlines here because it knows which functions they are.
#ifndef NSP_BENCH_PEER_LOOPS_H
#define NSP_BENCH_PEER_LOOPS_H

#include "harness/ticks.h"
#include "peers/peer.h"

#define PEER_LOOP static inline __attribute__((always_inline)) void

typedef void (*peer_span0)(void);
typedef void (*peer_span3)(int64_t quantity); // a different quantity each time

PEER_LOOP peer_run_loop(int operation, size_t count, peer_span0 span0, peer_span3 span3)
{
    if (operation == PEER_SPAN0)
        for (size_t i = 0; i < count; i++)
            span0();
    else
        for (size_t i = 0; i < count; i++)
            span3((int64_t)i);
}

PEER_LOOP peer_sample_loop(int operation, uint32_t *ticks, size_t count, peer_span0 span0, peer_span3 span3)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t from = ticks_fenced();
        if (operation == PEER_SPAN0)
            span0();
        else
            span3((int64_t)i);
        uint64_t took = ticks_fenced() - from;
        ticks[i] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    }
}

#endif
