// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log_limit.h"

enum { LINE_SIZE = 1024, DETAIL_SIZE = 256 };

// The lock is held during the callback too: that is what makes it one call at a time.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static nsp_log_fn sink;              // under the lock
static void *sink_context;           // under the lock
static nsp__log_limit limit;         // under the lock
static int threshold = NSP_LOG_INFO; // written under the lock, read without it

// Set while this thread is inside the callback: a callback that calls us must not deadlock.
static __thread bool in_callback;
static __thread char detail[DETAIL_SIZE];

static const char *const level_names[] = {"none", "error", "warn", "info", "debug"};

void nsp__log_configure(nsp_log_level level, nsp_log_fn fn, void *context)
{
    if (in_callback)
        return;
    pthread_mutex_lock(&lock);
    sink = fn;
    sink_context = context;
    __atomic_store_n(&threshold, (int)level, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
}

// Formats into the buffer as one line; an overlong text ends in "...". Returns its length.
__attribute__((format(printf, 3, 0))) static size_t format_line(char *line, size_t size, const char *format,
                                                                va_list arguments)
{
    int wanted = vsnprintf(line, size, format, arguments);
    if (wanted < 0) {
        line[0] = 0;
        return 0;
    }
    size_t length = (size_t)wanted;
    if (length >= size) {
        length = size - 1;
        memcpy(line + length - 3, "...", 3);
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    }
    return length;
}

// One write, so that lines of several threads or processes do not mix.
static void write_to_stderr(nsp_log_level level, const char *line)
{
    char text[LINE_SIZE + 64];
    int length = snprintf(text, sizeof text, "nanospan: %s: %s\n", level_names[level], line);
    ssize_t written;
    do
        written = write(STDERR_FILENO, text, (size_t)length);
    while (written < 0 && errno == EINTR);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

void nsp__log(nsp_log_level level, const char *subject, const char *format, ...)
{
    if (level < NSP_LOG_ERROR || level > NSP_LOG_DEBUG || in_callback ||
        (int)level > __atomic_load_n(&threshold, __ATOMIC_RELAXED))
        return;
    int saved_errno = errno;
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    // Room is kept for the count of lines that were held back.
    size_t length = format_line(line, sizeof line - 32, format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&lock);
    uint64_t held_back;
    if (nsp__log_limit_admit(&limit, subject, now(), &held_back)) {
        if (held_back)
            snprintf(line + length, sizeof line - length, " (%" PRIu64 " more)", held_back);
        in_callback = true;
        if (sink)
            sink(sink_context, level, line);
        else
            write_to_stderr(level, line);
        in_callback = false;
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

nsp_status nsp__fail(nsp_status status, const char *format, ...)
{
    int saved_errno = errno;
    // By way of a second buffer: an argument may be the previous detail.
    char text[DETAIL_SIZE];
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_line(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(detail, text, length);
    detail[length] = 0;
    errno = saved_errno;
    return status;
}

const char *nsp_error_detail(void)
{
    return detail;
}

void nsp__log_fork_prepare(void)
{
    // A callback that forks holds the lock already.
    if (!in_callback)
        pthread_mutex_lock(&lock);
}

void nsp__log_fork_done(void)
{
    if (!in_callback)
        pthread_mutex_unlock(&lock);
}
