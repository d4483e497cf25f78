// SPDX-License-Identifier: Apache-2.0
//
// The library's own log. Nothing is logged on the hot path, nor on a thread that records spans, except by
// nsp_init and other cold calls.
#ifndef NANOSPAN_LOG_H
#define NANOSPAN_LOG_H

#include <nanospan/base.h>

typedef enum nsp_log_level {
    NSP_LOG_NONE = 0,
    NSP_LOG_ERROR = 1,
    NSP_LOG_WARN = 2,
    NSP_LOG_INFO = 3,
    NSP_LOG_DEBUG = 4
} nsp_log_level;

// Receives one line of UTF-8, zero terminated and without control characters, which is valid during the call.
// It is called by one thread at a time. Lines that a nanospan call causes are delivered on the calling
// thread, at the very end of the call; lines of nanospan's own threads are delivered immediately. In both
// cases nanospan holds no lock. The function must not call nanospan, fork, or block for long: while it
// blocks, lines of other threads are dropped and counted. If nanospan's own threads are inside it,
// nsp_shutdown does not wait for them beyond its timeout and abandons them, so a line may still be delivered
// after it returns. The function may call exit, which sends what is left like any exit, unless it was called
// on nanospan's sender thread. Lines are rate limited by subject; the next line of that subject says how many
// were suppressed.
typedef void (*nsp_log_fn)(void *context, nsp_log_level level, const char *line);

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Sets where lines go from now on, for calls that have no configuration, such as nsp_recovery_open: those that come
// before the first nsp_init, nsp_recovery_export or nsp_drainer_open, each of which sets it anew. level: the least
// important lines to be logged. log: NULL for standard error. context: is handed to it. The function that was set
// before is not called any more once this returns, unless it blocks for long. Does nothing when `log` itself calls
// it. Thread safe, but not signal safe.
NSP_API void nsp_log_configure(nsp_log_level level, nsp_log_fn log, void *context);

#endif
NSP_END_DECLS

#endif
