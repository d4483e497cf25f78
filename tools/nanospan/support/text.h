// SPDX-License-Identifier: Apache-2.0
//
// A growing text, and slices of text owned elsewhere. Neither ends with a NUL.
#ifndef NANOSPAN_SUPPORT_TEXT_H
#define NANOSPAN_SUPPORT_TEXT_H

#include "common/slice.h"
#include "complain.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef nsp__slice slice;

typedef struct text {
    char *data; // owned; freed by text_free
    size_t length;
    size_t capacity;
} text;

void text_grow(text *out, size_t more);
void text_free(text *out);
void text_format(text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Writes it to standard output. False, with errno, if that failed.
bool text_print(const text *out);

// Makes room for `more` bytes after the text. The caller writes there and then increases `length`.
static inline char *text_room(text *out, size_t more)
{
    if (out->capacity - out->length < more)
        text_grow(out, more);
    return out->data + out->length;
}

static inline void text_add(text *out, const void *bytes, size_t length)
{
    if (length)
        memcpy(text_room(out, length), bytes, length);
    out->length += length;
}

static inline void text_char(text *out, char byte)
{
    *text_room(out, 1) = byte;
    out->length++;
}

// A literal, whose length the compiler knows.
static inline __attribute__((always_inline)) void text_put(text *out, const char *literal)
{
    text_add(out, literal, strlen(literal));
}

static inline void text_slice(text *out, slice piece)
{
    text_add(out, piece.text, piece.length);
}

#endif
