// SPDX-License-Identifier: Apache-2.0
//
// Removes sessions of dead engines beyond a limit of count and bytes.
#ifndef NSP_OUTSIDE_PRUNE_H
#define NSP_OUTSIDE_PRUNE_H

#include <nanospan/base.h>

// user_directory: the folder that holds one user's sessions (".../nanospan-UID"). Sessions without anything
// to recover go first, and of these the oldest; then those with nothing but what `nanospan recover --speculative`
// exports; then the oldest of the others. One is removed only while its `consumer`
// lock is held, so those that somebody recovers or drains stay, like those of living engines. One of another
// version of nanospan, whose spans cannot be counted, is first named in the log, and removed the next time.
// Remains of engines that died while they created a session are always removed. Returns the number of removed
// sessions. What cannot be read or removed is left for the next engine.
unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes);

#endif
