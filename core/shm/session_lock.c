// SPDX-License-Identifier: Apache-2.0
#include "shm/session_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/paging.h"
#include "base/testpoint.h"
#include "common/descriptor.h"
#include "common/time.h"

// Any size will do: nobody may touch the page, which lies beyond the end of an empty file. In a hugetlbfs it
// is a huge page.
static size_t page_size(int fd)
{
    return nsp__paging_in_hugetlbfs(fd) ? NSP__HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE);
}

void *nsp__session_lock_make(int directory, const char *file)
{
    int fd = nsp__open(directory, file, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return NULL;
    NSP__TESTPOINT("session: before it is locked");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    void *page = MAP_FAILED;
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        page = mmap(NULL, page_size(fd), PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (page != MAP_FAILED && madvise(page, page_size(fd), MADV_DONTFORK) != 0) {
        nsp__session_lock_release(page);
        page = MAP_FAILED;
    }
    nsp__close(fd);
    return page != MAP_FAILED ? page : NULL;
}

void nsp__session_lock_release(void *lock)
{
    int error = errno;
    // A part of a huge page cannot be unmapped.
    if (lock != NULL && munmap(lock, page_size(-1)) != 0 && errno == EINVAL)
        munmap(lock, NSP__HUGE_PAGE);
    errno = error;
}

// Polls, since fcntl has no call that waits for a limited time.
bool nsp__file_lock_until(int fd, uint64_t deadline_ns)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return true;
        if (nsp__monotonic_ns() >= deadline_ns)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = (long)NSP__MILLISECOND}, NULL);
    }
    return true;
}

bool nsp__session_lock_free(int directory, const char *file)
{
    int fd = nsp__open(directory, file, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return errno == ENOENT; // its engine died between the folder and its files
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool is_free = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
    nsp__close(fd);
    return is_free;
}
