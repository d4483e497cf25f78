// SPDX-License-Identifier: Apache-2.0
//
// Removes sessions of dead engines, oldest first, beyond a limit of count and bytes.
#ifndef NSP_OUTSIDE_PRUNE_H
#define NSP_OUTSIDE_PRUNE_H

#include <nanospan/base.h>

// user_directory: the folder that holds one user's sessions (".../nanospan-UID"). Sessions with a live engine
// (`alive` is locked) or a working consumer (`consumer` is locked) stay. Remains of engines that died while
// they created a session are always removed. Returns the number of removed sessions. What cannot be read or
// removed is left for the next engine.
unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes);

// True if this can be the name of a session's directory.
bool nsp__session_name_valid(const char *name);

// The memory that the files of a session take, in bytes.
uint64_t nsp__session_bytes(int directory);

#endif
