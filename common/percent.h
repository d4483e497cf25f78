// SPDX-License-Identifier: Apache-2.0
//
// Percent escapes (RFC 3986), which occur in baggage, lists in environment variables, gRPC messages and URLs.
// Digits may have either case; a percent sign that does not begin an escape stands for itself. All functions
// are pure; thread and signal safe.
#ifndef NSP_COMMON_PERCENT_H
#define NSP_COMMON_PERCENT_H

#include <stdint.h>

#include "common/hex.h"

enum { NSP__PERCENT_ESCAPE = 3 }; // bytes of an escape

// Decodes one byte at `text`, which has `length` bytes left, at least 1. Returns how many bytes of the text
// it used: 1 or 3.
static inline size_t nsp__percent_byte(const char *text, size_t length, uint8_t *byte)
{
    *byte = (uint8_t)text[0];
    if (text[0] != '%' || length < NSP__PERCENT_ESCAPE)
        return 1;
    int high = nsp__hex_digit(text[1]), low = nsp__hex_digit(text[2]);
    if (high < 0 || low < 0)
        return 1;
    *byte = (uint8_t)(high << 4 | low);
    return NSP__PERCENT_ESCAPE;
}

// Decodes into out: at most length bytes, and a terminating zero. Returns the new length. out may be text
// itself.
size_t nsp__percent_decode(char *out, const char *text, size_t length);

// True if every percent sign begins an escape.
bool nsp__percent_whole(const char *text, size_t length);

// Is there a control character (below a blank, or DEL) in the text, as it is or as an escape?
bool nsp__percent_hides_control(const char *text, size_t length);

// Writes the escape of the byte, with upper-case digits, which RFC 3986 recommends.
void nsp__percent_escape(char out[NSP__PERCENT_ESCAPE], uint8_t byte);

#endif
