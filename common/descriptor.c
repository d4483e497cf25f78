// SPDX-License-Identifier: Apache-2.0
#include "common/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void nsp__close(int fd)
{
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
}

// For the moment between the two calls, fd is one of the standard numbers, and this cannot be avoided simply.
// The kernel always gives out the lowest free number, also to accept, F_DUPFD's source and descriptors that
// come over a socket. Placeholders would take the same numbers from the application for longer: if it closes
// 0 and opens another file to get that number, as daemons do, it would get a different one. A descriptor
// table of its own for our threads (CLONE_FILES) would hide the application's descriptors from its log
// callback and from the console exporter.
int nsp__above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    nsp__close(fd);
    return higher;
}

void nsp__standard_hold(int held[NSP__STANDARD_DESCRIPTORS])
{
    for (int i = 0; i < NSP__STANDARD_DESCRIPTORS; i++)
        held[i] = -1;
    for (int i = 0; i < NSP__STANDARD_DESCRIPTORS; i++)
        if (fcntl(i, F_GETFD) < 0 && (held[i] = open("/", O_PATH | O_CLOEXEC)) > STDERR_FILENO) {
            nsp__close(held[i]); // another thread has opened it in the meantime
            held[i] = -1;
        }
}

void nsp__standard_release(const int held[NSP__STANDARD_DESCRIPTORS])
{
    for (int i = 0; i < NSP__STANDARD_DESCRIPTORS; i++)
        nsp__close(held[i]);
}

int nsp__open(int at, const char *path, int flags, mode_t mode)
{
    int fd = nsp__above_standard(openat(at, path, flags | O_NOFOLLOW | O_CLOEXEC, mode));
    // The umask may have removed permissions that the owner needs.
    if (fd >= 0 && (flags & O_CREAT) != 0 && fchmod(fd, mode) != 0) {
        nsp__close(fd);
        return -1;
    }
    return fd;
}

bool nsp__file_identify(int fd, nsp__file_id *id)
{
    struct stat status;
    // Not fstat, which ThreadSanitizer counts as a use of whatever file another thread may have opened under
    // this number: to find that out is what this function is for.
    if (fstatat(fd, "", &status, AT_EMPTY_PATH) != 0)
        return false;
    *id = (nsp__file_id){status.st_dev, status.st_ino};
    return true;
}

int nsp__open_again(const char *path, int flags, const nsp__file_id *id)
{
    // O_NONBLOCK: a pipe that has taken the name must not block us.
    int fd = nsp__open(AT_FDCWD, path, flags | O_NONBLOCK, 0);
    nsp__file_id found;
    if (fd < 0)
        return -1;
    if (nsp__file_identify(fd, &found) && found.device == id->device && found.inode == id->inode)
        return fd;
    nsp__close(fd);
    errno = ESTALE;
    return -1;
}
