// SPDX-License-Identifier: Apache-2.0
#include "support/session_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHARED "/dev/shm"
#define PREFIX "nanospan-test-"

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

// Holds the lock until this process and its forked children have ended in any way: the descriptor is left
// open on purpose.
static bool lock(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return false;
    if (flock(folder, LOCK_EX | LOCK_NB) == 0)
        return true;
    close(folder);
    return false;
}

// Folders of killed tests hold shared memory until they are removed. New ones may not be locked yet.
static void remove_abandoned(void)
{
    enum { YOUNG_SECONDS = 60 };
    DIR *directory = opendir(SHARED);
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[SESSION_PATH_MAX];
        struct stat status;
        snprintf(path, sizeof path, SHARED "/%s", entry->d_name);
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 && lstat(path, &status) == 0 &&
            status.st_uid == geteuid() && status.st_ctime + YOUNG_SECONDS < time(NULL) && lock(path))
            session_dir_remove(path);
    }
    closedir(directory);
}

void session_dir_make(char path[SESSION_PATH_MAX])
{
    remove_abandoned();
    snprintf(path, SESSION_PATH_MAX, SHARED "/" PREFIX "XXXXXX");
    bool made = mkdtemp(path) != NULL;
    if (!made) {
        snprintf(path, SESSION_PATH_MAX, "/tmp/" PREFIX "XXXXXX");
        made = mkdtemp(path) != NULL;
    }
    if (!made || !lock(path)) {
        perror(path);
        abort();
    }
}

// Visits the sessions, or those of `pid` only unless it is 0. Writes the path of the last one.
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
