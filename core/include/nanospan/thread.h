// SPDX-License-Identifier: Apache-2.0
//
// A thread that records spans: one producer with a ring of its own.
// No call takes more than 4 KiB of stack (attaching in a forked child before its first span: 16 KiB).
#ifndef NANOSPAN_THREAD_H
#define NANOSPAN_THREAD_H

#include <nanospan/base.h>

// Set up by NSP_THREAD_OPTIONS_INIT. A member that is zero takes the value of nsp_config.
typedef struct nsp_thread_options {
    size_t size;
    size_t ring_bytes; // rounded up to a power of two; 64 KiB to 1 GiB
    const char *name;  // shown in statistics and tools, copied, cut at 31 bytes; NULL: the thread's own name
} nsp_thread_options;

#define NSP_THREAD_OPTIONS_INIT                                                                              \
    {                                                                                                        \
        sizeof(nsp_thread_options), 0, NULL                                                                  \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Gives the calling thread its slot and ring, all pages in place, so that its first span costs what the others cost:
// some milliseconds here instead of there. Without it the first recorded span attaches. Attached already: NSP_OK,
// nothing changes. NULL: defaults. Not signal safe (a handler's spans during it are dropped and counted).
// Errors: NSP_ERR_NOT_INITIALISED, NSP_ERR_DISABLED, NSP_ERR_FULL (no slot left), NSP_ERR_NO_MEMORY, NSP_ERR_INVALID.
NSP_API nsp_status nsp_thread_attach(const nsp_thread_options *options);

// Ends every span that is still open on this thread's stack (unsampled ones too), newest first, counts them as
// leaked, and leaves every entered detached span. For the top of an event loop or a long-jump's landing.
NSP_API void nsp_thread_reset(void);

#endif
NSP_END_DECLS
#endif
