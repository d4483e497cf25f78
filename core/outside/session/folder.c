// SPDX-License-Identifier: Apache-2.0
#include "outside/session/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/user_name.h"

bool nsp__folder_path(const char *shm_dir, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/nanospan-%u", shm_dir, (unsigned)geteuid());
    return length >= 0 && (size_t)length < size;
}

bool nsp__ours_alone(int fd, char *problem, size_t size)
{
    struct stat status;
    problem[0] = 0;
    if (fstat(fd, &status) != 0) {
        snprintf(problem, size, "cannot be examined: %s", strerror(errno));
    } else if (status.st_uid != geteuid()) {
        char name[NSP__USER_NAME_MAX];
        snprintf(problem, size, "belongs to another user; use sudo -u '%s'",
                 nsp__user_name(status.st_uid, name));
        errno = EPERM;
    } else if ((status.st_mode & 077) != 0) {
        snprintf(problem, size, "may be accessed by other users; use chmod go-rwx");
        errno = EPERM;
    }
    return problem[0] == 0;
}

int nsp__folder_open(const char *path, char *problem, size_t size)
{
    char why[160];
    int fd = nsp__open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        snprintf(problem, size, "%s: %s", path, strerror(errno));
        return -1;
    }
    if (nsp__ours_alone(fd, why, sizeof why))
        return fd;
    snprintf(problem, size, "%s %s", path, why);
    nsp__close(fd);
    return -1;
}

bool nsp__session_name_valid(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot != NULL && dot != name && strchr(dot + 1, '.') != NULL && strchr(name, '/') == NULL &&
           strlen(name) < NAME_MAX; // a dot may come before it
}

bool nsp__session_name_half_made(const char *name)
{
    return name[0] == '.' && nsp__session_name_valid(name + 1);
}

bool nsp__folder_split(const char *directory, char *folder, size_t size, const char **name)
{
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/')
        length--;
    errno = ENAMETOOLONG;
    if (length >= size)
        return false;
    memcpy(folder, directory, length);
    folder[length] = 0;
    char *slash = strrchr(folder, '/');
    errno = EINVAL;
    if (slash == NULL || slash == folder || !nsp__session_name_valid(slash + 1))
        return false;
    *slash = 0;
    *name = slash + 1;
    return true;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// The descriptor moves to the stream, which closes it.
static DIR *open_stream(int folder_fd)
{
    int fd = nsp__open(folder_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (stream == NULL)
        nsp__close(fd);
    return stream;
}

static void close_stream(DIR *stream)
{
    int error = errno;
    if (stream != NULL)
        closedir(stream);
    errno = error;
}

// The next name that is wanted, to be freed. NULL: there is none, with errno 0, or it cannot be had.
static char *next_name(DIR *stream, bool half_made)
{
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream)) != NULL)
        if (half_made ? nsp__session_name_half_made(entry->d_name) : nsp__session_name_valid(entry->d_name))
            return strdup(entry->d_name);
    return NULL;
}

char **nsp__folder_list(int folder_fd, bool half_made, size_t *count)
{
    *count = 0;
    DIR *stream = open_stream(folder_fd);
    char **names = stream != NULL ? calloc(NSP__SESSIONS_SEEN_MAX, sizeof *names) : NULL;
    if (names == NULL) {
        close_stream(stream);
        return NULL;
    }
    char *name = NULL;
    while (*count < NSP__SESSIONS_SEEN_MAX && (name = next_name(stream, half_made)) != NULL)
        names[(*count)++] = name;
    int error = name == NULL ? errno : 0;
    close_stream(stream);
    if (error != 0) {
        nsp__folder_free(names, *count);
        *count = 0;
        errno = error;
        return NULL;
    }
    qsort(names, *count, sizeof *names, by_name);
    return names;
}

void nsp__folder_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
