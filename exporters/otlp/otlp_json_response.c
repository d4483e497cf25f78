// SPDX-License-Identifier: Apache-2.0
//
// A strict reader of JSON that looks for two members and passes over the rest. Every reading function takes what it is
// named after at in->at, and returns false, wherever that may have got to, if it is not there.
#include "otlp/otlp_json_response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encode/text.h"
#include "common/hex.h"
#include "common/utf8.h"

enum { DEPTH_MAX = 64, KEY_BYTES = 32, NUMBER_BYTES = 32, MESSAGE_BYTES = 1024 };

typedef struct reader {
    const uint8_t *at, *end;
    unsigned depth; // objects and arrays around it
    int64_t rejected;
    char *message; // of MESSAGE_BYTES, zero terminated
} reader;

static void skip_space(reader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

static bool next_is(const reader *in, char wanted)
{
    return in->at < in->end && *in->at == (uint8_t)wanted;
}

static bool take(reader *in, char wanted)
{
    bool there = next_is(in, wanted);
    in->at += there;
    return there;
}

static bool read_word(reader *in, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
        return false;
    in->at += length;
    return true;
}

static bool read_digits(reader *in)
{
    const uint8_t *from = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > from;
}

static bool read_number(reader *in)
{
    take(in, '-');
    if (!take(in, '0') && !read_digits(in))
        return false;
    if (take(in, '.') && !read_digits(in))
        return false;
    if (!take(in, 'e') && !take(in, 'E'))
        return true;
    if (!take(in, '+'))
        take(in, '-');
    return read_digits(in);
}

// The four digits behind \u.
static bool read_unit(reader *in, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        if (in->at == in->end)
            return false;
        int digit = nsp__hex_digit((char)*in->at);
        if (digit < 0)
            return false;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

static void put_character(nsp__text *out, uint32_t c)
{
    uint8_t bytes[4];
    nsp__text_bytes(out, bytes, nsp__utf8_put(bytes, c));
}

// What follows a backslash. Half a surrogate pair, and zero, which would end the text, become U+FFFD.
static bool read_escape(reader *in, nsp__text *out)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end)
        return false;
    uint8_t c = *in->at++;
    uint32_t unit, low;
    if (c != 'u') {
        const char *found = memchr(escapes, c, sizeof escapes - 1);
        if (found)
            put_character(out, (uint8_t)meanings[found - escapes]);
        return found != NULL;
    }
    if (!read_unit(in, &unit))
        return false;
    const uint8_t *after = in->at;
    if (unit >= 0xD800 && unit < 0xDC00 && take(in, '\\') && take(in, 'u') && read_unit(in, &low) &&
        low >= 0xDC00 && low < 0xE000) {
        put_character(out, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
        return true;
    }
    in->at = after;
    put_character(out, unit == 0 ? 0xFFFD : unit);
    return true;
}

// A string into a buffer, zero terminated; what does not fit is left out, at a character.
static bool read_string(reader *in, char *buffer, size_t size)
{
    nsp__text out = {(uint8_t *)buffer, (uint8_t *)buffer + size - 1, false};
    if (!take(in, '"'))
        return false;
    while (in->at < in->end && *in->at >= ' ' && !next_is(in, '"')) {
        bool valid;
        if (take(in, '\\')) {
            if (!read_escape(in, &out))
                return false;
            continue;
        }
        size_t step = nsp__utf8_next(in->at, in->end, &valid);
        if (!valid)
            return false;
        nsp__text_bytes(&out, in->at, step);
        in->at += step;
    }
    *out.at = 0;
    return take(in, '"');
}

// A 64-bit integer, which is a string as a rule.
static bool read_integer(reader *in, int64_t *value)
{
    char text[NUMBER_BYTES];
    if (next_is(in, '"')) {
        if (!read_string(in, text, sizeof text))
            return false;
    } else {
        const uint8_t *from = in->at;
        if (!read_number(in) || in->at - from >= NUMBER_BYTES)
            return false;
        memcpy(text, from, (size_t)(in->at - from));
        text[in->at - from] = 0;
    }
    const char *digits = text + (text[0] == '-');
    if (*digits == 0 || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    *value = strtoll(text, NULL, 10);
    return errno == 0;
}

// Reads the value of a member that has this name.
typedef bool member_fn(reader *in, const char *key);

static bool read_value(reader *in);

static bool pass_member(reader *in, const char *key)
{
    (void)key;
    return read_value(in);
}

// An object or an array. `member` reads the values of an object.
static bool read_members(reader *in, member_fn *member)
{
    bool object = next_is(in, '{');
    const char close = object ? '}' : ']';
    if (!take(in, object ? '{' : '[') || ++in->depth > DEPTH_MAX)
        return false;
    skip_space(in);
    for (bool first = true; !take(in, close); first = false) {
        char key[KEY_BYTES] = "";
        if (!first) {
            if (!take(in, ','))
                return false;
            skip_space(in);
        }
        if (object) {
            if (!read_string(in, key, sizeof key))
                return false;
            skip_space(in);
            if (!take(in, ':'))
                return false;
            skip_space(in);
        }
        if (!member(in, key))
            return false;
        skip_space(in);
    }
    in->depth--;
    return true;
}

static bool read_value(reader *in)
{
    char ignored[8];
    if (in->at == in->end)
        return false;
    switch (*in->at) {
    case '"': return read_string(in, ignored, sizeof ignored);
    case '{':
    case '[': return read_members(in, pass_member);
    case 't': return read_word(in, "true");
    case 'f': return read_word(in, "false");
    case 'n': return read_word(in, "null");
    default: return read_number(in);
    }
}

static bool partial_member(reader *in, const char *key)
{
    if (!next_is(in, 'n')) { // null is as good as absent
        if (strcmp(key, "rejectedSpans") == 0)
            return read_integer(in, &in->rejected);
        if (strcmp(key, "errorMessage") == 0)
            return read_string(in, in->message, MESSAGE_BYTES);
    }
    return read_value(in);
}

static bool response_member(reader *in, const char *key)
{
    if (strcmp(key, "partialSuccess") == 0 && !next_is(in, 'n'))
        return next_is(in, '{') && read_members(in, partial_member);
    return read_value(in);
}

bool nsp__otlp_json_response_decode(const uint8_t *bytes, size_t length, int64_t *rejected, char *message,
                                    size_t size)
{
    char text[MESSAGE_BYTES] = "";
    reader in = {.at = bytes, .end = bytes + length, .message = text};
    *rejected = 0;
    nsp__utf8_line(message, size, "");
    skip_space(&in);
    if (in.at == in.end)
        return true;
    if (!next_is(&in, '{') || !read_members(&in, response_member))
        return false;
    skip_space(&in);
    if (in.at != in.end)
        return false;
    *rejected = in.rejected > 0 ? in.rejected : 0;
    nsp__utf8_line(message, size, text);
    return true;
}
