// SPDX-License-Identifier: Apache-2.0
//
// What nanospan has to say about itself. Never called on the hot path, nor from a thread that records spans
// (nsp_init and other cold calls excepted).
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

// Receives one line of UTF-8, zero terminated, without control characters, valid during the call. Called by one
// thread at a time. The lines of a call of nanospan come on its thread as the call's last act, those of our own
// threads as they come up; in both cases no lock of ours is held. Must not call nanospan, fork, or block for long:
// while it does, lines of other threads are dropped and counted. Our own threads in it do not hold up
// nsp_shutdown, which leaves them behind where it must: then a line may still be on its way when it returns.
// It may call exit, which sends what there is to send as any exit does, but not if it was called on our
// sending thread. Lines are rate limited by subject; what was held back is counted in the next line let
// through.
typedef void (*nsp_log_fn)(void *context, nsp_log_level level, const char *line);

#endif
