// SPDX-License-Identifier: Apache-2.0
//
// The allocator of gcc 12's address sanitizer has locks that a fork copies in the state they are in. If a
// thread allocates at that moment (one that has just been started, for example), its lock stays held in the
// child for ever. So in tests a fork waits until the other threads sleep, which no thread does while it holds
// such a lock.
#include "support/sanitizer.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

bool sanitizer_forks_wait = true;

#if TEST_UNDER_ASAN

// True also if the thread has ended meanwhile.
static bool sleeps(int tasks, const char *task)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "%.20s/stat", task);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = 0;
    const char *state = strrchr(text, ')');
    return state == NULL || strchr("RD", state[2]) == NULL;
}

static bool others_sleep(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return true; // it cannot be found out
    bool sleep = true;
    long self = syscall(SYS_gettid);
    for (const struct dirent *task; sleep && (task = readdir(tasks)) != NULL;)
        sleep = atol(task->d_name) <= 0 || atol(task->d_name) == self || sleeps(dirfd(tasks), task->d_name);
    closedir(tasks);
    return sleep;
}

// Waits at most a second, because a test may have a thread that never sleeps.
static void wait_for_others(void)
{
    for (int tries = 0; sanitizer_forks_wait && tries < 1000 && !others_sleep(); tries++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

// Registered early, so that it runs after the library's handler, which wakes and waits for other threads.
__attribute__((constructor(101))) static void make_forks_wait(void)
{
    pthread_atfork(wait_for_others, NULL, NULL);
}

#endif
