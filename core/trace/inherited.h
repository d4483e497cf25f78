// SPDX-License-Identifier: Apache-2.0
//
// Who the spans are that were open when a process was forked. Their frames stay with the parent, and their handles are inert
// in the child; but the child may say on whose behalf it does what it does, most of all where it executes a program.
#ifndef NSP_TRACE_INHERITED_H
#define NSP_TRACE_INHERITED_H

#include <nanospan/span.h>

// Before a fork: keeps the contexts of the calling thread's open spans and of all detached ones. Maps memory, but for none.
void nsp__inherited_keep(void);

// After it, in the parent: lets them go.
void nsp__inherited_drop(void);

// After it, in the child: they are what it inherited.
void nsp__inherited_take(void);

// In the child: false if the handle is of no span that was open then. Signal safe.
bool nsp__inherited_context(const nsp_span *span, nsp_context *out);

#endif
