// SPDX-License-Identifier: Apache-2.0
#include "text/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/time.h"

enum {
    CANCEL_POLL_MS = 50,
    // A pipe that is ready takes this much without blocking. Not our descriptor alone, so it cannot be made
    // non-blocking: that would change it for everybody who writes to the same pipe or terminal.
    STEP = PIPE_BUF
};

static bool cancelled(const nsp__output *output)
{
    return output->cancel && __atomic_load_n(output->cancel, __ATOMIC_RELAXED);
}

// Waits until the descriptor takes bytes; false at the deadline or when cancelled. Asks at least once.
static bool wait_writable(const nsp__output *output, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd ready = {output->fd, POLLOUT, 0};
        uint64_t now = nsp__monotonic_ns();
        uint64_t left_ms = now < deadline_ns ? (deadline_ns - now) / 1000000u + 1 : 0;
        int timeout = left_ms < CANCEL_POLL_MS ? (int)left_ms : CANCEL_POLL_MS;
        int result = poll(&ready, 1, cancelled(output) ? 0 : timeout);
        if (result > 0)
            return true; // errors too: write will name them
        if (left_ms == 0 || cancelled(output))
            return false;
    }
}

// Writes all of it; 0, or an errno value, ETIMEDOUT for the deadline. *done counts what was written.
static int write_until(const nsp__output *output, const uint8_t *bytes, size_t size, size_t *done,
                       uint64_t deadline_ns)
{
    struct stat status;
    bool regular = fstat(output->fd, &status) == 0 && S_ISREG(status.st_mode);
    while (*done < size) {
        // A regular file is always ready, and takes a batch whole, so that lines of several writers do not mix.
        if (!regular && !wait_writable(output, deadline_ns))
            return ETIMEDOUT;
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
    if (error == ETIMEDOUT)
        snprintf(report->detail, sizeof report->detail, "%s does not take more for now", output->label);
    else
        snprintf(report->detail, sizeof report->detail, "cannot write to %s: %s", output->label,
                 strerror(error));
    return error == EPIPE ? NSP_SEND_REJECTED : NSP_SEND_RETRY;
}

nsp_send_result nsp__output_send(nsp__output *output, const nsp_batch *batch, uint64_t deadline_ns,
                                 nsp_send_report *report)
{
    bool same = output->data == batch->data && output->first_ns == batch->first_ns;
    if (output->done && !same) {
        size_t ended = 0;
        int error = write_until(output, (const uint8_t *)"\n", 1, &ended, deadline_ns);
        if (error)
            return fail(output, error, report);
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
