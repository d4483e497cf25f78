// SPDX-License-Identifier: Apache-2.0
//
// The list that OTEL_RESOURCE_ATTRIBUTES and the header variables have in common: key=value,key=value with
// percent escapes. One entry that is wrong never costs the others: who reads a list passes over it and says
// which one it was, by its position and without its text, which may be a secret. Nothing here allocates;
// thread and signal safe.
#ifndef NSP_COMMON_PAIRS_H
#define NSP_COMMON_PAIRS_H

#include "common/slice.h"

// White space as files, shells and templates leave it around a value, line breaks included.
static inline bool nsp__is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

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

// The same, and one pair of matching quotes around the rest, as env files keep them that no shell reads.
nsp__slice nsp__slice_unquote(nsp__slice slice);

// One entry: pieces of the text, white space and quotes around them left out, escapes still in them.
typedef struct nsp__key_value {
    nsp__slice key, value; // an entry without "=" has no key.text
    unsigned position;     // in the list, from 1; empty places between commas count
} nsp__key_value;

typedef struct nsp__pairs {
    nsp__slice rest;
    unsigned position;
} nsp__pairs;

// Begins a list; NULL is an empty one.
nsp__pairs nsp__pairs_of(const char *text);

// Takes the next entry that is not empty; false at the end.
bool nsp__pairs_next(nsp__pairs *list, nsp__key_value *pair);

// Why an entry cannot be used, as a sentence's end ("its name is empty"), or NULL. `context` is the reader's
// own.
typedef const char *(*nsp__pair_fault)(const nsp__key_value *pair, const void *context);

// What is wrong with any entry of any such list: no "=", no key, an escape that is none.
const char *nsp__pair_malformed(const nsp__key_value *pair);

typedef struct nsp__pairs_verdict {
    unsigned good, bad; // entries
} nsp__pairs_verdict;

// Judges all entries, and writes what is left out and why: "entry 2 is left out: its name is empty; entry 5
// ...". Of more than fit the number is written; "" if all are good.
nsp__pairs_verdict nsp__pairs_judge(const char *text, nsp__pair_fault fault, const void *context, char *out,
                                    size_t size);

#endif
