// SPDX-License-Identifier: Apache-2.0
#include "support/threads.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

bool other_threads_sleep(void)
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
