// SPDX-License-Identifier: Apache-2.0
//
// The tracestate list, and the member `ot` in it, which is where thresholds and randomness travel.
#ifndef NSP_STORE_TRACESTATE_H
#define NSP_STORE_TRACESTATE_H

#include <nanospan/context.h>

// Reads a list into the context's tracestate (normalised: no blanks, no empty members), threshold and randomness. What
// is over NSP_TRACESTATE_MAX bytes loses whole members: those over 128 bytes first, then from the right, `ot` last. A
// list that is not well formed counts as none; a sub-key of `ot` that is not well formed, as absent. The text's
// place is zero behind its end. Signal safe.
void nsp__tracestate_read(nsp_context *context, const char *text, size_t length);

// Writes the list as it has to be sent, at most `limit` bytes and NSP_TRACESTATE_MAX, without a terminating zero;
// returns its length. Where the context's threshold or randomness is not what its text says, `ot` is written anew, on
// the left, its other sub-keys kept. The same members as above are left out where space is short. Signal safe.
size_t nsp__tracestate_write(const nsp_context *context, char *out, size_t limit);

#endif
