// SPDX-License-Identifier: Apache-2.0
#include "common/json_read.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "common/hex.h"
#include "common/utf8.h"

void nsp__json_begin(nsp__json_reader *r, char *data, size_t length)
{
    *r = (nsp__json_reader){.at = data, .end = data + length};
}

static bool fail(nsp__json_reader *r, const char *why)
{
    if (r->wrong == NULL)
        r->wrong = why;
    return false;
}

// The next byte that is not white space, without consuming it; 0 at the end or after an error.
static inline char peek(nsp__json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
    return r->at < r->end && r->wrong == NULL ? *r->at : '\0';
}

static bool literal(nsp__json_reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return fail(r, "a value was expected");
    r->at += length;
    return true;
}

static bool in_object(const nsp__json_reader *r)
{
    unsigned innermost = r->depth - 1; // only asked within brackets
    return (r->objects[innermost / 64] >> innermost % 64 & 1) != 0;
}

void nsp__json_enter(nsp__json_reader *r, char bracket)
{
    char found = peek(r);
    r->missing = found == 'n';
    if (r->missing) {
        literal(r, "null");
    } else if (found != bracket) {
        fail(r, bracket == '{' ? "an object was expected" : "an array was expected");
    } else if (r->depth == NSP__JSON_DEEPEST) {
        fail(r, "brackets are nested too deeply");
    } else {
        uint64_t bit = UINT64_C(1) << r->depth % 64, *word = &r->objects[r->depth / 64];
        *word = bracket == '{' ? *word | bit : *word & ~bit;
        r->depth++;
        r->at++;
        r->fresh = true;
    }
}

bool nsp__json_element(nsp__json_reader *r)
{
    if (r->missing || r->depth == 0) {
        r->missing = false;
        return false;
    }
    char found = peek(r);
    if (found == (in_object(r) ? '}' : ']')) {
        r->at++;
        r->depth--;
        r->fresh = false;
        return false;
    }
    if (!r->fresh) {
        if (found != ',')
            return fail(r, found ? "a comma or a closing bracket was expected" : "the text ends too early");
        r->at++;
    }
    r->fresh = false;
    return peek(r) ? true : fail(r, "the text ends too early");
}

static int hex4(const char *at)
{
    uint8_t bytes[2];
    return nsp__hex_decode(bytes, at, sizeof bytes) ? bytes[0] << 8 | bytes[1] : -1;
}

// r->at is just after "\u". Half of a surrogate pair stays as it is, and is later written as U+FFFD.
static bool unicode_escape(nsp__json_reader *r, uint32_t *point)
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

// Decodes in place, from the first backslash on: the decoded text is never longer than its source.
static bool decode_rest(nsp__json_reader *r, char *start, nsp__slice *out)
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
        if (known != NULL)
            *to++ = TO[known - FROM];
        else if (kind != 'u')
            return fail(r, "an unknown escape within a string");
        else if (unicode_escape(r, &point))
            to += nsp__utf8_put((uint8_t *)to, point);
        else
            return false;
    }
    if (r->at == r->end)
        return fail(r, "the text ends within a string");
    r->at++;
    *out = (nsp__slice){start, (size_t)(to - start)};
    return true;
}

// r->at is at the opening quote.
static bool string(nsp__json_reader *r, nsp__slice *out)
{
    char *start = ++r->at;
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
        r->at++;
    if (r->at < r->end && *r->at == '"') {
        *out = (nsp__slice){start, (size_t)(r->at++ - start)};
        return true;
    }
    return decode_rest(r, start, out);
}

bool nsp__json_key(nsp__json_reader *r, nsp__slice *name)
{
    if (!nsp__json_element(r))
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

static bool take(nsp__json_reader *r, char wanted)
{
    bool there = r->at < r->end && *r->at == wanted;
    r->at += there;
    return there;
}

static bool take_digits(nsp__json_reader *r)
{
    char *start = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > start;
}

static bool number(nsp__json_reader *r, nsp__slice *out)
{
    char *start = r->at;
    take(r, '-');
    bool sound = (take(r, '0') || take_digits(r)) && (!take(r, '.') || take_digits(r));
    if (sound && (take(r, 'e') || take(r, 'E'))) {
        if (!take(r, '+'))
            take(r, '-');
        sound = take_digits(r);
    }
    *out = (nsp__slice){start, (size_t)(r->at - start)};
    return sound ? true : fail(r, "a value was expected");
}

bool nsp__json_scalar(nsp__json_reader *r, nsp__slice *out)
{
    char found = peek(r);
    *out = (nsp__slice){NULL, 0};
    switch (found) {
    case '"': return string(r, out);
    case 'n': return literal(r, "null");
    case 't': *out = (nsp__slice){r->at, 4}; return literal(r, "true");
    case 'f': *out = (nsp__slice){r->at, 5}; return literal(r, "false");
    case '{':
    case '[': return fail(r, "a string or a number was expected");
    case '\0': return fail(r, "the text ends too early");
    default: return number(r, out);
    }
}

bool nsp__json_string(nsp__json_reader *r, nsp__slice *out)
{
    char found = peek(r);
    if (found != '"' && found != 'n') {
        *out = (nsp__slice){NULL, 0};
        return fail(r, "a string was expected");
    }
    return nsp__json_scalar(r, out);
}

uint64_t nsp__json_number(nsp__json_reader *r)
{
    nsp__slice digits;
    uint64_t value = 0;
    if (nsp__json_scalar(r, &digits))
        for (size_t i = 0; i < digits.length && digits.text[i] >= '0' && digits.text[i] <= '9'; i++)
            value = value * 10 + (uint64_t)(digits.text[i] - '0');
    return value;
}

const char *nsp__json_integer_of(nsp__slice digits, int64_t *out)
{
    char text[24] = ""; // room for 20 digits, a sign and a zero
    *out = 0;
    if (digits.length != 0 && digits.length < sizeof text)
        memcpy(text, digits.text, digits.length);
    const char *first = text + (text[0] == '-');
    if (*first == 0 || strspn(first, "0123456789") + (size_t)(first - text) != digits.length)
        return "a whole number was expected";
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return errno == 0 ? NULL : "a number does not fit into 64 bits";
}

bool nsp__json_integer(nsp__json_reader *r, int64_t *out)
{
    nsp__slice digits;
    *out = 0;
    if (!nsp__json_scalar(r, &digits))
        return false;
    const char *wrong = digits.text != NULL ? nsp__json_integer_of(digits, out) : NULL;
    return wrong == NULL ? true : fail(r, wrong);
}

bool nsp__json_id(nsp__json_reader *r, uint64_t *words, size_t count)
{
    nsp__slice digits;
    memset(words, 0, count * sizeof *words);
    return nsp__json_scalar(r, &digits) && digits.length == 16 * count &&
           nsp__hex_words(words, digits.text, count);
}

bool nsp__json_double(nsp__json_reader *r, double *out)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    static const double values[] = {NAN, INFINITY, -INFINITY};
    char text[64] = "";
    nsp__slice digits;
    bool quoted = peek(r) == '"';
    *out = 0;
    if (!nsp__json_scalar(r, &digits))
        return false;
    if (digits.text == NULL)
        return true;
    if (quoted) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (nsp__slice_is(digits, words[i])) {
                *out = values[i];
                return true;
            }
        return fail(r, "a number was expected");
    }
    if (digits.length >= sizeof text || *digits.text == 't' || *digits.text == 'f')
        return fail(r, "a number was expected");
    memcpy(text, digits.text, digits.length);
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); // allocates nothing
    *out = strtod_l(text, NULL, plain);
    freelocale(plain);
    return true;
}

void nsp__json_skip(nsp__json_reader *r)
{
    unsigned outside = r->depth;
    nsp__slice ignored;
    for (;;) {
        char found = peek(r);
        if (found == '{' || found == '[')
            nsp__json_enter(r, found);
        else
            nsp__json_scalar(r, &ignored);
        // Goes to the next value, and leaves the brackets that end before it.
        do {
            if (r->wrong != NULL || r->depth == outside)
                return;
        } while (in_object(r) ? !nsp__json_key(r, &ignored) : !nsp__json_element(r));
    }
}

bool nsp__json_finish(nsp__json_reader *r)
{
    if (r->wrong == NULL && peek(r))
        fail(r, "something follows the end of the object");
    return r->wrong == NULL;
}
