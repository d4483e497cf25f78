// SPDX-License-Identifier: Apache-2.0
//
// Removes sessions whose engine is dead, oldest first, beyond a bound of count and bytes.
#ifndef NSP_STORE_SESSION_PRUNE_H
#define NSP_STORE_SESSION_PRUNE_H

#include <nanospan/base.h>

// user_directory: the folder that holds one user's sessions (".../nanospan-UID"). Sessions with a live engine
// (`alive` is locked) or a consumer at work (`consumer` is locked) stay. Returns the number removed.
unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes);

// Can it be the name of a session's directory?
bool nsp__session_name_valid(const char *name);

// True if nobody holds this lock file of a session (`alive`, `consumer`), or it does not exist. Not for the process's own
// session: closing a file gives up the locks that the same process has on it.
bool nsp__session_lock_free(int directory, const char *file);

// Memory that the files of a session take.
uint64_t nsp__session_bytes(int directory);

// True if the file is locked by another process.
bool nsp__file_locked(int fd);

#endif
