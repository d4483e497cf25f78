// SPDX-License-Identifier: Apache-2.0
#include "outside/prune.h"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "base/log.h"
#include "shm/session_lock.h"

enum { SESSIONS_SEEN_MAX = 1024 };

typedef struct dead_session {
    char name[NAME_MAX + 1];
    uint64_t bytes;
    int64_t modified_ns;
} dead_session;

bool nsp__session_name_valid(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot != NULL && dot != name && strchr(dot + 1, '.') != NULL;
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

// A time in the future says nothing: the clock has been set back since.
static bool younger_than(const struct stat *status, int seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)now.tv_sec - (int64_t)status->st_mtim.tv_sec;
    return age < seconds && age > -seconds;
}

// While a session is created its name begins with a dot (session.c). Except for the first moment it is locked
// all that time, so one without a lock was left by an engine that died, unless it is very new.
static bool half_made(const char *name)
{
    return name[0] == '.' && nsp__session_name_valid(name + 1);
}

// True if the folder, which nobody has locked, is old enough to be removed.
static bool old_enough(int fd, const char *name, const struct stat *status)
{
    enum { HALF_MADE_SECONDS = 60, EMPTY_SECONDS = 2 };
    if (half_made(name))
        return !younger_than(status, HALF_MADE_SECONDS);
    // Earlier versions gave a session its final name first, and removed its locks before its folder.
    return faccessat(fd, "alive", F_OK, 0) == 0 || !younger_than(status, EMPTY_SECONDS);
}

static int open_session(int user_fd, const char *name)
{
    return nsp__open(user_fd, name, O_RDONLY | O_DIRECTORY, 0);
}

static bool examine(int user_fd, const char *name, dead_session *out)
{
    if (!half_made(name) && !nsp__session_name_valid(name))
        return false;
    int fd = open_session(user_fd, name);
    if (fd < 0)
        return false;
    struct stat status;
    bool dead = fstat(fd, &status) == 0 && nsp__session_lock_free(fd, "alive") &&
                nsp__session_lock_free(fd, "consumer") && old_enough(fd, name, &status);
    if (dead) {
        memset(out, 0, sizeof *out);
        snprintf(out->name, sizeof out->name, "%s", name);
        out->modified_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        out->bytes = nsp__session_bytes(fd);
    }
    nsp__close(fd);
    return dead;
}

static bool remove_session(int user_fd, const char *name)
{
    int fd = open_session(user_fd, name);
    if (fd < 0)
        return false;
    static const char *const files[] = {"control", "threads", "detached", "batches", "consumer", "alive"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlinkat(fd, files[i], 0);
    nsp__close(fd);
    return unlinkat(user_fd, name, AT_REMOVEDIR) == 0;
}

static int newest_first(const void *left, const void *right)
{
    const dead_session *a = left, *b = right;
    return a->modified_ns < b->modified_ns ? 1 : a->modified_ns > b->modified_ns ? -1 : 0;
}

// Removes the half-made sessions, so that the list holds only the others. Returns the number removed.
static unsigned remove_half_made(int user_fd, dead_session *dead, size_t *count)
{
    unsigned removed = 0;
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (!half_made(dead[i].name))
            dead[kept++] = dead[i];
        else if (remove_session(user_fd, dead[i].name))
            removed++;
    }
    *count = kept;
    return removed;
}

unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes)
{
    int user_fd = nsp__open(AT_FDCWD, user_directory, O_RDONLY | O_DIRECTORY, 0);
    DIR *directory = user_fd >= 0 ? fdopendir(user_fd) : NULL;
    if (directory == NULL) {
        nsp__close(user_fd);
        return 0;
    }
    dead_session *dead = malloc(SESSIONS_SEEN_MAX * sizeof *dead);
    size_t count = 0;
    struct dirent *entry;
    while (dead != NULL && count < SESSIONS_SEEN_MAX && (entry = readdir(directory)) != NULL)
        if (examine(user_fd, entry->d_name, &dead[count]))
            count++;
    unsigned removed = remove_half_made(user_fd, dead, &count);
    if (dead != NULL)
        qsort(dead, count, sizeof *dead, newest_first);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += dead[i].bytes;
        if ((i >= keep_sessions || bytes > keep_bytes) && remove_session(user_fd, dead[i].name))
            removed++;
    }
    if (removed != 0)
        nsp__log(NSP_LOG_INFO, "", "removed %u session%s of dead engines from %s", removed,
                 removed == 1 ? "" : "s", user_directory);
    free(dead);
    closedir(directory);
    return removed;
}
