// SPDX-License-Identifier: Apache-2.0
#include "common/utf8.h"

#include <string.h>

static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD}; // U+FFFD

// The number of leading ASCII bytes, in steps of eight, so up to seven too low: the rest is checked one by
// one.
static size_t ascii_run(const uint8_t *text, size_t length)
{
    size_t run = 0;
    for (uint64_t word; run + sizeof word <= length; run += sizeof word) {
        memcpy(&word, text + run, sizeof word);
        if (word & 0x8080808080808080u)
            break;
    }
    return run;
}

size_t nsp__utf8_next(const uint8_t *at, const uint8_t *end, bool *valid)
{
    uint8_t lead = at[0];
    *valid = true;
    if (lead < 0x80)
        return 1;

    // How many bytes follow, and the valid range of the first of them, which excludes overlong forms,
    // surrogates and code points beyond U+10FFFF.
    size_t follow;
    uint8_t low = 0x80, high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        follow = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        follow = 2;
        if (lead == 0xE0)
            low = 0xA0;
        else if (lead == 0xED)
            high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        follow = 3;
        if (lead == 0xF0)
            low = 0x90;
        else if (lead == 0xF4)
            high = 0x8F;
    } else {
        *valid = false;
        return 1;
    }

    size_t size = 1;
    for (; size <= follow; size++) {
        if (at + size == end || at[size] < low || at[size] > high) {
            *valid = false;
            return size;
        }
        low = 0x80;
        high = 0xBF;
    }
    return size;
}

// An empty text may be NULL, to which nothing may be added, not even 0.
static const uint8_t *end_of(const uint8_t *text, size_t length)
{
    return length != 0 ? text + length : text;
}

bool nsp__utf8_valid(const uint8_t *text, size_t length)
{
    const uint8_t *at = text, *end = end_of(text, length);
    bool valid = true;
    while (valid && at < end) {
        at += ascii_run(at, (size_t)(end - at));
        if (at < end)
            at += nsp__utf8_next(at, end, &valid);
    }
    return valid;
}

size_t nsp__utf8_repaired_size(const uint8_t *text, size_t length)
{
    const uint8_t *at = text, *end = end_of(text, length);
    size_t size = 0;
    while (at < end) {
        size_t run = ascii_run(at, (size_t)(end - at));
        at += run;
        size += run;
        if (at < end) {
            bool valid;
            size_t step = nsp__utf8_next(at, end, &valid);
            at += step;
            size += valid ? step : sizeof replacement;
        }
    }
    return size;
}

uint8_t *nsp__utf8_repair(uint8_t *out, const uint8_t *text, size_t length)
{
    const uint8_t *at = text, *end = end_of(text, length);
    while (at < end) {
        bool valid;
        size_t step = nsp__utf8_next(at, end, &valid);
        const uint8_t *from = valid ? at : replacement;
        size_t size = valid ? step : sizeof replacement;
        memcpy(out, from, size);
        out += size;
        at += step;
    }
    return out;
}

size_t nsp__utf8_put(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if ((code >= 0xD800 && code < 0xE000) || code > 0x10FFFF)
        code = 0xFFFD;
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(0xF00u >> size | code); // as many one bits as there are bytes, then a zero bit
    return size;
}

size_t nsp__utf8_cut(const void *text, size_t length, size_t max)
{
    if (length <= max)
        return length;
    // If the byte at the cut continues a character, the beginning of that character is cut off too.
    const uint8_t *bytes = text;
    size_t cut = max;
    while (cut > 0 && max - cut < 3 && nsp__utf8_continues(bytes[cut]))
        cut--;
    return nsp__utf8_continues(bytes[cut]) ? max : cut;
}

void nsp__utf8_make_line(char *text, size_t length)
{
    uint8_t *at = (uint8_t *)text, *end = at + length;
    while (at < end) {
        bool valid;
        size_t taken = nsp__utf8_next(at, end, &valid);
        bool c1 = taken == 2 && at[0] == 0xC2 && at[1] < 0xA0;
        if (!valid)
            memset(at, '?', taken);
        else if (c1 || at[0] < ' ' || at[0] == 0x7F)
            memset(at, ' ', taken);
        at += taken;
    }
}

size_t nsp__utf8_cut_characters(const void *text, size_t length, size_t characters)
{
    const uint8_t *at = text, *end = at + length;
    bool valid;
    while (at != end && characters-- > 0)
        at += nsp__utf8_next(at, end, &valid);
    return length - (size_t)(end - at);
}

void nsp__utf8_line(char *out, size_t size, const char *text)
{
    if (size == 0)
        return;
    size_t length = nsp__utf8_cut(text, strlen(text), size - 1);
    memcpy(out, text, length);
    nsp__utf8_make_line(out, length);
    out[length] = 0;
}
