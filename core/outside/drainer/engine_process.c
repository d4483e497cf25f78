// SPDX-License-Identifier: Apache-2.0
#include "outside/drainer/engine_process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool nsp__engine_process_is(uint32_t pid, const char *session)
{
    char path[64], file[NAME_MAX + 16];
    if (pid == (uint32_t)getpid())
        return false; // this process has mapped it to drain it
    snprintf(path, sizeof path, "/proc/%u/maps", pid);
    snprintf(file, sizeof file, "/%s/control", session);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return errno != ENOENT && errno != ESRCH;
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    errno = 0;
    while (!found && getline(&line, &size, maps) > 0)
        found = strstr(line, file) != NULL;
    const int error = errno;
    free(line);
    fclose(maps);
    return found || error == EACCES || error == EPERM;
}
