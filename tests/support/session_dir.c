// SPDX-License-Identifier: Apache-2.0
#include "support/session_dir.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void session_dir_make(char path[SESSION_PATH_MAX])
{
    snprintf(path, SESSION_PATH_MAX, "/dev/shm/nanospan-test-XXXXXX");
    if (mkdtemp(path) != NULL)
        return;
    snprintf(path, SESSION_PATH_MAX, "/tmp/nanospan-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        perror(path);
        abort();
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void session_dir_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// Visits the sessions; those of `pid` only, unless it is 0. Writes the path of the last one.
static size_t visit(const char *path, pid_t pid, char *session)
{
    char user[SESSION_PATH_MAX - 280], mark[32];
    snprintf(user, sizeof user, "%s/nanospan-%u", path, (unsigned)geteuid());
    snprintf(mark, sizeof mark, ".%d.", (int)pid);
    DIR *directory = opendir(user);
    if (directory == NULL)
        return 0;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.' || (pid != 0 && strstr(entry->d_name, mark) == NULL))
            continue;
        count++;
        if (session != NULL)
            snprintf(session, SESSION_PATH_MAX, "%s/%s", user, entry->d_name);
    }
    closedir(directory);
    return count;
}

size_t session_dir_count(const char *path)
{
    return visit(path, 0, NULL);
}

bool session_dir_of(const char *path, pid_t pid, char session[SESSION_PATH_MAX])
{
    return visit(path, pid, session) == 1;
}
