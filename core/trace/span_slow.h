// SPDX-License-Identifier: Apache-2.0
//
// The uncommon ways of the thread's stack of spans: everything that begin, end and next of span.c do not handle.
#ifndef NSP_TRACE_SPAN_SLOW_H
#define NSP_TRACE_SPAN_SLOW_H

#include "trace/producer.h"

// Ends a recording span that is not the caller's innermost: detached, out of order, or misuse.
void nsp__end_elsewhere(nsp_span *span, nsp_ticks end);

// Goes on to a sibling where that is more than renaming the frame: a root, a remote parent, a tracestate, a detached
// span, or misuse.
nsp_span *nsp__next_elsewhere(nsp_span *span, nsp_name name, nsp_ticks at);

// Takes entered spans off the top of the stack that were ended elsewhere since: their frames may be those of other spans by
// now. False if there is none, so that the top is what it seems (or the session has ended).
bool nsp__drop_ended(nsp__producer *producer);

// Counts for a thread without a slot to count in: at this offset in nsp__control. Nothing happens without a session.
void nsp__count_unattached(size_t counter);

// Counts one misuse, for the calling thread if it is attached.
void nsp__misused(void);

// True if the handle is one of a frame (recording or not) rather than NULL or a sentinel.
static inline bool nsp__has_frame(const nsp_span *span)
{
    return (uintptr_t)span >= NSP__FRAME_ALIGN;
}

// True if the frame is open as this very span.
static inline bool nsp__span_open(const nsp_span *span)
{
    return __atomic_load_n(&nsp__frame_of(span)->tag, __ATOMIC_RELAXED) == (uint32_t)(uintptr_t)span;
}

#endif
