// SPDX-License-Identifier: Apache-2.0
//
// A pull reader for JSON: no tree and no allocation, since files of traces are large. Strings with escapes are decoded in
// place, so the text is changed by reading it. The first thing that is wrong sets `wrong` and ends every loop.
//
//     json_enter(r, '{');
//     while (json_key(r, &name)) ...read or skip one value...
#ifndef NANOSPAN_JSON_READ_H
#define NANOSPAN_JSON_READ_H

#include "text.h"

typedef struct json_reader {
    char *at;
    char *end;
    const char *wrong; // NULL: all is well
    bool fresh;        // just behind an opening bracket: no comma comes first
    bool missing;      // null stood where the bracket was expected: the loop that follows has no turn
} json_reader;

void json_begin(json_reader *r, char *data, size_t length);

// Reads a '{' or '['; the loop over what is inside follows at once. null counts as nothing inside.
void json_enter(json_reader *r, char bracket);

// The next member of an object, or element of an array; false at the closing bracket.
bool json_key(json_reader *r, slice *name);
bool json_element(json_reader *r);

// The contents of a string, number or literal; null gives an empty slice whose data is NULL.
bool json_scalar(json_reader *r, slice *out);

// An unsigned whole number, bare or in quotes; 0 for null and for what is none.
uint64_t json_number(json_reader *r);

void json_skip(json_reader *r);

// Nothing but white space may follow.
bool json_finish(json_reader *r);

#endif
