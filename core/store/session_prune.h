// SPDX-License-Identifier: Apache-2.0
//
// Removes sessions whose engine is dead, oldest first, beyond a bound of count and bytes.
#ifndef NSP_STORE_SESSION_PRUNE_H
#define NSP_STORE_SESSION_PRUNE_H

#include <nanospan/base.h>

// user_directory: the folder that holds one user's sessions (".../nanospan-UID"). Sessions with a live engine
// (`alive` is locked) or a consumer at work (`consumer` is locked) stay. Returns the number removed.
unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes);

// True if the file is locked by another process.
bool nsp__file_locked(int fd);

#endif
