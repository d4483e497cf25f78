// SPDX-License-Identifier: Apache-2.0
//
// A strict pull reader for JSON (RFC 8259): no tree, no allocation and no recursion, because trace files are
// large and replies may come from anybody. Strings with escapes are decoded in place, so reading changes the
// text. The first error sets `wrong` and ends every loop. Strings are not checked for valid UTF-8; see
// nsp__utf8_valid.
//
//     nsp__json_enter(r, '{');
//     while (nsp__json_key(r, &name)) ...read or skip one value...
#ifndef NSP_COMMON_JSON_READ_H
#define NSP_COMMON_JSON_READ_H

#include <stdint.h>

#include "common/slice.h"

enum { NSP__JSON_DEEPEST = 512 }; // limit of nested brackets

typedef struct nsp__json_reader {
    char *at;
    char *end;
    const char *wrong; // the error; NULL: none
    bool fresh;        // just after an opening bracket, so no comma comes first
    bool missing;      // there was null instead of the bracket, so the loop that follows ends at once
    unsigned depth; // number of open brackets; each has a bit in objects, which is set if it is an object's
    uint64_t objects[NSP__JSON_DEEPEST / 64];
} nsp__json_reader;

void nsp__json_begin(nsp__json_reader *r, char *data, size_t length);

// Reads a '{' or '['. The loop over its contents must follow immediately. null counts as empty brackets.
void nsp__json_enter(nsp__json_reader *r, char bracket);

// Goes to the next member of an object, or element of an array; false at the closing bracket.
bool nsp__json_key(nsp__json_reader *r, nsp__slice *name);
bool nsp__json_element(nsp__json_reader *r);

// Reads the contents of a string, number or literal; null gives an empty slice with text NULL.
bool nsp__json_scalar(nsp__json_reader *r, nsp__slice *out);

// Reads a string or null; anything else is an error.
bool nsp__json_string(nsp__json_reader *r, nsp__slice *out);

// Reads an unsigned whole number, bare or in quotes; 0 for null, and for anything that is not such a number.
uint64_t nsp__json_number(nsp__json_reader *r);

// Reads a whole number, bare or in quotes; 0 for null. Anything else, or a number that does not fit, is an
// error.
bool nsp__json_integer(nsp__json_reader *r, int64_t *out);

// The same for the contents of a value. Returns NULL, or a phrase that says what is wrong.
const char *nsp__json_integer_of(nsp__slice digits, int64_t *out);

// Reads an id of 16 * count hexadecimal digits. False, and zeros, for anything else.
bool nsp__json_id(nsp__json_reader *r, uint64_t *words, size_t count);

// Reads a number of at most 63 characters, or one of the strings NaN, Infinity and -Infinity, for which JSON has
// no numbers; 0 for null. Anything else is an error. Independent of the locale.
bool nsp__json_double(nsp__json_reader *r, double *out);

// Skips the value here, with all its contents.
void nsp__json_skip(nsp__json_reader *r);

// Checks that only white space follows.
bool nsp__json_finish(nsp__json_reader *r);

#endif
