// SPDX-License-Identifier: Apache-2.0
//
// Threads that record spans. Each has a ring of its own. No call uses more than 4 KiB of stack, except that
// attaching in a forked child before its first span uses up to 16 KiB.
#ifndef NANOSPAN_THREAD_H
#define NANOSPAN_THREAD_H

#include <nanospan/base.h>

// Initialise with NSP_THREAD_OPTIONS_INIT. If ring_bytes is zero, nsp_config.ring_bytes is used.
typedef struct nsp_thread_options {
    size_t size;
    size_t ring_bytes; // 64 KiB to 1 GiB, rounded up to a power of two
    const char
        *name; // shown in statistics and tools; copied, and cut at 31 bytes. NULL: the thread's own name
} nsp_thread_options;

#define NSP_THREAD_OPTIONS_INIT                                                                              \
    {                                                                                                        \
        sizeof(nsp_thread_options), 0, NULL                                                                  \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Gives the calling thread its slot and its ring, with all pages in place. This takes some milliseconds,
// which the thread's first recorded span would otherwise take. `options` may be NULL (defaults). If the
// thread is already attached, nothing changes and the result is NSP_OK. Thread safe; not signal safe (spans
// of a handler that runs during the call are dropped and counted). Errors: NSP_ERR_NOT_INITIALISED,
// NSP_ERR_DISABLED, NSP_ERR_FULL (no slot left), NSP_ERR_NO_MEMORY, NSP_ERR_INVALID (options that cannot be
// used).
NSP_API nsp_status nsp_thread_attach(const nsp_thread_options *options);

// Ends every span that is still open on this thread's stack, newest first and unsampled ones too, counts them
// as leaked, and leaves every detached span that this thread has entered. For the top of an event loop, or
// for the place that a longjmp returns to.
NSP_API void nsp_thread_reset(void);

// Keeps the calling thread's tracing warm while it waits. The first span after some milliseconds in which a
// thread did something else takes microseconds, because code and data have left the caches and the
// translation buffers. So call this from the loop that waits, every 0.3 ms or so. It begins a root and a
// child, sets three attributes, and ends both, with the same code as spans do, in private memory of the
// thread; and it fetches what the thread's next span will use. There is no span, and nothing is counted or
// drawn. It takes about as long as a recorded span (two to three times two clock reads) where the sampling
// policy itself records any roots, and a few nanoseconds where it does not (also if senders of contexts
// decide), where tracing is turned off, and on a thread that is not attached, which it does not attach. It may
// be called while spans are open and at any time in the life of a session, and leaves the policy for the next
// root to read. Thread and signal safe; a signal handler that interrupts it loses none of its spans.
NSP_API void nsp_thread_warm(void);

#endif
NSP_END_DECLS
#endif
