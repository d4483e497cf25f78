// SPDX-License-Identifier: Apache-2.0
//
// Header fields of a request, as a carrier: what a test puts there to be extracted, and what injection leaves there. Each
// value lies in memory of its own, just as long, so that the address sanitizer sees a step too far.
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

// Empty, with all the room there is; the one before is freed.
void headers_clear(headers *request);

void headers_add(headers *request, const char *name, const char *value);
void headers_addn(headers *request, const char *name, const char *value, size_t length);

// One line of "name: value" a field; a fresh request made of them.
void headers_read(headers *request, const char *lines);

// The first field of this name, zero terminated; NULL if there is none.
const char *headers_value(const headers *request, const char *name);

nsp_carrier headers_carrier(headers *request);

#endif
