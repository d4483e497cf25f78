// SPDX-License-Identifier: Apache-2.0
#include "shm/session_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
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

bool nsp__session_lock_offer(int directory, const char *file)
{
    int fd = nsp__open(directory, file, O_RDWR | O_CREAT | O_EXCL, 0600);
    nsp__close(fd);
    return fd >= 0;
}

void nsp__session_lock_release(void *lock)
{
    int error = errno;
    // A part of a huge page cannot be unmapped.
    if (lock != NULL && munmap(lock, page_size(-1)) != 0 && errno == EINVAL)
        munmap(lock, NSP__HUGE_PAGE);
    errno = error;
}

// Polls: a lock that is waited for without a limit would keep an engine from starting.
int nsp__sessions_creating_begin(const char *sessions_directory)
{
    const uint64_t deadline_ns = nsp__monotonic_ns() + NSP__SECOND;
    int fd = nsp__open(AT_FDCWD, sessions_directory, O_RDONLY | O_DIRECTORY, 0);
    while (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || nsp__monotonic_ns() >= deadline_ns) {
            nsp__close(fd);
            return -1;
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)NSP__MILLISECOND}, NULL);
    }
    return fd;
}

// Released first, because a child that was forked meanwhile shares it until it closes its copy.
void nsp__sessions_creating_end(int creating)
{
    if (creating < 0)
        return;
    int error = errno;
    flock(creating, LOCK_UN);
    nsp__close(creating);
    errno = error;
}

bool nsp__sessions_creating_deny(int folder_fd)
{
    return flock(folder_fd, LOCK_EX | LOCK_NB) == 0;
}

void nsp__sessions_creating_allow(int folder_fd)
{
    flock(folder_fd, LOCK_UN);
}

// Polls, since fcntl has no call that waits for a limited time.
bool nsp__file_lock_until(int fd, uint64_t deadline_ns)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return false;
        if (nsp__monotonic_ns() >= deadline_ns) {
            errno = EAGAIN;
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)NSP__MILLISECOND}, NULL);
    }
    return true;
}

void nsp__file_unlock(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_len = 1};
    fcntl(fd, F_OFD_SETLK, &lock);
}

bool nsp__file_lock_free(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

bool nsp__session_lock_free(int directory, const char *file)
{
    int fd = nsp__open(directory, file, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return errno == ENOENT; // its engine died between the folder and its files
    bool is_free = nsp__file_lock_free(fd);
    nsp__close(fd);
    return is_free;
}
