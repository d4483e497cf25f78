// SPDX-License-Identifier: Apache-2.0
//
// Descriptors of ours are never one of the standard ones: where the application has closed those, its output would go into
// them.
#ifndef NSP_DESCRIPTOR_H
#define NSP_DESCRIPTOR_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

// Takes a descriptor over from its number, if that is 0 to 2, to a higher one. -1 with errno where there is none, or fd is
// -1 already.
static inline int nsp__above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), error = errno;
    close(fd);
    errno = error;
    return higher;
}

#endif
