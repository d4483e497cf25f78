// SPDX-License-Identifier: Apache-2.0
//
// The files of another process's session: opening them so that nothing in their place can do harm, reading
// them, locking them against other consumers, and removing them. Functions that fail leave errno set.
#ifndef NSP_OUTSIDE_SESSION_FILES_H
#define NSP_OUTSIDE_SESSION_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Opens the directory of a session. Whether it is ours is for the caller to check (nsp__ours_alone). -1 on
// failure, also if the name is a link or a file.
int nsp__session_open(int folder_fd, const char *name);

// Opens a file of a session for reading, or for writing too, and returns its size. -1 on failure; EINVAL: it
// is no regular file; EACCES: it belongs to somebody else. Does not wait for the writer of a pipe.
int nsp__session_file_open(int directory, const char *file, bool for_writing, uint64_t *size);

static inline uint64_t nsp__least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// True if the part lies within this size.
bool nsp__within(uint64_t size, uint64_t offset, uint64_t bytes);

// Reads exactly this many bytes. False if there are fewer, with errno 0, or if reading fails.
bool nsp__read_at(int fd, void *out, size_t bytes, uint64_t offset);
// Writes exactly this many bytes, within the size that the file has: it never grows.
bool nsp__write_at(int fd, const void *bytes, size_t length, uint64_t offset);

// Writes a small file of a session, which takes its place when it is complete, so that what was there before
// is not lost where there is no room for another file. It is a new file, since what lies in its place could
// be anything. new_file: its name until then.
bool nsp__session_file_replace(int directory, const char *file, const char *new_file, const void *bytes,
                               size_t length);

// The memory that the files of a session take, in bytes.
uint64_t nsp__session_bytes(int directory);

// Takes the lock of the session's consumer, so that nobody else prunes, recovers or drains the session. It is
// held until nsp__session_unlock, or until the process ends. Returns what holds it, or -1 with errno EAGAIN
// if somebody else does: the engine itself, if it is alive. ENOENT: the session has no such file, because its
// engine died first. Others: it cannot be locked, so nobody may work on it.
int nsp__session_consume(int directory);
// -1 does nothing.
void nsp__session_unlock(int lock);

// Removes a session, open as `directory`, or the remains of one, with all files that belong to it. The caller
// holds its consumer's lock. What somebody else has put there stays, in a directory whose name begins with a
// dot. False with errno set if the session, or what remained of it, is still there.
bool nsp__session_remove(int folder_fd, const char *name, int directory);

#endif
