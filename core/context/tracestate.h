// SPDX-License-Identifier: Apache-2.0
//
// The tracestate list, and the member `ot` in it, which is where thresholds and randomness travel.
#ifndef NSP_CONTEXT_TRACESTATE_H
#define NSP_CONTEXT_TRACESTATE_H

#include <nanospan/context.h>

enum {
    NSP__TRACESTATE_MEMBERS = 32,     // more make a list bad
    NSP__TRACESTATE_OT_SIZE = 3 + 256 // "ot=" and the longest value
};

typedef struct nsp__tracestate_part {
    const char *text;
    size_t length;
} nsp__tracestate_part;

// A list that is being read: slices of the texts that it came in.
typedef struct nsp__tracestate_list {
    size_t count;
    size_t bytes; // of all members, with the comma that follows each
    bool bad;     // counts as none
    nsp__tracestate_part members[NSP__TRACESTATE_MEMBERS];
} nsp__tracestate_list;

// Reads a list that lies in several texts, as in several header fields, into a context's tracestate (normalised: no blanks,
// no empty members), threshold and randomness. The texts have to stay where they are until the end. What is over
// NSP_TRACESTATE_MAX bytes loses whole members: those over 128 bytes first, then from the right, `ot` last. A
// list that is not well formed counts as none; a sub-key of `ot` that is not well formed, or there twice, is left out. The
// context's text is zero behind its end. Adding says false once the list is bad. Signal safe.
void nsp__tracestate_begin(nsp__tracestate_list *list);
bool nsp__tracestate_add(nsp__tracestate_list *list, const char *text, size_t length);
void nsp__tracestate_end(nsp__tracestate_list *list, nsp_context *context);

// The same for one text.
void nsp__tracestate_read(nsp_context *context, const char *text, size_t length);

// Writes the list as it has to be sent, at most `limit` bytes and NSP_TRACESTATE_MAX, without a terminating zero;
// returns its length. Where the context's threshold or randomness is not what its text says, `ot` is written anew, on
// the left, its other sub-keys kept. The same members as above are left out where space is short. Signal safe.
size_t nsp__tracestate_write(const nsp_context *context, char *out, size_t limit);

#endif
