// SPDX-License-Identifier: Apache-2.0
#include "other_users.h"

#include "shell_word.h"
#include "common/user_name.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void other_users_each(const char *shm_dir, other_users_visit visit, void *argument)
{
    DIR *folder = shm_dir != NULL ? opendir(shm_dir) : NULL;
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat status;
        char expected[40], path[PATH_MAX];
        if (strncmp(entry->d_name, "nanospan-", strlen("nanospan-")) != 0 ||
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            status.st_uid == geteuid())
            continue;
        snprintf(expected, sizeof expected, "nanospan-%u", (unsigned)status.st_uid);
        snprintf(path, sizeof path, "%s/%s", shm_dir, expected);
        if (strcmp(entry->d_name, expected) == 0 && S_ISDIR(status.st_mode))
            visit(argument, path, status.st_uid);
    }
    closedir(folder);
}

void other_users_command(text *out, uid_t user, const char *shm_dir)
{
    char name[NSP__USER_NAME_MAX];
    text_put(out, "sudo -u ");
    shell_word(out, nsp__user_name(user, name));
    if (shm_dir != NULL) {
        text_put(out, " env NSP_SHM_DIR=");
        shell_word(out, shm_dir);
    }
    text_put(out, " nanospan");
}
