// SPDX-License-Identifier: Apache-2.0
#include "base/alone.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/thread_start.h"
#include "common/descriptor.h"

// The C library gives each thread a list of robust mutexes when it starts, and the kernel clears it when the
// thread ends. Asking for it opens no descriptor, so a program that closes descriptor 0 to get that number
// from its next open is not disturbed. False: unknown.
static bool main_thread_lives(void)
{
    void *list = NULL;
    size_t size;
    return syscall(SYS_get_robust_list, getpid(), &list, &size) == 0 && list != NULL;
}

// Reads a small file of /proc/self/task as text.
static bool read_file(int folder, const char *task, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%.20s/%s", task, file);
    int fd = nsp__open(folder, path, O_RDONLY, 0);
    ssize_t length = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

// True if the task has ended but is still listed, as the main thread is until the process ends.
static bool has_ended(int folder, const char *task)
{
    char text[128];
    if (!read_file(folder, task, "stat", text, sizeof text))
        return true; // the task is gone
    const char *state = strrchr(text, ')');
    return state != NULL && (state[2] == 'Z' || state[2] == 'X');
}

// True for threads of all copies of this library. They are known by their names, which the threads that they
// start, such as libcurl's resolver, inherit.
static bool is_ours(int folder, const char *task, bool *collector)
{
    char name[32];
    if (!read_file(folder, task, "comm", name, sizeof name))
        return has_ended(folder, task);
    *collector = strncmp(name, "nsp-collector", 13) == 0;
    return *collector || strncmp(name, "nsp-sender", 10) == 0;
}

// True if only threads of ours are alive and the calling thread is the one that ends the process: of all
// copies of the library, the collector with the lowest thread id, or the sender with the lowest one if there
// is no collector.
static bool alone_and_first(void)
{
    pid_t first_collector = 0, first = 0, self = (pid_t)syscall(SYS_gettid);
    int folder = nsp__open(AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY, 0);
    DIR *tasks = folder >= 0 ? fdopendir(folder) : NULL;
    if (tasks == NULL) {
        nsp__close(folder);
        return false;
    }
    bool ours = true;
    for (const struct dirent *task; ours && (task = readdir(tasks)) != NULL;) {
        pid_t number = (pid_t)atoi(task->d_name);
        bool collector = false;
        if (number <= 0 || (number == getpid() && has_ended(dirfd(tasks), task->d_name)))
            continue;
        ours = is_ours(dirfd(tasks), task->d_name, &collector);
        if (collector && (first_collector == 0 || number < first_collector))
            first_collector = number;
        if (first == 0 || number < first)
            first = number;
    }
    closedir(tasks);
    return ours && self == (first_collector != 0 ? first_collector : first);
}

// Does what the C library does when the last thread of a process ends. Signals are not blocked, because no
// other thread is left to take them.
static void *end_process(void *argument)
{
    (void)argument;
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    exit(0);
}

void nsp__alone_check(void)
{
    static bool ending; // atomic
    if (main_thread_lives() || !alone_and_first() || __atomic_exchange_n(&ending, true, __ATOMIC_RELAXED))
        return;
    pthread_t thread;
    if (nsp__thread_start(&thread, "nsp-exit", NULL, end_process, NULL) == NSP_OK)
        pthread_detach(thread);
    else
        __atomic_store_n(&ending, false, __ATOMIC_RELAXED); // the next check tries again
}
