// SPDX-License-Identifier: Apache-2.0
//
// The thread slots of a session: made, handed from thread to thread, retired.
#ifndef NSP_TRACE_SLOTS_H
#define NSP_TRACE_SLOTS_H

#include "shm/session.h"
#include "trace/thread_state.h"

// Returns a slot for the calling thread, with a ring of this many bytes (rounded up to a power of two; 0: as
// configured): one that another thread left, otherwise a new one, otherwise one whose thread vanished, with
// the spans that it left open. NULL with NSP_ERR_FULL or NSP_ERR_NO_MEMORY in *status.
nsp__producer *nsp__slot_take(uint64_t ring_bytes, nsp_status *status);

// Begins to work on a session, without any producers. Called with tracing inactive.
void nsp__trace_begin(nsp__session *session, const nsp_config *config);
// True if some thread is in the middle of beginning or ending a span: its counters do not add up then.
bool nsp__trace_moving(void);
// Ends it: retires all slots. Threads notice at their next root.
void nsp__trace_end(void);

#endif
