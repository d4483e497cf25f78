// SPDX-License-Identifier: Apache-2.0
//
// Makes valid UTF-8 from any bytes. Receivers refuse a whole request for one bad text, so every text is
// checked before it is sent, and each ill-formed part becomes U+FFFD: one for every longest run of bytes that
// could begin a character, which the Unicode standard recommends. All functions are pure; thread and signal
// safe.
#ifndef NSP_COMMON_UTF8_H
#define NSP_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NSP__UTF8_GROWTH = 3 }; // a repaired text is at most this many times as long

// Looks at the character, or ill-formed part, at `at`, which must be below end. Returns its length, 1 to 4;
// *valid says which it is.
size_t nsp__utf8_next(const uint8_t *at, const uint8_t *end, bool *valid);

// The length of the text after repair. It equals `length` if the text is valid, but also if each ill-formed
// part is three bytes long; use nsp__utf8_valid to decide.
size_t nsp__utf8_repaired_size(const uint8_t *text, size_t length);

bool nsp__utf8_valid(const uint8_t *text, size_t length);

// Writes the repaired text, which has nsp__utf8_repaired_size bytes, to out; returns the end.
uint8_t *nsp__utf8_repair(uint8_t *out, const uint8_t *text, size_t length);

// Writes the character with this code point, at most 4 bytes, and returns their number. A code point that is
// not a character (half of a surrogate pair, beyond U+10FFFF) is written as U+FFFD.
size_t nsp__utf8_put(uint8_t *out, uint32_t code);

// True if the byte continues a character that began before it.
static inline bool nsp__utf8_continues(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

// The length at which to cut a text of `length` bytes so that at most max bytes are left and no character is
// split. If the text is not UTF-8 there, it is cut at max.
size_t nsp__utf8_cut(const void *text, size_t length, size_t max);

// The length at which to cut a text so that at most this many characters are left. An ill-formed part counts
// as one character, which it is after repair.
size_t nsp__utf8_cut_characters(const void *text, size_t length, size_t characters);

// Turns the text into one line of valid UTF-8, in place: control characters (those below 0x20, 0x7f, and
// U+0080 to U+009F, which a terminal obeys too) become spaces, and bytes that are not UTF-8 become question
// marks.
void nsp__utf8_make_line(char *text, size_t length);

// Copies a zero-terminated text as such a line, cut to at most size - 1 bytes without splitting a character,
// and zero-terminated.
void nsp__utf8_line(char *out, size_t size, const char *text);

#endif
