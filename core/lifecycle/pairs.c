// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/pairs.h"

#include <string.h>

#include "common/percent.h"
#include "common/slice.h"

static void trim(const char **start, size_t *length)
{
    nsp__slice trimmed = nsp__slice_trim((nsp__slice){*start, *length});
    *start = trimmed.text;
    *length = trimmed.length;
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

static bool slice_valid(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint8_t byte;
        at += nsp__percent_byte(text + at, length - at, &byte);
        // Also what keeps a header's value from smuggling in a second header.
        if (byte < 0x20 || byte == 0x7f)
            return false;
    }
    return nsp__percent_whole(text, length);
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
