// SPDX-License-Identifier: Apache-2.0
//
// The tracestate list and its member `ot`, which carries thresholds and randomness.
#ifndef NSP_CONTEXT_TRACESTATE_H
#define NSP_CONTEXT_TRACESTATE_H

#include <nanospan/context.h>

enum {
    NSP__TRACESTATE_MEMBERS = 32,     // a list with more is bad
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
    bool bad;     // treated like an empty list
    nsp__tracestate_part members[NSP__TRACESTATE_MEMBERS];
} nsp__tracestate_list;

// Reads a list that is spread over several texts, such as several header fields, into a context's tracestate
// (normalised: no blanks, no empty members), threshold and randomness. The texts must stay in place until the
// end. A list of more than NSP_TRACESTATE_MAX bytes loses whole members: first those over 128 bytes, then
// from the right, `ot` last. A list that is not well formed counts as empty; a sub-key of `ot` that is not
// well formed or occurs twice is left out. The context's text is filled with zeros after its end.
// nsp__tracestate_add returns false once the list is bad. Signal safe.
void nsp__tracestate_begin(nsp__tracestate_list *list);
bool nsp__tracestate_add(nsp__tracestate_list *list, const char *text, size_t length);
void nsp__tracestate_end(nsp__tracestate_list *list, nsp_context *context);

// The same for one text.
void nsp__tracestate_read(nsp_context *context, const char *text, size_t length);

// Writes the list in the form in which it is sent, without a terminating zero, and returns its length, at
// most `limit` and NSP_TRACESTATE_MAX bytes. If the context's threshold or randomness differs from its text,
// `ot` is rewritten on the left, with its other sub-keys kept. Where space is short, members are left out as
// above. Signal safe.
size_t nsp__tracestate_write(const nsp_context *context, char *out, size_t limit);

#endif
