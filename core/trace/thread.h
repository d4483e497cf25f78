// SPDX-License-Identifier: Apache-2.0
//
// Threads come and go.
#ifndef NSP_TRACE_THREAD_H
#define NSP_TRACE_THREAD_H

#include <nanospan/thread.h>

#include "trace/thread_state.h"

// Attaches the calling thread, or returns its state. NULL with *status if that cannot be.
nsp__producer *nsp__producer_attach(const nsp_thread_options *options, nsp_status *status);

// In the child of a fork: forgets everything of the parent's.
void nsp__trace_abandon(void);

#endif
