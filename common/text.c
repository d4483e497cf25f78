// SPDX-License-Identifier: Apache-2.0
#include "common/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base64.h"
#include "common/hex.h"
#include "common/utf8.h"

void nsp__text_digits(nsp__text *text, uint64_t value, unsigned digits)
{
    char buffer[20];
    char *at = buffer + sizeof buffer;
    unsigned written = 0;
    for (; (value || written < digits) && written < sizeof buffer; written++, value /= 10)
        *--at = (char)('0' + value % 10);
    nsp__text_bytes(text, at, written);
}

void nsp__text_u64(nsp__text *text, uint64_t value)
{
    nsp__text_digits(text, value, 1);
}

void nsp__text_i64(nsp__text *text, int64_t value)
{
    if (value < 0)
        nsp__text_put(text, "-");
    nsp__text_digits(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1);
}

// For prices, quantities and ratios, which are often an integer below 2^53 divided by a small power of ten.
// Both are exact as double, and division is correctly rounded. So if the quotient is the number, the decimal
// form reads back as the same number.
static bool put_short_decimal(nsp__text *text, double value)
{
    const double exact = 9007199254740992.0; // 2^53
    double power = 1;
    for (unsigned places = 0; places <= 9; places++, power *= 10) {
        double scaled = nearbyint(value * power);
        if (scaled >= exact)
            return false;
        if (scaled / power != value)
            continue;
        uint64_t digits = (uint64_t)scaled, unit = (uint64_t)power;
        nsp__text_u64(text, digits / unit);
        if (places) {
            nsp__text_put(text, ".");
            nsp__text_digits(text, digits % unit, places);
        }
        return true;
    }
    return false;
}

void nsp__text_f64(nsp__text *text, double value)
{
    if (isnan(value)) {
        nsp__text_put(text, "NaN");
        return;
    }
    if (signbit(value))
        nsp__text_put(text, "-");
    double size = fabs(value);
    if (isinf(size)) {
        nsp__text_put(text, "Infinity");
        return;
    }
    if (size == 0) {
        // A reader that takes "-0" for an integer would lose the sign.
        nsp__text_put(text, signbit(value) ? "0.0" : "0");
        return;
    }
    if (put_short_decimal(text, size))
        return;
    char buffer[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(buffer, sizeof buffer, "%.*g", precision, size);
        if (strtod(buffer, NULL) == size)
            break;
    }
    // printf and strtod follow the locale, whose decimal separator may be any characters; the digits are the
    // same in all locales.
    const char *digits = "0123456789e+-";
    size_t whole = strspn(buffer, digits);
    nsp__text_bytes(text, buffer, whole);
    if (buffer[whole]) {
        nsp__text_put(text, ".");
        nsp__text_put(text, buffer + whole + strcspn(buffer + whole, digits));
    }
}

// Room for this many bytes, or NULL if they do not fit.
static char *take_room(nsp__text *text, size_t length)
{
    if (length > (size_t)(text->limit - text->at))
        text->full = true;
    if (text->full)
        return NULL;
    char *room = (char *)text->at;
    text->at += length;
    return room;
}

void nsp__text_hex(nsp__text *text, const uint8_t *bytes, size_t length)
{
    char *room = take_room(text, 2 * length);
    if (room != NULL)
        nsp__hex_encode(room, bytes, length);
}

void nsp__text_base64(nsp__text *text, const uint8_t *bytes, size_t length)
{
    char *room = take_room(text, NSP__BASE64_DIGITS(length));
    if (room != NULL)
        nsp__base64_encode(room, bytes, length, true);
}

static bool plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

// Writes the escape of a character that must be escaped; code < 0x100.
static void put_escape(nsp__text *text, uint8_t code)
{
    static const char short_codes[] = "\"\\\b\f\n\r\t", short_forms[] = "\"\\bfnrt";
    char escape[6] = {'\\', 'u', '0', '0', 0, 0};
    const char *found = code ? strchr(short_codes, code) : NULL;
    if (found != NULL) {
        escape[1] = short_forms[found - short_codes];
        nsp__text_bytes(text, escape, 2);
        return;
    }
    nsp__hex_encode(escape + 4, &code, 1);
    nsp__text_bytes(text, escape, sizeof escape);
}

void nsp__text_quoted(nsp__text *text, const uint8_t *bytes, size_t length)
{
    const uint8_t *at = bytes, *end = length != 0 ? bytes + length : bytes; // nothing may be NULL
    nsp__text_put(text, "\"");
    while (at < end) {
        size_t run = 0;
        while (at + run < end && plain(at[run]))
            run++;
        nsp__text_bytes(text, at, run);
        at += run;
        if (at == end)
            break;
        bool valid;
        size_t step = nsp__utf8_next(at, end, &valid);
        if (!valid)
            nsp__text_put(text, "\xEF\xBF\xBD"); // U+FFFD
        else if (step == 1)
            put_escape(text, *at);
        else if (at[0] == 0xC2 && at[1] < 0xA0) // the second set of control characters
            put_escape(text, at[1]);
        else
            nsp__text_bytes(text, at, step);
        at += step;
    }
    nsp__text_put(text, "\"");
}

uint8_t *nsp__quoted_form(uint8_t *out, const uint8_t *bytes, size_t length)
{
    nsp__text text = {out, out + NSP__QUOTED_GROWTH * length + 2, false};
    nsp__text_quoted(&text, bytes, length);
    return text.at;
}
