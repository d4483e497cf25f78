// SPDX-License-Identifier: Apache-2.0
//
// What paths do on the less usual ways.
#ifndef NSP_TRACE_PATH_SPECIAL_H
#define NSP_TRACE_PATH_SPECIAL_H

#include "trace/thread_state.h"

// The end of a path that is not on top of the thread's stack in its own frame, or no longer open.
void nsp__path_end_elsewhere(void *path, nsp_ticks end);

// After nsp__commit has failed for a path whose phases are counted: makes room if it can, tries again, and closes the
// frame.
void nsp__path_commit_after_all(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, uint32_t phases);

// The room of a path that does not record and stands for this span. detached: the path may go to other threads.
void *nsp__path_room_for(nsp_span *span, bool detached);

// Makes the calling thread's room for paths that do not record, unless it has some.
void nsp__path_scratch_prepare(void);

#endif
