// SPDX-License-Identifier: Apache-2.0
#include "common/hex.h"

void nsp__hex_encode(char *digits, const void *bytes, size_t length)
{
    static const char alphabet[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    for (size_t i = 0; i < length; i++) {
        *digits++ = alphabet[from[i] >> 4];
        *digits++ = alphabet[from[i] & 15];
    }
}

bool nsp__hex_decode(void *bytes, const char *digits, size_t length)
{
    uint8_t *to = bytes;
    for (size_t i = 0; i < length; i++) {
        int high = nsp__hex_digit(digits[2 * i]), low = nsp__hex_digit(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool nsp__hex_words(uint64_t *words, const char *digits, size_t count)
{
    int all = 0;
    for (size_t i = 0; i < count; i++) {
        words[i] = 0;
        for (size_t k = 0; k < 16; k++) {
            const int digit = nsp__hex_digit(*digits++);
            words[i] = words[i] << 4 | (unsigned)(digit & 15);
            all |= digit; // negative, once one of them is
        }
    }
    if (all < 0)
        memset(words, 0, count * sizeof *words);
    return all >= 0;
}
