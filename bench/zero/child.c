// SPDX-License-Identifier: Apache-2.0
#include "zero/child.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void *child_page(size_t bytes)
{
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED ? page : NULL;
}

bool child_run(void (*body)(void *), void *argument, unsigned seconds, bench_result *out)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        result_fail(out, "cannot fork");
        return false;
    }
    if (child == 0) {
        body(argument);
        _exit(1);
    }
    int status = 0;
    for (unsigned tries = 0; waitpid(child, &status, WNOHANG) != child; tries++) {
        if (tries == seconds * 500) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            result_fail(out, "the counting process took more than %u seconds", seconds);
            return false;
        }
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    if (WIFSIGNALED(status))
        result_fail(out, "the counting process was killed by a signal: %s", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        result_fail(out, "the counting process failed");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
