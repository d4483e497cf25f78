// SPDX-License-Identifier: Apache-2.0
#include "harness/folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

bool folder_make(char path[FOLDER_PATH])
{
    const char *where = getenv("TMPDIR");
    int length = snprintf(path, FOLDER_PATH, "%s/nanospan-bench-XXXXXX",
                          where != NULL && where[0] == '/' ? where : "/tmp");
    if (length >= FOLDER_PATH) {
        errno = ENAMETOOLONG;
        return false;
    }
    return mkdtemp(path) != NULL;
}

bool folder_make_in_memory(char path[FOLDER_PATH])
{
    snprintf(path, FOLDER_PATH, "/dev/shm/nanospan-bench-XXXXXX");
    return mkdtemp(path) != NULL;
}

static int remove_one(const char *path, const struct stat *unused, int kind, struct FTW *place)
{
    (void)unused, (void)kind, (void)place;
    remove(path);
    return 0;
}

void folder_remove(const char *path)
{
    // A daemon that was killed together with its parent may still write for a moment.
    struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    for (int i = 0; i < 20; i++) {
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        if (access(path, F_OK) != 0)
            return;
        nanosleep(&pause, NULL);
    }
}
