// SPDX-License-Identifier: Apache-2.0
//
// Percent escapes (RFC 3986), wherever they occur: baggage, the lists of the environment, gRPC's messages,
// URLs. Digits in either case; a percent sign that begins no escape stands for itself. All functions are
// pure; thread and signal safe.
#ifndef NSP_COMMON_PERCENT_H
#define NSP_COMMON_PERCENT_H

#include <stdint.h>

#include "common/hex.h"

enum { NSP__PERCENT_ESCAPE = 3 }; // bytes of an escape

// Takes the byte at `text`, of which `length` bytes, not 0, are left. Returns how many of them say so: 1 or
// 3.
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

// Decodes into out: at most length bytes, and a zero behind them. Returns the new length. out may be text
// itself.
size_t nsp__percent_decode(char *out, const char *text, size_t length);

// Is every percent sign the beginning of an escape?
bool nsp__percent_whole(const char *text, size_t length);

// Writes the byte's escape, with digits in upper case as RFC 3986 recommends.
void nsp__percent_escape(char out[NSP__PERCENT_ESCAPE], uint8_t byte);

#endif
