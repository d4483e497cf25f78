// SPDX-License-Identifier: Apache-2.0
//
// What a dead engine's threads had not overwritten of the traces that they took back.
#ifndef NSP_OUTSIDE_SESSION_HISTORY_H
#define NSP_OUTSIDE_SESSION_HISTORY_H

#include "outside/session/session_copy.h"

// The bytes of the records in history, of all threads. Nobody writes the session any more.
uint64_t nsp__session_history_bytes(const nsp__session_copy *copy);

#endif
