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

// Creates the file without locking it, for another process to lock. False with errno set.
bool nsp__session_lock_offer(int directory, const char *file);

// Releases the lock; NULL does nothing. Not for the child of a fork, which does not have its parent's lock.
void nsp__session_lock_release(void *lock);

// While an engine makes the folder of its session, and the session has no lock of its own yet, it shares a
// lock of the folder that holds this user's sessions. Whoever has that lock alone knows that no half-made
// session without a lock of its own belongs to a living engine: one that is made later was not there to be
// seen. The kernel releases it when its holder dies. Where the file system has no such locks, nobody ever has
// it alone.
//
// Returns what shares the lock, or -1: the engine goes on without it, for instance because somebody who
// removes remains holds it for longer than a second. Then its half-made session may be removed, and it uses
// private memory.
int nsp__sessions_creating_begin(const char *sessions_directory);
void nsp__sessions_creating_end(int creating);
// Tries to take the lock alone, of the open folder; nsp__sessions_creating_allow releases it. False: somebody
// creates a session, or removes remains.
bool nsp__sessions_creating_deny(int folder_fd);
void nsp__sessions_creating_allow(int folder_fd);

// Locks the first byte of a file that is open for writing, until the descriptor is closed. Waits for other
// holders until the deadline (CLOCK_MONOTONIC ns), and tries at least once. False with errno EAGAIN if
// somebody still holds it then, and with another errno if there can be no lock, for example in a file system
// without any.
bool nsp__file_lock_until(int fd, uint64_t deadline_ns);
void nsp__file_unlock(int fd); // before that

// True if nobody holds this lock file of a session (`alive`, `consumer`), or if it does not exist. Also sees
// the locks of the calling process, and the record locks of earlier versions. False leaves errno as it is if
// somebody holds it, and otherwise sets it to why nobody can tell.
bool nsp__session_lock_free(int directory, const char *file);

// The same of a file that is open, whether or not its name is still there.
bool nsp__file_lock_free(int fd);

#endif
