// SPDX-License-Identifier: Apache-2.0
//
// The pool of detached spans' frames.
#ifndef NSP_TRACE_DETACHED_H
#define NSP_TRACE_DETACHED_H

#include "trace/producer.h"

// A free frame for a detached span, or NULL. Wait-free. For the producer's own thread.
nsp__frame *nsp__detached_take(nsp__producer *producer);

// True if the frame is one of this pool's.
static inline bool nsp__detached_owned(const nsp__detached_pool *pool, const nsp__frame *frame)
{
    return (uintptr_t)frame - (uintptr_t)pool->frames < (uintptr_t)pool->count * pool->stride;
}

// Gives it back, from any thread, to the pool that it came from; nothing happens if that was another one. Wait-free.
void nsp__detached_release(const nsp__detached_pool *pool, nsp__frame *frame);

#endif
