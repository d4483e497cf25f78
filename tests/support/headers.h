// SPDX-License-Identifier: Apache-2.0
//
// Header fields of a request as a carrier, for extraction and injection. Each value has its own allocation of
// exactly its length, so that the address sanitizer notices an access beyond it.
#ifndef NSP_TESTS_HEADERS_H
#define NSP_TESTS_HEADERS_H

#include <nanospan/propagation.h>

enum { HEADERS_MAX = 256 };

typedef struct headers {
    size_t count;
    size_t room; // fields that `set` may add, or HEADERS_MAX
    struct {
        char name[32];
        char *value;
        size_t length;
    } fields[HEADERS_MAX];
} headers;

// Empties the carrier, frees its fields, and gives it full room.
void headers_clear(headers *request);

void headers_add(headers *request, const char *name, const char *value);
void headers_addn(headers *request, const char *name, const char *value, size_t length);

// Replaces the fields with those of the text, which has one line "name: value" for each.
void headers_read(headers *request, const char *lines);

// The first field of this name, zero-terminated; NULL if there is none.
const char *headers_value(const headers *request, const char *name);

nsp_carrier headers_carrier(headers *request);

#endif
