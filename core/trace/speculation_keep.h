// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_TRACE_SPECULATION_KEEP_H
#define NSP_TRACE_SPECULATION_KEEP_H

#include "trace/thread_state.h"

// Takes back the trace of the speculative root in this frame, and closes the frame. With the producer busy.
void nsp__speculation_take_back(nsp__producer *producer, nsp__frame *frame);

// Puts the trace of the speculative root in this frame into the thread's ring, and closes the frame. apart: the frame is
// one of a detached root. why: the value of `nanospan.kept`. With the producer busy and the pen at the ring.
void nsp__speculation_keep(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, bool apart,
                           const char *why);

// Commits a ruled root that was sampled, with that value if why is not NULL, and closes the frame.
void nsp__speculation_commit(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, const char *why);

#endif
