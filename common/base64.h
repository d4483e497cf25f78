// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648). All functions are pure; thread and signal safe.
#ifndef NSP_COMMON_BASE64_H
#define NSP_COMMON_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The room for the digits of this many bytes, and for the bytes of this many digits.
#define NSP__BASE64_DIGITS(bytes) (((bytes) + 2) / 3 * 4)
#define NSP__BASE64_BYTES(digits) ((digits) / 4 * 3 + 3)

typedef enum nsp__base64_alphabet {
    NSP__BASE64_STANDARD, // with + and /
    NSP__BASE64_ANY       // accepts - and _ as well, like the JSON format of protobuf
} nsp__base64_alphabet;

// Writes digits of the standard alphabet, with or without padding, without a terminating zero. Returns their
// number.
size_t nsp__base64_encode(char *out, const uint8_t *bytes, size_t length, bool padded);

// Reads digits with complete padding or without any. out may be NULL, to check only, or
// the text itself. decoded, which receives
// the number of bytes, may be NULL too. False, with some bytes possibly written, if the text is not base64.
bool nsp__base64_decode(uint8_t *out, const char *text, size_t length, nsp__base64_alphabet alphabet,
                        size_t *decoded);

#endif
