// SPDX-License-Identifier: Apache-2.0
//
// Forked children in tests. They make their own checks, because cmocka knows only the process that it runs
// in, and report by exit status.
#ifndef NSP_TESTS_CHILD_H
#define NSP_TESTS_CHILD_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// In a child: if the condition is false, prints a line and ends the child.
#define CHILD_CHECK(condition)                                                                               \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: in a child: %s\n", __FILE__, __LINE__, #condition);                      \
            _exit(99);                                                                                       \
        }                                                                                                    \
    } while (0)

// Forks. The child is killed when this thread ends, so that one that runs until it is killed does not survive a
// test that fails, with the test's output held open.
static inline __attribute__((unused)) pid_t child_fork(void)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(98);
    }
    return child;
}

// Waits for a child for at most that many seconds, then kills it. Returns waitpid's status, or -1 if it was
// killed.
static inline __attribute__((unused)) int child_wait(pid_t child, int seconds)
{
    int status;
    for (int tries = 0; tries < seconds * 200; tries++) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            return status;
        if (ended < 0 && errno != EINTR)
            return -1;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

// Forks; the child runs `body` and exits with 0. Returns the child's status.
static inline __attribute__((unused)) int child_run(void (*body)(void *), void *argument, int seconds)
{
    pid_t child = child_fork();
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    return child_wait(child, seconds);
}

#endif
