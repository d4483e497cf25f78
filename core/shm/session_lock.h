// SPDX-License-Identifier: Apache-2.0
//
// The files `alive` and `consumer` of a session, which are locked as long as somebody is at work.
//
// The lock belongs to the open file description (F_OFD_SETLK), not to the process, so a second copy of the library in the
// same process cannot give it up by opening and closing the file. And it is held by a mapping, not by a descriptor: it lasts
// until the page is unmapped, the process runs another program, or ends, however many descriptors the application
// closes. Children of fork do not have the page, so none of them holds the lock for a parent that has died.
#ifndef NSP_SHM_SESSION_LOCK_H
#define NSP_SHM_SESSION_LOCK_H

#include <nanospan/base.h>

// Makes the file in the folder and locks it. What holds the lock; NULL with errno.
void *nsp__session_lock_make(int directory, const char *file);

// Gives the lock up. NULL is none. Not for the child of a fork, which has none of its parent's.
void nsp__session_lock_release(void *lock);

// Locks the first byte of a file that is open for writing, until the descriptor is closed. False: somebody else still has it
// at the deadline (CLOCK_MONOTONIC ns). Where the file system has no locks there is nobody to keep out: true. Tries at
// least once.
bool nsp__file_lock_until(int fd, uint64_t deadline_ns);

// True if nobody holds this lock file of a session (`alive`, `consumer`), or it does not exist. Sees the locks of this
// very process too, and the record locks of earlier versions.
bool nsp__session_lock_free(int directory, const char *file);

#endif
