// SPDX-License-Identifier: Apache-2.0
//
// The contexts of the spans that were open when a process was forked. Their frames stay with the parent, and
// their handles are inert in the child; but the child can still say on whose behalf it works, above all when
// it executes a program.
#ifndef NSP_TRACE_INHERITED_H
#define NSP_TRACE_INHERITED_H

#include <nanospan/span.h>

// Before a fork: makes room for this many contexts, and for those that this process has itself inherited.
// False if there is no memory, or nothing to keep; the child's handles then have no context. Maps memory.
bool nsp__inherited_begin(size_t count);

// Keeps a context under this handle. Ignored if it is not valid, or if there is no room left.
void nsp__inherited_add(uintptr_t handle, const nsp_context *context);

// Keeps what this process has itself inherited.
void nsp__inherited_add_own(void);

// After the fork, in the parent: frees them.
void nsp__inherited_drop(void);

// After the fork, in the child: they become what this process has inherited.
void nsp__inherited_take(void);

// In the child: false if the handle belongs to no span that was open then. Signal safe.
bool nsp__inherited_context(const nsp_span *span, nsp_context *out);

#endif
