// SPDX-License-Identifier: Apache-2.0
#include "report/report.h"

#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool report_html(const char *path, const char *json_path)
{
    char *arguments[] = {(char *)"python3", (char *)BENCH_REPORT, (char *)json_path, (char *)path, NULL};
    pid_t child;
    int state = 0, failure = posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ);
    if (failure != 0)
        fprintf(stderr, "nanospan-bench: cannot run python3 to make %s: %s\n", path, strerror(failure));
    else if (waitpid(child, &state, 0) != child || state != 0)
        fprintf(stderr, "nanospan-bench: cannot make %s; to try again: python3 %s %s %s\n", path,
                BENCH_REPORT, json_path, path);
    else
        return true;
    return false;
}
