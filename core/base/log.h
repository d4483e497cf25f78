// SPDX-License-Identifier: Apache-2.0
//
// Log lines, which go to the configured callback and are rate limited by subject; and the error details of
// cold calls.
#ifndef NSP_BASE_LOG_H
#define NSP_BASE_LOG_H

#include <nanospan/base.h>
#include <nanospan/log.h>

// Sets where lines go. If fn is NULL they go to standard error, in the form "nanospan: warn: text".
void nsp__log_configure(nsp_log_level level, nsp_log_fn fn, void *context);

// Writes one line. Never called from the hot path. subject: a short literal, the unit of rate limiting; lines
// with the subject "" are not limited. After a burst of 5 a subject may write at most one line in 10 seconds;
// the next line gives the number of lines that were held back ("(12 more)"). Control characters become
// spaces, and bytes that are not valid UTF-8 become question marks. Thread safe, but not signal safe. It
// waits for nothing but the callback: at most 50 ms if another thread is inside it. A line that standard
// error has no room for is dropped and counted too. Do not call this with a lock held that another thread may
// want, since the callback belongs to the application.
void nsp__log(nsp_log_level level, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Between hold and release the lines of this thread are kept; release writes them in order. Used by
// base/call.h.
void nsp__log_hold(void);
void nsp__log_release(void);

// Stores the detail of a failing cold call for nsp_error_detail, and returns the status, so that a function
// can end with `return nsp__fail(...)`.
nsp_status nsp__fail(nsp_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// True if the calling thread is inside the callback.
bool nsp__log_in_callback(void);

// Called around fork, so that the process is not copied while a line is being written, unless that takes
// longer than 100 ms.
void nsp__log_fork_prepare(void);
void nsp__log_fork_parent(void);
void nsp__log_fork_child(void);

#endif
