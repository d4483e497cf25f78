// SPDX-License-Identifier: Apache-2.0
//
// Attaches threads, and detaches them when they end.
#ifndef NSP_TRACE_THREAD_H
#define NSP_TRACE_THREAD_H

#include <nanospan/thread.h>

#include "trace/thread_state.h"

// Attaches the calling thread, or returns its state if it is attached. NULL if it cannot be attached; *status
// says why. Stores no detail text, because span calls use this too.
nsp__producer *nsp__producer_attach(const nsp_thread_options *options, nsp_status *status);

// In the child of a fork: forgets everything that belongs to the parent.
void nsp__trace_abandon(void);

#endif
