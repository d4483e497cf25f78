// SPDX-License-Identifier: Apache-2.0
//
// The kind of list that OTEL_RESOURCE_ATTRIBUTES and the header variables have in common: key=value,key=value
// with percent escapes. A wrong entry never costs the others: a reader leaves it out and says which one it
// was, by its position and not by its text, which may be a secret. Nothing here allocates. Thread and signal
// safe.
#ifndef NSP_COMMON_PAIRS_H
#define NSP_COMMON_PAIRS_H

#include "common/slice.h"

// The white space that files, shells and templates leave around a value, including line breaks.
static inline bool nsp__is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// Removes the white space around a value.
static inline nsp__slice nsp__slice_strip(nsp__slice slice)
{
    while (slice.length != 0 && nsp__is_space(slice.text[slice.length - 1]))
        slice.length--;
    while (slice.length != 0 && nsp__is_space(*slice.text)) {
        slice.text++;
        slice.length--;
    }
    return slice;
}

// Does the same, and then removes one pair of matching quotes around the rest: they are left over from env
// files that no shell has read.
nsp__slice nsp__slice_unquote(nsp__slice slice);

// One entry: pieces of the text, without the white space and quotes around them, and with the escapes in
// them.
typedef struct nsp__key_value {
    nsp__slice key, value; // key.text is NULL for an entry without "="
    unsigned position;     // in the list, from 1; empty entries between commas count too
} nsp__key_value;

typedef struct nsp__pairs {
    nsp__slice rest;
    unsigned position;
} nsp__pairs;

// Begins a list; NULL is an empty list.
nsp__pairs nsp__pairs_of(const char *text);

// Takes the next entry that is not empty; false at the end.
bool nsp__pairs_next(nsp__pairs *list, nsp__key_value *pair);

// Returns a phrase that says why an entry cannot be used ("its name is empty"), in static storage, or NULL.
// `context` belongs to the reader.
typedef const char *(*nsp__pair_fault)(const nsp__key_value *pair, const void *context);

// Finds what is wrong in an entry of any such list: no "=", no key, or a percent sign that begins no escape.
const char *nsp__pair_malformed(const nsp__key_value *pair);

typedef struct nsp__pairs_verdict {
    unsigned good, bad; // entries
} nsp__pairs_verdict;

// Judges all entries, and writes which ones are left out and why: "entry 2 is left out: its name is empty;
// entry 5 ...". If not all of them fit, writes the number of the others. Writes "" if all entries are good.
nsp__pairs_verdict nsp__pairs_judge(const char *text, nsp__pair_fault fault, const void *context, char *out,
                                    size_t size);

#endif
