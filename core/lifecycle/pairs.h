// SPDX-License-Identifier: Apache-2.0
//
// The form that OTEL_RESOURCE_ATTRIBUTES and the header variables share: key=value,key=value with percent escapes.
#ifndef NSP_LIFECYCLE_PAIRS_H
#define NSP_LIFECYCLE_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

// One pair: slices of the text, blanks around them left out, escapes still in them.
typedef struct nsp__key_value {
    const char *key, *value;
    size_t key_length, value_length;
} nsp__key_value;

// Takes the next pair and moves *at behind it; false at the end. Empty places between commas are skipped. A part
// without "=" comes as a key of length 0.
bool nsp__pairs_next(const char **at, nsp__key_value *pair);

// True if every part is key=value, with a key, whole escapes, and no control character in them even when decoded.
bool nsp__pairs_valid(const char *text);

#endif
