// SPDX-License-Identifier: Apache-2.0
//
// The thread slots of a session: made, handed from thread to thread, retired. (nsp__trace_begin, nsp__trace_moving and
// nsp__trace_end, in producer.h, are here too.)
#ifndef NSP_TRACE_SLOTS_H
#define NSP_TRACE_SLOTS_H

#include "trace/producer.h"

// A slot for the calling thread, with a ring of so many bytes (rounded up to a power of two; 0: as configured): one that
// another thread left, else a new one, else one whose thread vanished, and then with what that left open. NULL with
// NSP_ERR_FULL or NSP_ERR_NO_MEMORY in *status.
nsp__producer *nsp__slot_take(uint64_t ring_bytes, nsp_status *status);

#endif
