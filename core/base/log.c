// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/call.h"
#include "base/fork.h"
#include "base/log_limit.h"
#include "common/time.h"
#include "common/utf8.h"

enum { LINE_SIZE = 1024, COUNT_SIZE = 32, DETAIL_SIZE = 256 };

// How long a line waits for another thread's callback to return, before the line is dropped. A fork waits
// twice as long.
static const uint64_t patience_ns = 50 * NSP__MILLISECOND;

// Never held while the sink is called, so a sink that hangs blocks only its own thread.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static bool busy;     // a thread is calling the sink; guarded by the lock, like everything below
static bool hanging;  // a thread has waited too long for that call, so the next ones do not wait
static uint64_t lost; // lines dropped since the last one that was written
static nsp_log_fn sink;
static void *sink_context;
static nsp__log_limit limit;
static int threshold = NSP_LOG_INFO; // written under the lock, read without it

// Set while this thread is inside the callback: a callback that calls us must not deadlock.
static __thread bool in_callback;
static __thread char detail[DETAIL_SIZE];

// A line that waits for the end of its thread's call.
typedef struct held_line {
    struct held_line *next;
    nsp_log_level level;
    size_t length;
    const char *subject; // stored after the text
    char text[];
} held_line;

static __thread bool holding;
static __thread held_line *first_held, **last_held;

static const char *const level_names[] = {"none", "error", "warn", "info", "debug"};

// With the lock held: waits for a running call, for at most wait_ns. True if no call is running now.
static bool wait_until_idle(uint64_t wait_ns)
{
    const struct timespec until = nsp__timespec_of(nsp__monotonic_ns() + wait_ns);
    while (busy && !hanging)
        if (pthread_cond_clockwait(&idle, &lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            hanging = busy;
    return !busy;
}

void nsp__log_configure(nsp_log_level level, nsp_log_fn fn, void *context)
{
    if (in_callback)
        return;
    pthread_mutex_lock(&lock);
    wait_until_idle(patience_ns); // after this returns the old callback is no longer called, unless it hangs
    sink = fn;
    sink_context = context;
    __atomic_store_n(&threshold, (int)level, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
}

void nsp_log_configure(nsp_log_level level, nsp_log_fn log, void *context)
{
    NSP__NO_CANCEL;
    nsp__log_configure(level, log, context);
}

// Formats one line into the buffer. Text that came from elsewhere (a receiver, a variable) cannot control a
// terminal through it. A text that is too long ends in "...". Returns the length.
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
        // Cut before a character that does not fit completely.
        for (length = size - 4; length && ((unsigned char)line[length] & 0xc0) == 0x80;)
            length--;
        memcpy(line + length, "...", sizeof "...");
        length += 3;
    }
    nsp__utf8_make_line(line, length);
    return length;
}

// Uses a single write, so that lines of several threads or processes do not mix. False if it would block or
// nobody reads.
static bool write_to_stderr(nsp_log_level level, const char *line)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) != 1 || room.revents != POLLOUT)
        return false;
    char text[LINE_SIZE + 64];
    int length = snprintf(text, sizeof text, "nanospan: %s: %s\n", level_names[level], line);
    ssize_t written;
    do
        written = write(STDERR_FILENO, text, (size_t)length);
    while (written < 0 && errno == EINTR);
    return written >= 0;
}

// Calls the sink, with the lock released meanwhile; only one thread does so at a time. False if the line
// could not be written.
static bool call_sink(nsp_log_level level, const char *line)
{
    nsp_log_fn fn = sink;
    void *context = sink_context;
    bool written = true;
    busy = in_callback = true;
    pthread_mutex_unlock(&lock);
    if (fn != NULL)
        fn(context, level, line);
    else
        written = write_to_stderr(level, line);
    pthread_mutex_lock(&lock);
    busy = hanging = in_callback = false;
    pthread_cond_signal(&idle);
    return written;
}

// The line's buffer has room for the count of lines that were held back.
static void write_line(nsp_log_level level, const char *subject, char *line, size_t length)
{
    pthread_mutex_lock(&lock);
    uint64_t held_back;
    if (!wait_until_idle(patience_ns)) {
        lost++;
    } else if (nsp__log_limit_admit(&limit, subject, nsp__monotonic_ns(), &held_back)) {
        held_back += lost;
        lost = 0;
        if (held_back)
            snprintf(line + length, COUNT_SIZE, " (%" PRIu64 " more)", held_back);
        if (!call_sink(level, line))
            lost += held_back + 1;
    }
    pthread_mutex_unlock(&lock);
}

// False: no memory.
static bool keep_line(nsp_log_level level, const char *subject, const char *line, size_t length)
{
    size_t subject_size = strlen(subject) + 1;
    held_line *held = malloc(sizeof *held + length + 1 + COUNT_SIZE + subject_size);
    if (held == NULL)
        return false;
    *held = (held_line){.level = level, .length = length};
    memcpy(held->text, line, length + 1);
    held->subject = memcpy(held->text + length + 1 + COUNT_SIZE, subject, subject_size);
    *last_held = held;
    last_held = &held->next;
    return true;
}

void nsp__log(nsp_log_level level, const char *subject, const char *format, ...)
{
    if (level < NSP_LOG_ERROR || level > NSP_LOG_DEBUG || in_callback || nsp__forking ||
        (int)level > __atomic_load_n(&threshold, __ATOMIC_RELAXED))
        return;
    int saved_errno = errno;
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_line(line, sizeof line - COUNT_SIZE, format, arguments);
    va_end(arguments);
    if (!holding) {
        write_line(level, subject, line, length);
    } else if (!keep_line(level, subject, line, length)) {
        pthread_mutex_lock(&lock);
        lost++;
        pthread_mutex_unlock(&lock);
    }
    errno = saved_errno;
}

void nsp__log_hold(void)
{
    holding = true;
    first_held = NULL;
    last_held = &first_held;
}

void nsp__log_release(void)
{
    int saved_errno = errno;
    held_line *held = first_held;
    holding = false;
    first_held = NULL;
    while (held != NULL) {
        held_line *next = held->next;
        write_line(held->level, held->subject, held->text, held->length);
        free(held);
        held = next;
    }
    errno = saved_errno;
}

bool nsp__log_in_callback(void)
{
    return in_callback;
}

nsp_status nsp__fail(nsp_status status, const char *format, ...)
{
    int saved_errno = errno;
    // Uses a second buffer, because an argument may be the previous detail.
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
    pthread_mutex_lock(&lock);
    if (!in_callback)
        wait_until_idle(2 * patience_ns);
}

void nsp__log_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void nsp__log_fork_child(void)
{
    // The thread that was inside the callback does not exist here, nor do those that waited for it.
    busy = in_callback;
    hanging = false;
    pthread_cond_init(&idle, NULL);
    pthread_mutex_unlock(&lock);
}
