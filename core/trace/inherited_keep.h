// SPDX-License-Identifier: Apache-2.0
//
// Before a fork: keeps the contexts of the spans that are open.
#ifndef NSP_TRACE_INHERITED_KEEP_H
#define NSP_TRACE_INHERITED_KEEP_H

// Keeps the contexts of the calling thread's open spans and of all detached ones (inherited.h). Maps memory,
// unless there are none.
void nsp__inherited_keep(void);

#endif
