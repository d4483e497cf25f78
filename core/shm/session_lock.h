// SPDX-License-Identifier: Apache-2.0
//
// The files `alive` and `consumer` of a session, which are locked while their owner is at work.
//
// The lock belongs to the open file description (F_OFD_SETLK), not to the process, so a second copy of the
// library in the same process cannot release it by opening and closing the file. It is held by a mapping, not
// by a descriptor: it lasts until the page is unmapped, the process executes another program, or ends,
// however many descriptors the application closes. Children of fork do not have the page, so none of them
// holds the lock for a parent that has died.
#ifndef NSP_SHM_SESSION_LOCK_H
#define NSP_SHM_SESSION_LOCK_H

#include <nanospan/base.h>

// Creates the file in the folder and locks it. Returns what holds the lock, or NULL with errno set.
void *nsp__session_lock_make(int directory, const char *file);

// Releases the lock; NULL does nothing. Not for the child of a fork, which does not have its parent's lock.
void nsp__session_lock_release(void *lock);

// Locks the first byte of a file that is open for writing, until the descriptor is closed. Waits for other
// holders until the deadline (CLOCK_MONOTONIC ns), and tries at least once. False if somebody still holds it
// then. True also if the file system has no locks, because then there is nobody to keep out.
bool nsp__file_lock_until(int fd, uint64_t deadline_ns);

// True if nobody holds this lock file of a session (`alive`, `consumer`), or if it does not exist. Also sees
// the locks of the calling process, and the record locks of earlier versions.
bool nsp__session_lock_free(int directory, const char *file);

#endif
