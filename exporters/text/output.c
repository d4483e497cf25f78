// SPDX-License-Identifier: Apache-2.0
#include "text/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/time.h"
#include "common/descriptor.h"

enum {
    CANCEL_POLL_MS = 50,
    // A pipe that is ready takes this much without blocking. The descriptor is shared, so it cannot be made
    // non-blocking: that would change it for everybody who writes to the same pipe or terminal.
    STEP = PIPE_BUF
};

static bool cancelled(const nsp__output *output)
{
    return output->cancel != NULL && __atomic_load_n(output->cancel, __ATOMIC_RELAXED);
}

// Waits until the descriptor takes bytes. False at the deadline or when cancelled. Polls at least once.
static bool wait_writable(const nsp__output *output, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd ready = {output->fd, POLLOUT, 0};
        uint64_t now = nsp__monotonic_ns();
        uint64_t left_ms = now < deadline_ns ? (deadline_ns - now) / 1000000u + 1 : 0;
        int timeout = left_ms < CANCEL_POLL_MS ? (int)left_ms : CANCEL_POLL_MS;
        int result = poll(&ready, 1, cancelled(output) ? 0 : timeout);
        if (result > 0)
            return true; // also for errors, which write will report
        if (left_ms == 0 || cancelled(output))
            return false;
    }
}

// ---- the descriptor ----

// Does the descriptor still belong to the file that was opened?
static bool intact(const nsp__output *output)
{
    nsp__file_id id;
    return output->path == NULL ||
           (nsp__file_identify(output->fd, &id) && id.device == output->id.device &&
            id.inode == output->id.inode && fcntl(output->fd, F_GETFL) == output->flags);
}

int nsp__output_open(nsp__output *output)
{
    // O_NONBLOCK, in order not to wait for the reader of a named pipe.
    int fd = nsp__above_standard(
        open(output->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644));
    nsp__file_id id;
    if (fd < 0)
        return errno;
    if (!nsp__file_identify(fd, &id)) {
        int error = errno;
        close(fd);
        return error;
    }
    // Nothing of the interrupted batch is in another file.
    if (id.device != output->id.device || id.inode != output->id.inode)
        output->done = 0;
    output->fd = fd;
    output->id = id;
    output->flags = fcntl(fd, F_GETFL);
    return 0;
}

void nsp__output_close(nsp__output *output)
{
    if (output->fd >= 0 && intact(output))
        close(output->fd);
    output->fd = -1;
}

// ---- writing ----

// A regular file that grows beyond the limit would bring the process a signal, SIGXFSZ.
static bool within_limit(const nsp__output *output, const struct stat *file, size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    bool appends = (fcntl(output->fd, F_GETFL) & O_APPEND) != 0;
    off_t at = appends ? file->st_size : lseek(output->fd, 0, SEEK_CUR);
    return at < 0 || (uint64_t)at + bytes <= limit.rlim_cur;
}

// Writes everything. Returns 0, or an errno value, which is ETIMEDOUT for the deadline. *done counts what was
// written.
static int write_until(const nsp__output *output, const uint8_t *bytes, size_t size, size_t *done,
                       uint64_t deadline_ns)
{
    while (*done < size) {
        if (!intact(output))
            return EBADF;
        struct stat file;
        bool regular = fstat(output->fd, &file) == 0 && S_ISREG(file.st_mode);
        // A regular file is always ready, and gets the batch in one write so that lines of several writers do
        // not mix.
        if (!regular && !wait_writable(output, deadline_ns))
            return ETIMEDOUT;
        if (regular && !within_limit(output, &file, size - *done))
            return EFBIG;
        size_t step = size - *done;
        if (!regular && step > STEP)
            step = STEP;
        ssize_t written = write(output->fd, bytes + *done, step);
        if (written > 0)
            *done += (size_t)written;
        else if (written == 0)
            return ENOSPC;
        else if (errno == EAGAIN && !wait_writable(output, deadline_ns))
            return ETIMEDOUT;
        else if (errno != EINTR && errno != EAGAIN)
            return errno;
    }
    return 0;
}

static nsp_send_result fail(const nsp__output *output, int error, nsp_send_report *report)
{
    char text[80];
    report->error = error != ETIMEDOUT ? error : 0;
    if (error == ETIMEDOUT)
        snprintf(report->detail, sizeof report->detail, "%s does not accept more at the moment",
                 output->label);
    else if (error == EFBIG)
        snprintf(report->detail, sizeof report->detail,
                 "%s would grow beyond the process's limit on file sizes (ulimit -f)", output->label);
    else
        snprintf(report->detail, sizeof report->detail, "cannot write to %s: %s", output->label,
                 strerror_r(error, text, sizeof text));
    return error == EPIPE ? NSP_SEND_REJECTED : NSP_SEND_RETRY;
}

nsp_send_result nsp__output_send(nsp__output *output, const nsp_batch *batch, uint64_t deadline_ns,
                                 nsp_send_report *report)
{
    if (!intact(output)) {
        output->fd = -1; // it belongs to the application now, or to nobody
        int lost = nsp__output_open(output);
        if (lost)
            return fail(output, lost, report);
    }
    bool same = output->data == batch->data && output->first_ns == batch->first_ns;
    if (output->torn || (output->done && !same)) {
        size_t ended = 0;
        int error = write_until(output, (const uint8_t *)"\n", 1, &ended, deadline_ns);
        if (error)
            return fail(output, error, report);
        output->torn = false;
        output->done = 0;
    }
    output->data = batch->data;
    output->first_ns = batch->first_ns;
    size_t size = batch->length - batch->head;
    int error = write_until(output, batch->data + batch->head, size, &output->done, deadline_ns);
    if (error)
        return fail(output, error, report);
    output->done = 0;
    report->bytes = size;
    report->answered = true;
    return NSP_SEND_EXPORTED;
}
