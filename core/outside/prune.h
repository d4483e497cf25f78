// SPDX-License-Identifier: Apache-2.0
//
// Removes sessions whose engine is dead, oldest first, beyond a bound of count and bytes.
#ifndef NSP_OUTSIDE_PRUNE_H
#define NSP_OUTSIDE_PRUNE_H

#include <nanospan/base.h>

// user_directory: the folder that holds one user's sessions (".../nanospan-UID"). Sessions with a live engine
// (`alive` is locked) or a consumer at work (`consumer` is locked) stay. What engines left that died while they made a
// session goes in any case. Returns the number removed.
unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes);

// Can it be the name of a session's directory?
bool nsp__session_name_valid(const char *name);

// Memory that the files of a session take.
uint64_t nsp__session_bytes(int directory);

#endif
