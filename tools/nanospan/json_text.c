// SPDX-License-Identifier: Apache-2.0
#include "json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base64.h"
#include "common/hex.h"

static bool needs_escape(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

static void escape(text *out, unsigned char byte)
{
    static const char SHORT[][2] = {{'"', '"'},  {'\\', '\\'}, {'\n', 'n'}, {'\r', 'r'},
                                    {'\t', 't'}, {'\b', 'b'},  {'\f', 'f'}};
    for (size_t i = 0; i < sizeof SHORT / sizeof SHORT[0]; i++)
        if ((unsigned char)SHORT[i][0] == byte) {
            text_add(out, (char[]){'\\', SHORT[i][1]}, 2);
            return;
        }
    char code[6] = {'\\', 'u', '0', '0', 0, 0};
    nsp__hex_encode(code + 4, &byte, 1);
    text_add(out, code, sizeof code);
}

void json_string(text *out, slice value)
{
    text_room(out, value.length + 2);
    text_char(out, '"');
    size_t plain = 0;
    for (size_t i = 0; i < value.length; i++)
        if (needs_escape((unsigned char)value.text[i])) {
            text_add(out, value.text + plain, i - plain);
            escape(out, (unsigned char)value.text[i]);
            plain = i + 1;
        }
    text_add(out, value.text + plain, value.length - plain);
    text_char(out, '"');
}

void json_hex(text *out, const uint8_t *bytes, size_t length)
{
    char *at = text_room(out, length * 2 + 2);
    at[0] = '"';
    nsp__hex_encode(at + 1, bytes, length);
    at[length * 2 + 1] = '"';
    out->length += length * 2 + 2;
}

void json_base64(text *out, const uint8_t *bytes, size_t length)
{
    char *at = text_room(out, NSP__BASE64_DIGITS(length) + 2);
    at[0] = '"';
    size_t digits = nsp__base64_encode(at + 1, bytes, length, true);
    at[digits + 1] = '"';
    out->length += digits + 2;
}

void json_double(text *out, double value)
{
    if (!isfinite(value)) {
        text_slice(out, nsp__slice_of(isnan(value) ? "\"NaN\""
                                      : value > 0  ? "\"Infinity\""
                                                   : "\"-Infinity\""));
        return;
    }
    // Whole numbers, which are many, need no search for the shortest text.
    if (fabs(value) < 1e15 && value == (double)(int64_t)value && value != 0) {
        json_signed(out, (int64_t)value);
        return;
    }
    char digits[40];
    int length = 0;
    for (int precision = 15; precision <= 17; precision++) {
        length = snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_add(out, digits, (size_t)length);
    // Readers take "-0" for the integer zero and lose its sign.
    if (value == 0 && signbit(value))
        text_put(out, ".0");
}

void json_unsigned(text *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    text_add(out, digits + at, sizeof digits - at);
}

void json_signed(text *out, int64_t value)
{
    if (value < 0)
        text_char(out, '-');
    json_unsigned(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}
