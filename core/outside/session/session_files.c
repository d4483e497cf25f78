// SPDX-License-Identifier: Apache-2.0
#include "outside/session/session_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "outside/session/folder.h"
#include "shm/session_lock.h"

int nsp__session_open(int folder_fd, const char *name)
{
    return nsp__open(folder_fd, name, O_RDONLY | O_DIRECTORY, 0);
}

int nsp__session_file_open(int directory, const char *file, bool for_writing, uint64_t *size)
{
    *size = 0;
    int fd = nsp__open(directory, file, (for_writing ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY, 0);
    struct stat status;
    if (fd < 0)
        return -1;
    errno = 0;
    if (fstat(fd, &status) == 0 && !S_ISREG(status.st_mode))
        errno = EINVAL;
    else if (errno == 0 && status.st_uid != geteuid())
        errno = EACCES;
    if (errno != 0) {
        nsp__close(fd);
        return -1;
    }
    *size = (uint64_t)status.st_size;
    return fd;
}

bool nsp__within(uint64_t size, uint64_t offset, uint64_t bytes)
{
    return offset <= size && bytes <= size - offset;
}

bool nsp__read_at(int fd, void *out, size_t bytes, uint64_t offset)
{
    uint8_t *to = out;
    errno = 0;
    while (bytes != 0) {
        ssize_t got = pread(fd, to, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        bytes -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

bool nsp__write_at(int fd, const void *bytes, size_t length, uint64_t offset)
{
    const uint8_t *from = bytes;
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    if (!nsp__within((uint64_t)status.st_size, offset, length)) {
        errno = EFBIG;
        return false;
    }
    while (length != 0) {
        ssize_t put = pwrite(fd, from, length, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        from += put;
        length -= (size_t)put;
        offset += (uint64_t)put;
    }
    return true;
}

bool nsp__session_file_replace(int directory, const char *file, const char *new_file, const void *bytes,
                               size_t length)
{
    unlinkat(directory, new_file, 0);
    int fd = nsp__open(directory, new_file, O_WRONLY | O_CREAT | O_EXCL, 0600);
    errno = fd >= 0 ? ENOSPC : errno; // of a part that was written
    bool written = fd >= 0 && write(fd, bytes, length) == (ssize_t)length &&
                   renameat(directory, new_file, directory, file) == 0;
    int error = errno;
    nsp__close(fd);
    if (!written)
        unlinkat(directory, new_file, 0);
    errno = error;
    return written;
}

uint64_t nsp__session_bytes(int directory)
{
    static const char *const files[] = {"control", "threads", "detached", "batches"};
    uint64_t bytes = 0;
    struct stat status;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (fstatat(directory, files[i], &status, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)status.st_blocks * 512;
    return bytes;
}

int nsp__session_consume(int directory)
{
    uint64_t size;
    int fd = nsp__session_file_open(directory, "consumer", true, &size);
    if (fd < 0 || nsp__file_lock_until(fd, 0))
        return fd;
    int error = errno;
    nsp__close(fd);
    errno = error;
    return -1;
}

// The lock is released first, because a child that was forked meanwhile shares it until it closes its copy.
void nsp__session_unlock(int lock)
{
    int error = errno;
    if (lock >= 0)
        fcntl(lock, F_OFD_SETLK, &(struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET});
    errno = error;
    nsp__close(lock);
}

// Its name goes first, so that a removal that is cut short leaves what nobody takes for a session, and the locks
// go last: until then, everybody sees that somebody is at work.
bool nsp__session_remove(int folder_fd, const char *name, int directory)
{
    static const char *const files[] = {"control",  "threads",     "detached",   "batches",
                                        "attempts", "settling",    "sending",    "attempts.new",
                                        "written",  "written.new", "settlement", "settlement.new",
                                        "told",     "consumer",    "alive"};
    char nameless[NAME_MAX + 2] = ".";
    const bool named = !nsp__session_name_half_made(name);
    memcpy(nameless + named, name, strnlen(name, NAME_MAX));
    if (named && renameat(folder_fd, name, folder_fd, nameless) != 0)
        return false;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlinkat(directory, files[i], 0);
    // Somebody else may have removed the last of it.
    return unlinkat(folder_fd, nameless, AT_REMOVEDIR) == 0 || errno == ENOENT ||
           (named && errno == ENOTEMPTY);
}
