// SPDX-License-Identifier: Apache-2.0
#include "store/session_prune.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { SESSIONS_SEEN_MAX = 1024 };

typedef struct dead_session {
    char name[NAME_MAX + 1];
    uint64_t bytes;
    int64_t modified_ns;
} dead_session;

bool nsp__file_locked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

bool nsp__session_name_valid(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot != NULL && dot != name && strchr(dot + 1, '.') != NULL;
}

bool nsp__session_lock_free(int directory, const char *file)
{
    int fd = openat(directory, file, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT; // died between the folder and its files
    bool locked = nsp__file_locked(fd);
    close(fd);
    return !locked;
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

// A young folder may belong to an engine that is just about to lock it.
static bool too_young(const struct stat *status)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - status->st_ctim.tv_sec < 2;
}

static bool examine(int user_fd, const char *name, dead_session *out)
{
    if (!nsp__session_name_valid(name))
        return false;
    int fd = openat(user_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat status;
    bool dead = fstat(fd, &status) == 0 && nsp__session_lock_free(fd, "alive") &&
                nsp__session_lock_free(fd, "consumer");
    if (dead && faccessat(fd, "alive", F_OK, 0) != 0 && too_young(&status))
        dead = false;
    if (dead) {
        memset(out, 0, sizeof *out);
        snprintf(out->name, sizeof out->name, "%s", name);
        out->modified_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        out->bytes = nsp__session_bytes(fd);
    }
    close(fd);
    return dead;
}

static bool remove_session(int user_fd, const char *name)
{
    int fd = openat(user_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    static const char *const files[] = {"control", "threads", "detached", "batches", "consumer", "alive"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlinkat(fd, files[i], 0);
    close(fd);
    return unlinkat(user_fd, name, AT_REMOVEDIR) == 0;
}

static int newest_first(const void *left, const void *right)
{
    const dead_session *a = left, *b = right;
    return a->modified_ns < b->modified_ns ? 1 : a->modified_ns > b->modified_ns ? -1 : 0;
}

// Called before this process makes a session: it has none then whose locks could be lost by opening and closing its
// files. So a session with this process's pid in its name is another container's, or dead.
unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes)
{
    DIR *directory = opendir(user_directory);
    if (directory == NULL)
        return 0;
    dead_session *dead = malloc(SESSIONS_SEEN_MAX * sizeof *dead);
    size_t count = 0;
    unsigned removed = 0;
    struct dirent *entry;
    while (dead != NULL && count < SESSIONS_SEEN_MAX && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.' && examine(dirfd(directory), entry->d_name, &dead[count]))
            count++;
    if (dead != NULL)
        qsort(dead, count, sizeof *dead, newest_first);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += dead[i].bytes;
        if ((i >= keep_sessions || bytes > keep_bytes) && remove_session(dirfd(directory), dead[i].name))
            removed++;
    }
    if (removed != 0)
        nsp__log(NSP_LOG_INFO, "", "removed %u session%s of dead engines from %s", removed,
                 removed == 1 ? "" : "s", user_directory);
    free(dead);
    closedir(directory);
    return removed;
}
