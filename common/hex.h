// SPDX-License-Identifier: Apache-2.0
//
// Hexadecimal digits. The functions on the path of a span process eight digits at a time in one 64-bit word
// (SWAR), without tables or branches, and accept only lower case, like the W3C headers. Words are passed by
// value, because the processor stalls when bytes that were stored one by one are loaded as a word. All
// functions are pure; thread and signal safe.
#ifndef NSP_COMMON_HEX_H
#define NSP_COMMON_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NSP__HEX_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

// Decodes eight digits, the first in the lowest byte, to four bytes in the same order. Returns false, with an
// arbitrary value in *bytes, if any digit is not in 0-9a-f.
static inline bool nsp__hex_decode_word(uint64_t digits, uint32_t *bytes)
{
    // Adding 0x80 - c sets the top bit of a byte if the byte is at least c; bytes below 0x80 cannot carry.
    uint64_t low = digits & NSP__HEX_EACH(0x7f);
    uint64_t decimal = (low + NSP__HEX_EACH(0x80 - '0')) & ~(low + NSP__HEX_EACH(0x80 - ('9' + 1)));
    uint64_t letter = (low + NSP__HEX_EACH(0x80 - 'a')) & ~(low + NSP__HEX_EACH(0x80 - ('f' + 1)));
    // 'a' is 0x61: its low nibble is 9 short of ten, and bit 6 tells letters from decimal digits.
    uint64_t nibbles = (digits & NSP__HEX_EACH(0x0f)) + ((digits >> 6) & NSP__HEX_EACH(1)) * 9;
    uint64_t pairs = ((nibbles << 4) | (nibbles >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    pairs = (pairs | (pairs >> 8)) & UINT64_C(0x0000ffff0000ffff);
    *bytes = (uint32_t)(pairs | (pairs >> 16));
    return ((decimal | letter) & ~digits & NSP__HEX_EACH(0x80)) == NSP__HEX_EACH(0x80);
}

// Encodes four bytes to eight digits, the first in the lowest byte.
static inline uint64_t nsp__hex_encode_word(uint32_t bytes)
{
    uint64_t spread = (bytes | (uint64_t)bytes << 16) & UINT64_C(0x0000ffff0000ffff);
    spread = (spread | spread << 8) & UINT64_C(0x00ff00ff00ff00ff);
    uint64_t nibbles = ((spread >> 4) | (spread << 8)) & NSP__HEX_EACH(0x0f);
    uint64_t over_nine = ((nibbles + NSP__HEX_EACH(6)) >> 4) & NSP__HEX_EACH(1);
    return nibbles + NSP__HEX_EACH('0') + over_nine * ('a' - '0' - 10);
}

// Decodes eight digits of text to 4 bytes at `out`. Adds their bits to *any, which tells whether all are
// zero.
static inline bool nsp__hex_decode8(uint8_t *out, const char *digits, uint32_t *any)
{
    uint64_t eight;
    memcpy(&eight, digits, sizeof eight);
    uint32_t bytes;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bool valid = nsp__hex_decode_word(__builtin_bswap64(eight), &bytes);
    bytes = __builtin_bswap32(bytes);
#else
    bool valid = nsp__hex_decode_word(eight, &bytes);
#endif
    memcpy(out, &bytes, sizeof bytes);
    *any |= bytes;
    return valid;
}

// Encodes 4 bytes to 8 digits, without a terminating zero.
static inline void nsp__hex_encode4(char *digits, const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    uint64_t eight = __builtin_bswap64(nsp__hex_encode_word(__builtin_bswap32(word)));
#else
    uint64_t eight = nsp__hex_encode_word(word);
#endif
    memcpy(digits, &eight, sizeof eight);
}

// The value of one lower-case digit; -1 if the character is not one.
static inline int nsp__hex_digit_lower(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return -1;
}

// The same for digits in either case.
static inline int nsp__hex_digit(char character)
{
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return nsp__hex_digit_lower(character);
}

// Writes the digits of a word from the highest down, in lower case and without trailing zeros: "8" for 1 <<
// 63, and "0" for 0. Returns their number, 1 to 16. Writes no terminating zero.
static inline size_t nsp__hex_trimmed(char *digits, uint64_t word)
{
    size_t length = 0;
    do
        digits[length++] = "0123456789abcdef"[word >> 60];
    while ((word <<= 4) != 0);
    return length;
}

// Writes 2 * length digits in lower case, without a terminating zero.
void nsp__hex_encode(char *digits, const void *bytes, size_t length);

// Reads 2 * length digits in either case. False, with some bytes possibly written, if a character is not a
// digit.
bool nsp__hex_decode(void *bytes, const char *digits, size_t length);

// Reads 16 * count digits in either case, each 16 of them as a number. False, and zeros, if a character is not a
// digit.
bool nsp__hex_words(uint64_t *words, const char *digits, size_t count);

#endif
