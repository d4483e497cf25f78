// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/pairs.h"

#include <stdint.h>
#include <string.h>

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static void trim(const char **start, size_t *length)
{
    while (*length && blank(**start)) {
        ++*start;
        --*length;
    }
    while (*length && blank((*start)[*length - 1]))
        --*length;
}

bool nsp__pairs_next(const char **at, nsp__key_value *pair)
{
    for (;;) {
        const char *part = *at;
        if (!*part)
            return false;
        size_t length = strcspn(part, ",");
        *at = part + length + (part[length] == ',');
        trim(&part, &length);
        if (!length)
            continue;
        const char *equals = memchr(part, '=', length);
        pair->key = part;
        pair->key_length = equals ? (size_t)(equals - part) : 0;
        pair->value = equals ? equals + 1 : part;
        pair->value_length = (size_t)(part + length - pair->value);
        trim(&pair->key, &pair->key_length);
        trim(&pair->value, &pair->value_length);
        return true;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that the escape at text stands for, or -1 if it is none.
static int escaped_byte(const char *text, size_t length)
{
    if (length < 3 || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
        return -1;
    return hex_digit(text[1]) * 16 + hex_digit(text[2]);
}

static bool slice_valid(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        int byte = (unsigned char)text[i];
        if (text[i] == '%') {
            byte = escaped_byte(text + i, length - i);
            i += 2;
        }
        // Also what keeps a header's value from smuggling in a second header.
        if (byte < 0x20 || byte == 0x7f)
            return false;
    }
    return true;
}

bool nsp__pairs_valid(const char *text)
{
    nsp__key_value pair;
    while (nsp__pairs_next(&text, &pair)) {
        if (!pair.key_length || !slice_valid(pair.key, pair.key_length) ||
            !slice_valid(pair.value, pair.value_length))
            return false;
    }
    return true;
}

size_t nsp__percent_decode(char *out, const char *text, size_t length)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        int byte = text[i] == '%' ? escaped_byte(text + i, length - i) : -1;
        if (byte >= 0) {
            out[written++] = (char)byte;
            i += 2;
        } else {
            out[written++] = text[i];
        }
    }
    out[written] = 0;
    return written;
}
