// SPDX-License-Identifier: Apache-2.0
#include "output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool cannot_write(const output_file *file, int error)
{
    complain("cannot write %s: %s", file->name, strerror(error));
    return false;
}

// FILE.part of the file that is being written, for when a signal ends the process. A command writes one at a time.
static const char *volatile unfinished;

static void remove_unfinished(int number)
{
    if (unfinished != NULL)
        unlink(unfinished);
    raise(number); // which ends the process now, as it would have done
}

static const int ENDING[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING_COUNT = sizeof ENDING / sizeof ENDING[0] };

// Holds the ending signals back: FILE.part must not be there before they remove it, and one that another process has is
// not to be removed.
static void hold_signals(sigset_t *before)
{
    sigset_t ending;
    sigemptyset(&ending);
    for (int i = 0; i < ENDING_COUNT; i++)
        sigaddset(&ending, ENDING[i]);
    sigprocmask(SIG_BLOCK, &ending, before);
}

// Signals that the caller ignores, as nohup does, stay ignored. Beyond a limit of the size of files, writing fails as it
// does on a full disk.
static void remove_at_signals(const char *part)
{
    const struct sigaction removes = {.sa_handler = remove_unfinished, .sa_flags = (int)SA_RESETHAND};
    unfinished = part;
    for (int i = 0; i < ENDING_COUNT; i++) {
        struct sigaction before;
        if (sigaction(ENDING[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(ENDING[i], &removes, NULL);
    }
    signal(SIGXFSZ, SIG_IGN);
}

static void forget(output_file *file)
{
    unfinished = NULL;
    free(file->place);
    free(file->part);
    *file = (output_file){0};
}

// Opens FILE.part, which nobody else writes at the same time.
static int open_part(const output_file *file)
{
    const int fd = open(file->part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    struct stat ours, named;
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &ours) == 0 && lstat(file->part, &named) == 0 &&
        ours.st_dev == named.st_dev && ours.st_ino == named.st_ino && ftruncate(fd, 0) == 0)
        return fd;
    const int error = errno == EWOULDBLOCK ? EBUSY : errno != 0 ? errno : EBUSY;
    close(fd);
    errno = error;
    return -1;
}

bool output_file_open(output_file *file, const char *path)
{
    struct stat there;
    *file = (output_file){.name = path, .stream = stdout};
    if (strcmp(path, "-") == 0) {
        file->name = "standard output";
        return true;
    }
    const bool exists = stat(path, &there) == 0;
    if (exists && !S_ISREG(there.st_mode)) {
        file->stream = S_ISDIR(there.st_mode) ? NULL : fopen(path, "we");
        errno = S_ISDIR(there.st_mode) ? EISDIR : errno;
        return file->stream != NULL || cannot_write(file, errno);
    }
    if (exists && access(path, W_OK) != 0)
        return cannot_write(file, errno);
    file->place = exists ? realpath(path, NULL) : need_copy(path);
    if (file->place == NULL)
        return cannot_write(file, errno);
    const size_t size = strlen(file->place) + sizeof ".part";
    file->part = need_memory(size);
    snprintf(file->part, size, "%s.part", file->place);
    sigset_t before;
    hold_signals(&before);
    const int fd = open_part(file);
    const int error = errno;
    file->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file->stream != NULL)
        remove_at_signals(file->part);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (file->stream != NULL)
        return true;
    errno = error;
    complain("cannot write %s: %s", file->part, strerror(errno));
    forget(file);
    return false;
}

void output_file_write(output_file *file, slice piece)
{
    if (file->error == 0 && piece.length != 0 &&
        fwrite(piece.text, 1, piece.length, file->stream) != piece.length)
        file->error = errno != 0 ? errno : EIO;
    file->length += piece.length;
}

void output_file_drop(output_file *file)
{
    if (file->stream != stdout)
        fclose(file->stream);
    if (file->part != NULL)
        unlink(file->part);
    forget(file);
}

bool output_file_finish(output_file *file)
{
    int error = file->error;
    if (error == 0 && fflush(file->stream) != 0)
        error = errno;
    if (file->stream != stdout && fclose(file->stream) != 0 && error == 0)
        error = errno;
    if (error == 0 && file->part != NULL && rename(file->part, file->place) != 0)
        error = errno;
    if (error != 0 && file->part != NULL)
        unlink(file->part);
    if (error != 0)
        cannot_write(file, error);
    forget(file);
    return error == 0;
}

bool output_file_line(const char *path, mode_t mode, const char *line)
{
    text part = {0};
    text_format(&part, "%s.part%c", path, '\0');
    unlink(part.data);
    const int fd = open(part.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool sound = file != NULL && fprintf(file, "%s\n", line) > 0;
    if (file != NULL && fclose(file) != 0)
        sound = false;
    else if (file == NULL && fd >= 0)
        close(fd);
    sound = sound && rename(part.data, path) == 0;
    if (!sound) {
        complain("cannot write %s: %s", path, strerror(errno));
        if (fd >= 0)
            unlink(part.data);
    }
    text_free(&part);
    return sound;
}
