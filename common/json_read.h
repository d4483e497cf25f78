// SPDX-License-Identifier: Apache-2.0
//
// A strict pull reader for JSON (RFC 8259): no tree, no allocation and no recursion, since files of traces
// are large and replies may be anybody's. Strings with escapes are decoded in place, so the text is changed
// by reading it. The first thing that is wrong sets `wrong` and ends every loop. Whether strings are UTF-8 is
// not looked at: see nsp__utf8_valid.
//
//     nsp__json_enter(r, '{');
//     while (nsp__json_key(r, &name)) ...read or skip one value...
#ifndef NSP_COMMON_JSON_READ_H
#define NSP_COMMON_JSON_READ_H

#include <stdint.h>

#include "common/slice.h"

enum { NSP__JSON_DEEPEST = 512 }; // brackets within each other

typedef struct nsp__json_reader {
    char *at;
    char *end;
    const char *wrong; // what; NULL: all is well
    bool fresh;        // just behind an opening bracket: no comma comes first
    bool missing;      // null stood where the bracket was expected: the loop that follows has no turn
    unsigned depth;    // brackets that are open, and a bit for each: is it an object's?
    uint64_t objects[NSP__JSON_DEEPEST / 64];
} nsp__json_reader;

void nsp__json_begin(nsp__json_reader *r, char *data, size_t length);

// Reads a '{' or '['; the loop over what is inside follows at once. null counts as nothing inside.
void nsp__json_enter(nsp__json_reader *r, char bracket);

// The next member of an object, or element of an array; false at the closing bracket.
bool nsp__json_key(nsp__json_reader *r, nsp__slice *name);
bool nsp__json_element(nsp__json_reader *r);

// The contents of a string, number or literal; null gives an empty slice whose text is NULL.
bool nsp__json_scalar(nsp__json_reader *r, nsp__slice *out);

// The same of a string or null; anything else is wrong.
bool nsp__json_string(nsp__json_reader *r, nsp__slice *out);

// An unsigned whole number, bare or in quotes; 0 for null and for what is none.
uint64_t nsp__json_number(nsp__json_reader *r);

// A whole number, bare or in quotes, 0 for null; what is none, or does not fit, is wrong.
bool nsp__json_integer(nsp__json_reader *r, int64_t *out);

// What stands here, brackets and all.
void nsp__json_skip(nsp__json_reader *r);

// Nothing but white space may follow.
bool nsp__json_finish(nsp__json_reader *r);

#endif
