// SPDX-License-Identifier: Apache-2.0
//
// Writes text into a bounded buffer: the elements of JSON and of text for people. Independent of the locale.
// Once something does not fit, `full` is set and everything after it is dropped, so a writer needs to check
// only once, at the end.
#ifndef NSP_COMMON_TEXT_H
#define NSP_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct nsp__text {
    uint8_t *at, *limit;
    bool full;
} nsp__text;

// A quoted text is at most this many times as long as its bytes, not counting the quotes.
enum { NSP__QUOTED_GROWTH = 6 };

static inline void nsp__text_bytes(nsp__text *out, const void *bytes, size_t length)
{
    if (length > (size_t)(out->limit - out->at))
        out->full = true;
    if (out->full || length == 0)
        return;
    memcpy(out->at, bytes, length);
    out->at += length;
}

static inline void nsp__text_put(nsp__text *out, const char *piece)
{
    nsp__text_bytes(out, piece, strlen(piece));
}

void nsp__text_u64(nsp__text *out, uint64_t value);
void nsp__text_i64(nsp__text *out, int64_t value);

// Writes at least this many digits, with leading zeros.
void nsp__text_digits(nsp__text *out, uint64_t value, unsigned digits);

// Writes a decimal form that reads back as the same number, usually the shortest; or NaN, Infinity,
// -Infinity.
void nsp__text_f64(nsp__text *out, double value);

// Writes lower-case hexadecimal digits.
void nsp__text_hex(nsp__text *out, const uint8_t *bytes, size_t length);

// Writes base64 with the standard alphabet and padding.
void nsp__text_base64(nsp__text *out, const uint8_t *bytes, size_t length);

// Writes a JSON string with its quotes. Invalid UTF-8 is repaired, and every control character is escaped, so
// that the text is harmless on a terminal too.
void nsp__text_quoted(nsp__text *out, const uint8_t *bytes, size_t length);

// The same into a buffer that must be large enough; returns the end. Has the form that nsp__names needs.
uint8_t *nsp__quoted_form(uint8_t *out, const uint8_t *bytes, size_t length);

#endif
