// SPDX-License-Identifier: Apache-2.0
//
// Where nsp_thread_warm records spans that nobody sees.
#ifndef NSP_TRACE_WARM_H
#define NSP_TRACE_WARM_H

#include "trace/thread_state.h"

// Bytes of memory that each thread has for this. The memory begins on a page, and a forked child has a copy.
size_t nsp__warm_bytes(void);

// Prepares this memory (producer->discard) for the thread that is about to be attached.
void nsp__warm_prepare(nsp__producer *producer);

#endif
