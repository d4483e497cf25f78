// SPDX-License-Identifier: Apache-2.0
//
// Valid UTF-8 from any bytes. Receivers refuse a whole request for one bad text, so every text is checked on
// its way out, and each ill-formed part becomes U+FFFD: one for every longest run of bytes that could begin a
// character, as the Unicode standard recommends. All functions are pure; thread and signal safe.
#ifndef NSP_COMMON_UTF8_H
#define NSP_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NSP__UTF8_GROWTH = 3 }; // a repaired text is at most this many times as long

// Takes one character, or one ill-formed part, at `at`; at < end. Returns its bytes, 1 to 4; *valid says
// which it is.
size_t nsp__utf8_next(const uint8_t *at, const uint8_t *end, bool *valid);

// Bytes of the text after repair; equal to length exactly if it is valid, or if what is ill-formed is three
// bytes long each time: use nsp__utf8_valid to decide.
size_t nsp__utf8_repaired_size(const uint8_t *text, size_t length);

bool nsp__utf8_valid(const uint8_t *text, size_t length);

// Writes the repaired text, nsp__utf8_repaired_size bytes of it, to out; returns the end.
uint8_t *nsp__utf8_repair(uint8_t *out, const uint8_t *text, size_t length);

// Writes the character with this code point, at most 4 bytes, and returns their number. What is no character
// (half a surrogate pair, beyond U+10FFFF) is written as U+FFFD.
size_t nsp__utf8_put(uint8_t *out, uint32_t code);

// Does the byte go on with a character that began before it?
static inline bool nsp__utf8_continues(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

// The length at which a text of `length` bytes is cut so that at most max are left and no character is split.
// What is not UTF-8 there is cut at max.
size_t nsp__utf8_cut(const void *text, size_t length, size_t max);

// Makes one line of valid UTF-8 of the text, in its place: control characters (those below 0x20, 0x7f, and
// U+0080 to U+009F, which a terminal obeys too) become spaces, and bytes that are not UTF-8 question marks.
void nsp__utf8_make_line(char *text, size_t length);

// Copies a zero terminated text as such a line, cut at a character to size - 1 bytes, zero terminated.
void nsp__utf8_line(char *out, size_t size, const char *text);

#endif
