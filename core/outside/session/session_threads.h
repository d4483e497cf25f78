// SPDX-License-Identifier: Apache-2.0
//
// The threads of another process's session.
#ifndef NSP_OUTSIDE_SESSION_THREADS_H
#define NSP_OUTSIDE_SESSION_THREADS_H

#include <nanospan/inspect.h>

#include "outside/session/session_copy.h"

// Fills `out`, which has room for copy->slot_count of them, with what the copy says of its threads; returns their
// number. open: by slot, from nsp__session_stats, which comes before. Their names are valid as long as the copy.
size_t nsp__session_threads(const nsp__session_copy *copy, const uint32_t *open, nsp_session_thread *out);

#endif
