// SPDX-License-Identifier: Apache-2.0
//
// nsp_sessions_each: the sessions in shared memory, of living and of dead engines.
#include <nanospan/inspect.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/call.h"
#include "common/descriptor.h"
#include "base/log.h"
#include "config/environment.h"
#include "outside/session_reader.h"
#include "outside/prune.h"

enum { SESSIONS_MAX = 1024 };

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// Reads all names first, because visitors may take their time while engines come and go.
static size_t list_names(DIR *folder, char **names)
{
    size_t count = 0;
    for (struct dirent *entry; count < SESSIONS_MAX && (entry = readdir(folder)) != NULL;) {
        char *name =
            entry->d_name[0] != '.' && nsp__session_name_valid(entry->d_name) ? strdup(entry->d_name) : NULL;
        if (name != NULL)
            names[count++] = name;
    }
    qsort(names, count, sizeof *names, by_name);
    return count;
}

// The same check as for an engine's own sessions: if others may write to the folder, it may hold anything.
static bool ours_alone(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 077) == 0;
}

static nsp_status visit_folder(const char *path, DIR *folder, nsp_session_visit visit, void *argument)
{
    char **names = calloc(SESSIONS_MAX, sizeof *names);
    nsp__session_reading *scan = malloc(sizeof *scan);
    nsp_status status = NSP_OK;
    if (names == NULL || scan == NULL) {
        status = nsp__fail(NSP_ERR_NO_MEMORY, "nsp_sessions_each: no memory");
    } else {
        size_t count = list_names(folder, names);
        bool more = true;
        for (size_t i = 0; i < count; i++) {
            errno = 0;
            if (more && nsp__session_read(scan, dirfd(folder), path, names[i]))
                more = visit(argument, &scan->seen);
            else if (more && errno == ENOMEM)
                status = nsp__fail(NSP_ERR_NO_MEMORY, "nsp_sessions_each: no memory");
            free(names[i]);
        }
    }
    free(scan);
    free(names);
    return status;
}

nsp_status nsp_sessions_each(const char *folder, nsp_session_visit visit, void *argument)
{
    NSP__NO_CANCEL;
    if (visit == NULL)
        return nsp__fail(NSP_ERR_INVALID, "nsp_sessions_each: visit is NULL");
    nsp_config used;
    nsp__environment_read(&used);
    if (folder == NULL)
        folder = used.shm_dir;
    if (folder == NULL || strcmp(folder, "none") == 0)
        return NSP_OK;
    char path[400];
    int length = snprintf(path, sizeof path, "%s/nanospan-%u", folder, (unsigned)geteuid());
    if (length < 0 || (size_t)length >= sizeof path)
        return nsp__fail(NSP_ERR_INVALID, "nsp_sessions_each: the folder's path is too long");
    int fd = nsp__open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 && errno == ENOENT)
        return NSP_OK;
    if (fd < 0)
        return nsp__fail(NSP_ERR_SYSTEM, "%s: %s", path, strerror(errno));
    DIR *directory = NULL;
    nsp_status status = NSP_OK;
    if (!ours_alone(fd))
        status = nsp__fail(NSP_ERR_SYSTEM, "%s belongs to another user, or other users may access it", path);
    else if ((directory = fdopendir(fd)) == NULL)
        status = nsp__fail(NSP_ERR_SYSTEM, "%s: %s", path, strerror(errno));
    else
        status = visit_folder(path, directory, visit, argument);
    if (directory != NULL)
        closedir(directory);
    else
        close(fd);
    return status;
}
