// SPDX-License-Identifier: Apache-2.0
#include "propagation/baggage_value.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; // U+FFFD

enum { REPLACEMENT_LENGTH = sizeof replacement - 1, CHARACTER_MAX = 4 };

bool nsp__baggage_octet(char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

size_t nsp__utf8_take(const uint8_t *bytes, size_t count, bool *valid)
{
    uint8_t lead = bytes[0];
    size_t needed = lead < 0x80                   ? 1
                    : lead >= 0xc2 && lead < 0xe0 ? 2
                    : lead >= 0xe0 && lead < 0xf0 ? 3
                    : lead >= 0xf0 && lead < 0xf5 ? 4
                                                  : 0;
    *valid = false;
    if (needed == 0)
        return 1;
    // The second byte's range leaves out what is too long for its character, surrogates, and what is beyond U+10FFFF.
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < needed; i++) {
        if (i >= count || bytes[i] < low || bytes[i] > high)
            return i;
        low = 0x80;
        high = 0xbf;
    }
    *valid = true;
    return needed;
}

bool nsp__baggage_encode(const char *value, size_t length, char *out, size_t room, size_t *encoded)
{
    size_t at = 0, written = 0;
    while (at < length) {
        bool valid;
        size_t taken = nsp__utf8_take((const uint8_t *)value + at, length - at, &valid);
        if (!valid)
            return false;
        for (; taken != 0; taken--, at++) {
            uint8_t byte = (uint8_t)value[at];
            // '+' may stand as it is, but there are receivers that take it for a space.
            bool plain = nsp__baggage_octet(value[at]) && byte != '%' && byte != '+';
            const char escape[] = {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
            size_t size = plain ? 1 : sizeof escape;
            if (written + size <= room)
                memcpy(out + written, plain ? &value[at] : escape, size);
            written += size;
        }
    }
    *encoded = written;
    return true;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that the value has at `at`, and how much of the value says so.
static size_t decode_byte(const char *value, size_t length, size_t at, uint8_t *byte)
{
    *byte = (uint8_t)value[at];
    if (value[at] != '%' || length - at < 3 || digit(value[at + 1]) < 0 || digit(value[at + 2]) < 0)
        return 1;
    *byte = (uint8_t)(digit(value[at + 1]) << 4 | digit(value[at + 2]));
    return 3;
}

size_t nsp__baggage_decode(const char *value, size_t length, char *out)
{
    size_t at = 0, written = 0;
    while (at < length) {
        uint8_t bytes[CHARACTER_MAX];
        size_t behind[CHARACTER_MAX]; // where the value goes on after each of them
        size_t count = 0;
        for (size_t from = at; count < CHARACTER_MAX && from < length; count++) {
            from += decode_byte(value, length, from, &bytes[count]);
            behind[count] = from;
        }
        bool valid;
        size_t taken = nsp__utf8_take(bytes, count, &valid);
        size_t size = valid ? taken : REPLACEMENT_LENGTH;
        if (out != NULL)
            memcpy(out + written, valid ? (const char *)bytes : replacement, size);
        written += size;
        at = behind[taken - 1];
    }
    return written;
}
