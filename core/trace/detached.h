// SPDX-License-Identifier: Apache-2.0
//
// The pools of detached spans' frames.
#ifndef NSP_TRACE_DETACHED_H
#define NSP_TRACE_DETACHED_H

#include "trace/thread_state.h"

// Takes a free frame for a detached span, from the producer's `recorded` or `unsampled` places; NULL if there
// is none. Wait-free. For the producer's own thread.
nsp__frame *nsp__detached_take(nsp__producer *producer, nsp__detached_places *places);

// True if the frame belongs to one of the pools that the producer works on.
bool nsp__detached_owned(const nsp__producer *producer, const nsp__frame *frame);

// Gives a frame back to the pool that it came from. Any thread may do so, with any producer of the frame's
// session; with a producer of another session, nothing happens. Wait-free.
void nsp__detached_release(const nsp__producer *producer, nsp__frame *frame);

#endif
