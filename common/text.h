// SPDX-License-Identifier: Apache-2.0
//
// Text into a bounded buffer: the pieces that JSON and what people read are made of. Independent of the
// locale. Once something did not fit, `full` is set and everything that follows is dropped, so that a writer
// asks once, at the end.
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

// A quoted text is at most this many times as long as its bytes, beside the quotes.
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

// With at least this many digits.
void nsp__text_digits(nsp__text *out, uint64_t value, unsigned digits);

// The shortest decimal form, mostly, and always one that reads back as the same number. NaN, Infinity,
// -Infinity otherwise.
void nsp__text_f64(nsp__text *out, double value);

// Lower case.
void nsp__text_hex(nsp__text *out, const uint8_t *bytes, size_t length);

// Standard alphabet, padded.
void nsp__text_base64(nsp__text *out, const uint8_t *bytes, size_t length);

// As a JSON string with its quotes: made valid, and with every control character escaped, so that it is
// harmless on a terminal too.
void nsp__text_quoted(nsp__text *out, const uint8_t *bytes, size_t length);

// The same into a buffer that is large enough; returns the end. A form for nsp__names.
uint8_t *nsp__quoted_form(uint8_t *out, const uint8_t *bytes, size_t length);

#endif
