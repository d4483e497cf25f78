// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648). All functions are pure; thread and signal safe.
#ifndef NSP_COMMON_BASE64_H
#define NSP_COMMON_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Room for the digits, and for the bytes of so many digits.
#define NSP__BASE64_DIGITS(bytes) (((bytes) + 2) / 3 * 4)
#define NSP__BASE64_BYTES(digits) ((digits) / 4 * 3 + 3)

typedef enum nsp__base64_alphabet {
    NSP__BASE64_STANDARD, // with + and /
    NSP__BASE64_ANY       // with - and _ as well, as protobuf's JSON is read
} nsp__base64_alphabet;

// Writes digits of the standard alphabet, padded or not, without a terminating zero; returns their number.
size_t nsp__base64_encode(char *out, const uint8_t *bytes, size_t length, bool padded);

// Reads digits with whole padding or without any. out may be NULL, to check only, and so may *decoded, the
// number of bytes. False, with some of the bytes written: it is no base64.
bool nsp__base64_decode(uint8_t *out, const char *text, size_t length, nsp__base64_alphabet alphabet,
                        size_t *decoded);

#endif
