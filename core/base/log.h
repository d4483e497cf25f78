// SPDX-License-Identifier: Apache-2.0
//
// Log lines through the configured callback, rate limited by subject; and the error detail of cold calls.
#ifndef NSP_BASE_LOG_H
#define NSP_BASE_LOG_H

#include <nanospan/base.h>
#include <nanospan/log.h>

// Sets where lines go; fn NULL: standard error, as "nanospan: warn: text".
void nsp__log_configure(nsp_log_level level, nsp_log_fn fn, void *context);

// Writes one line, never from the hot path. subject: a short literal, the unit of rate limiting ("" for none: every
// line). At most 1 line a subject in 10 seconds after a burst of 5; what was held back is counted in the next one
// ("(12 more)"). Control characters become spaces, and what is not UTF-8
// question marks. Thread safe; not signal safe. Blocks on nothing but the callback: while another thread is inside
// it, 50 ms at most, and a line that found no room in standard error is dropped and counted too. Call it with no
// lock held that another thread may want: the callback is the application's.
void nsp__log(nsp_log_level level, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// From hold to release the lines of this thread are kept, in order, and written by release. By base/call.h.
void nsp__log_hold(void);
void nsp__log_release(void);

// Remembers the detail of a failing cold call for nsp_error_detail and returns the status: `return nsp__fail(...)`.
nsp_status nsp__fail(nsp_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// True on a thread that is inside the callback.
bool nsp__log_in_callback(void);

// Around fork: the process is not copied while a line is written, unless that takes longer than 100 ms.
void nsp__log_fork_prepare(void);
void nsp__log_fork_parent(void);
void nsp__log_fork_child(void);

#endif
