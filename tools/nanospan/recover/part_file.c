// SPDX-License-Identifier: Apache-2.0
#include "part_file.h"

#include "support/complain.h"
#include "support/text.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static bool refuse_existing(const char *path)
{
    complain("%s exists and is not replaced: remove it, or name another file", path);
    return false;
}

static bool cannot_write(const char *path)
{
    complain("cannot write %s: %s", path, strerror(errno));
    return false;
}

// The name of the file beside ours must still be that of the file that we have open: another run may have
// renamed or removed it before we had the lock.
static bool lock_and_empty(part_file *file)
{
    struct stat ours, named;
    if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
        complain("%s is being written by another recovery; wait for it, or name another file", file->part);
        return false;
    }
    if (fstat(file->fd, &ours) != 0 || lstat(file->part, &named) != 0)
        return cannot_write(file->part);
    if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino) {
        complain("%s was replaced by another program in this moment; run the command again", file->part);
        return false;
    }
    if (!S_ISREG(ours.st_mode)) {
        complain("%s is not a regular file: remove it, or name another file", file->part);
        return false;
    }
    return ftruncate(file->fd, 0) == 0 || cannot_write(file->part);
}

// Opens the folder before anything is written: one that can be searched and not read could not be synchronised
// later. Finds the place of the file in it.
static bool open_folder(part_file *file)
{
    const size_t size = strlen(file->path) + 1;
    char *copy = memcpy(need_memory(size), file->path, size), real[PATH_MAX];
    const char *folder = dirname(copy), *slash = strrchr(file->path, '/');
    file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->folder < 0)
        complain("cannot write %s: its folder cannot be opened: %s", file->path, strerror(errno));
    if (file->folder >= 0 && realpath(folder, real) != NULL) {
        text place = {0};
        text_format(&place, "%s/%s", real, slash != NULL ? slash + 1 : file->path);
        text_char(&place, '\0');
        file->place = place.data;
    }
    free(copy);
    return file->folder >= 0;
}

bool part_file_open(part_file *file, const char *path)
{
    *file = (part_file){.path = path, .fd = -1, .folder = -1};
    if (exists(path))
        return refuse_existing(path);
    if (!open_folder(file))
        return false;
    size_t size = strlen(path) + sizeof ".part";
    file->part = need_memory(size);
    snprintf(file->part, size, "%s.part", path);
    file->fd = open(file->part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    bool sound = file->fd >= 0 ? lock_and_empty(file) : cannot_write(file->part);
    if (!sound) { // it may be another run's, so it stays
        if (file->fd >= 0)
            close(file->fd);
        free(file->part);
        free(file->place);
        close(file->folder);
        *file = (part_file){.fd = -1, .folder = -1};
    }
    return sound;
}

off_t part_file_length(const part_file *file)
{
    struct stat status;
    if (fstat(file->fd, &status) == 0)
        return status.st_size;
    cannot_write(file->part);
    return -1;
}

bool part_file_shorten(const part_file *file, off_t length)
{
    return ftruncate(file->fd, length) == 0 || cannot_write(file->part);
}

// Not every file system can rename without replacing; a second name does the same in two steps.
static bool rename_without_replacing(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    return link(from, to) == 0 && unlink(from) == 0;
}

bool part_file_sync(const part_file *file)
{
    return fsync(file->fd) == 0 || cannot_write(file->part);
}

bool part_file_finish(part_file *file)
{
    if (!rename_without_replacing(file->part, file->path))
        return errno == EEXIST ? refuse_existing(file->path) : cannot_write(file->path);
    free(file->part);
    file->part = NULL;
    // So that the new name survives a crash of the machine, too. EINVAL: a file system that has no such call.
    if (fsync(file->folder) != 0 && errno != EINVAL)
        complain("%s is complete, but its folder cannot be written to the disk: %s", file->path,
                 strerror(errno));
    return true;
}

void part_file_close(part_file *file)
{
    if (file->part != NULL)
        unlink(file->part);
    if (file->fd >= 0)
        close(file->fd);
    if (file->folder >= 0)
        close(file->folder);
    free(file->part);
    free(file->place);
    *file = (part_file){.fd = -1, .folder = -1};
}
