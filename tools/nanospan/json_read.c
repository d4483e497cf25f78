// SPDX-License-Identifier: Apache-2.0
#include "json_read.h"

#include "common/hex.h"
#include "common/utf8.h"

enum { DEEPEST = 512 };

void json_begin(json_reader *r, char *data, size_t length)
{
    *r = (json_reader){.at = data, .end = data + length};
}

static bool fail(json_reader *r, const char *why)
{
    if (!r->wrong)
        r->wrong = why;
    return false;
}

// The next byte that is no white space, which stays; 0 at the end or after an error.
static inline char peek(json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
    return r->at < r->end && !r->wrong ? *r->at : '\0';
}

static bool literal(json_reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return fail(r, "neither a value nor a literal");
    r->at += length;
    return true;
}

void json_enter(json_reader *r, char bracket)
{
    char found = peek(r);
    r->fresh = found == bracket;
    r->missing = found == 'n';
    if (r->fresh)
        r->at++;
    else if (!r->missing)
        fail(r, bracket == '{' ? "an object was expected" : "an array was expected");
    else
        literal(r, "null");
}

bool json_element(json_reader *r)
{
    if (r->missing) {
        r->missing = false;
        return false;
    }
    char found = peek(r);
    if (found == ']' || found == '}') {
        r->at++;
        r->fresh = false;
        return false;
    }
    if (!r->fresh) {
        if (found != ',')
            return fail(r, found ? "a comma or a closing bracket was expected" : "the line ends too early");
        r->at++;
    }
    r->fresh = false;
    return peek(r) ? true : fail(r, "the line ends too early");
}

static int hex4(const char *at)
{
    uint8_t bytes[2];
    return nsp__hex_decode(bytes, at, sizeof bytes) ? bytes[0] << 8 | bytes[1] : -1;
}

// r->at stands behind "\u". Half a surrogate pair stays one, which is written as U+FFFD.
static bool unicode_escape(json_reader *r, uint32_t *point)
{
    int first = r->end - r->at >= 4 ? hex4(r->at) : -1;
    if (first < 0)
        return fail(r, "\\u without four hexadecimal digits");
    r->at += 4;
    *point = (uint32_t)first;
    if (first < 0xd800 || first > 0xdfff)
        return true;
    int second = r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u' ? hex4(r->at + 2) : -1;
    if (first < 0xdc00 && second >= 0xdc00 && second <= 0xdfff) {
        *point = 0x10000 + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00);
        r->at += 6;
    }
    return true;
}

// From the first backslash on: what is decoded is never longer than what it was written as.
static bool decode_rest(json_reader *r, char *start, slice *out)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    char *to = r->at;
    while (r->at < r->end && *r->at != '"') {
        if ((unsigned char)*r->at < 0x20)
            return fail(r, "a control character within a string");
        if (*r->at != '\\') {
            *to++ = *r->at++;
            continue;
        }
        if (++r->at == r->end)
            break;
        char kind = *r->at++;
        const char *known = kind ? strchr(FROM, kind) : NULL;
        uint32_t point = 0;
        if (known)
            *to++ = TO[known - FROM];
        else if (kind != 'u')
            return fail(r, "an unknown escape within a string");
        else if (unicode_escape(r, &point))
            to += nsp__utf8_put((uint8_t *)to, point);
        else
            return false;
    }
    if (r->at == r->end)
        return fail(r, "the line ends within a string");
    r->at++;
    *out = (slice){start, (size_t)(to - start)};
    return true;
}

// r->at stands on the opening quote.
static bool string(json_reader *r, slice *out)
{
    char *start = ++r->at;
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
        r->at++;
    if (r->at < r->end && *r->at == '"') {
        *out = (slice){start, (size_t)(r->at++ - start)};
        return true;
    }
    return decode_rest(r, start, out);
}

bool json_key(json_reader *r, slice *name)
{
    if (!json_element(r))
        return false;
    if (peek(r) != '"')
        return fail(r, "the name of a member was expected");
    if (!string(r, name))
        return false;
    if (peek(r) != ':')
        return fail(r, "a colon was expected");
    r->at++;
    return true;
}

static bool number(json_reader *r, slice *out)
{
    char *start = r->at;
    bool digits = false;
    while (r->at < r->end && ((*r->at >= '0' && *r->at <= '9') || strchr("+-.eE", *r->at))) {
        digits = digits || (*r->at >= '0' && *r->at <= '9');
        r->at++;
    }
    *out = (slice){start, (size_t)(r->at - start)};
    return digits ? true : fail(r, "a value was expected");
}

bool json_scalar(json_reader *r, slice *out)
{
    char found = peek(r);
    *out = (slice){NULL, 0};
    switch (found) {
    case '"': return string(r, out);
    case 'n': return literal(r, "null");
    case 't': *out = (slice){r->at, 4}; return literal(r, "true");
    case 'f': *out = (slice){r->at, 5}; return literal(r, "false");
    case '{':
    case '[': return fail(r, "a string or a number was expected");
    case '\0': return fail(r, "the line ends too early");
    default: return number(r, out);
    }
}

uint64_t json_number(json_reader *r)
{
    slice digits;
    uint64_t value = 0;
    if (json_scalar(r, &digits))
        for (size_t i = 0; i < digits.length && digits.text[i] >= '0' && digits.text[i] <= '9'; i++)
            value = value * 10 + (uint64_t)(digits.text[i] - '0');
    return value;
}

static void skip_at_depth(json_reader *r, unsigned depth)
{
    char found = peek(r);
    slice ignored;
    if (depth == DEEPEST) {
        fail(r, "brackets are nested too deep");
    } else if (found == '{') {
        json_enter(r, '{');
        while (json_key(r, &ignored))
            skip_at_depth(r, depth + 1);
    } else if (found == '[') {
        json_enter(r, '[');
        while (json_element(r))
            skip_at_depth(r, depth + 1);
    } else {
        json_scalar(r, &ignored);
    }
}

void json_skip(json_reader *r)
{
    skip_at_depth(r, 0);
}

bool json_finish(json_reader *r)
{
    if (!r->wrong && peek(r))
        fail(r, "something follows the end of the object");
    return !r->wrong;
}
