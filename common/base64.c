// SPDX-License-Identifier: Apache-2.0
#include "common/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t nsp__base64_encode(char *out, const uint8_t *bytes, size_t length, bool padded)
{
    char *at = out;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0u) |
                         (left > 2 ? (uint32_t)bytes[i + 2] : 0u);
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        if (left > 1)
            *at++ = digits[group >> 6 & 63];
        if (left > 2)
            *at++ = digits[group & 63];
        for (size_t missing = left; padded && missing < 3; missing++)
            *at++ = '=';
    }
    return (size_t)(at - out);
}

// The value of a digit; -1 if the character is not a digit.
static int value_of(char c, nsp__base64_alphabet alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || (c == '-' && alphabet == NSP__BASE64_ANY))
        return 62;
    return c == '/' || (c == '_' && alphabet == NSP__BASE64_ANY) ? 63 : -1;
}

bool nsp__base64_decode(uint8_t *out, const char *text, size_t length, nsp__base64_alphabet alphabet,
                        size_t *decoded)
{
    size_t count = length, written = 0;
    uint32_t group = 0;
    while (count > 0 && length - count < 2 && text[count - 1] == '=')
        count--;
    if (count % 4 == 1 || (count < length && length % 4 != 0))
        return false;
    for (size_t i = 0; i < count; i++) {
        int value = value_of(text[i], alphabet);
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
        // In a group of four digits, each digit except the first completes a byte.
        if (i % 4 == 0)
            continue;
        if (out != NULL)
            out[written] = (uint8_t)(group >> (6 - 2 * (i % 4)));
        written++;
    }
    if (decoded != NULL)
        *decoded = written;
    return true;
}
