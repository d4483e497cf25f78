// SPDX-License-Identifier: Apache-2.0
//
// A part of a text that somebody else owns, and functions that split lists and fields. Nothing here
// allocates.
#ifndef NSP_COMMON_SLICE_H
#define NSP_COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct nsp__slice {
    const char *text; // not zero terminated; NULL: no text
    size_t length;
} nsp__slice;

static inline nsp__slice nsp__slice_of(const char *text)
{
    return (nsp__slice){text, strlen(text)};
}

static inline bool nsp__slice_is(nsp__slice slice, const char *text)
{
    size_t length = strlen(text);
    return slice.length == length && (length == 0 || memcmp(slice.text, text, length) == 0);
}

// The blanks of header fields and of lists in environment variables.
static inline bool nsp__is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// Removes the blanks around a value, which do not belong to it.
static inline nsp__slice nsp__slice_trim(nsp__slice slice)
{
    while (slice.length != 0 && nsp__is_blank(slice.text[slice.length - 1]))
        slice.length--;
    while (slice.length != 0 && nsp__is_blank(*slice.text)) {
        slice.text++;
        slice.length--;
    }
    return slice;
}

// Takes the part before the next separator, and moves *rest to after it. False at the end, when *rest has no
// text left (NULL).
static inline bool nsp__slice_split(nsp__slice *rest, char separator, nsp__slice *part)
{
    if (rest->text == NULL)
        return false;
    const char *end = rest->length != 0 ? (const char *)memchr(rest->text, separator, rest->length) : NULL;
    if (end == NULL) {
        *part = *rest;
        *rest = (nsp__slice){NULL, 0};
        return true;
    }
    size_t length = (size_t)(end - rest->text);
    *part = (nsp__slice){rest->text, length};
    *rest = (nsp__slice){end + 1, rest->length - length - 1};
    return true;
}

#endif
