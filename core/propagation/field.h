// SPDX-License-Identifier: Apache-2.0
//
// Values of header fields as slices of text, and how they are fetched from a carrier.
#ifndef NSP_PROPAGATION_FIELD_H
#define NSP_PROPAGATION_FIELD_H

#include <nanospan/propagation.h>
#include <string.h>

// A request with more fields of one name than this is not read further: a carrier may be wrong and never end.
enum { NSP__FIELDS_MAX = 4096 };

typedef struct nsp__slice {
    const char *text;
    size_t length;
} nsp__slice;

static inline bool nsp__is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// Blanks around a value are the protocol's, not the value's.
static inline nsp__slice nsp__slice_trim(const char *text, size_t length)
{
    while (length != 0 && nsp__is_blank(text[length - 1]))
        length--;
    while (length != 0 && nsp__is_blank(*text)) {
        text++;
        length--;
    }
    return (nsp__slice){text, length};
}

// What is before the next separator; *rest moves behind it. False at the end: *rest has no text then.
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

// The index-th field of this name without the blanks around it; false if there is none.
static inline bool nsp__field_get(const nsp_carrier *carrier, const char *name, size_t index,
                                  nsp__slice *value)
{
    const char *text = NULL;
    size_t length = 0;
    if (index >= NSP__FIELDS_MAX || !carrier->get(carrier->fields, name, index, &text, &length))
        return false;
    *value = text != NULL ? nsp__slice_trim(text, length) : (nsp__slice){"", 0};
    return true;
}

// The value is zero terminated. False: no room.
static inline bool nsp__field_set(const nsp_carrier *carrier, const char *name, const char *value,
                                  size_t length)
{
    return carrier->set(carrier->fields, name, value, length);
}

#endif
