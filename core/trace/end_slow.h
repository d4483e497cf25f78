// SPDX-License-Identifier: Apache-2.0
//
// The uncommon ways to end a span, or to go on to the next one: everything that end_fast.c does not handle.
#ifndef NSP_TRACE_END_SLOW_H
#define NSP_TRACE_END_SLOW_H

#include <nanospan/span.h>

// Ends a recording span that is not the caller's innermost: detached, out of order, or misuse.
void nsp__end_elsewhere(nsp_span *span, nsp_ticks end);

// Goes on to a sibling where that is more than renaming the frame: a root, a remote parent, a tracestate, a
// detached span, or misuse.
nsp_span *nsp__next_elsewhere(nsp_span *span, nsp_name name, nsp_ticks at);

#endif
