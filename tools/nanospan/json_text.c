// SPDX-License-Identifier: Apache-2.0
#include "json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char HEX[] = "0123456789abcdef";

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
    text_add(out, (char[]){'\\', 'u', '0', '0', HEX[byte >> 4], HEX[byte & 15]}, 6);
}

void json_string(text *out, slice value)
{
    text_room(out, value.length + 2);
    text_char(out, '"');
    size_t plain = 0;
    for (size_t i = 0; i < value.length; i++)
        if (needs_escape((unsigned char)value.data[i])) {
            text_add(out, value.data + plain, i - plain);
            escape(out, (unsigned char)value.data[i]);
            plain = i + 1;
        }
    text_add(out, value.data + plain, value.length - plain);
    text_char(out, '"');
}

void json_hex(text *out, const uint8_t *bytes, size_t length)
{
    char *at = text_room(out, length * 2 + 2);
    *at++ = '"';
    for (size_t i = 0; i < length; i++) {
        *at++ = HEX[bytes[i] >> 4];
        *at++ = HEX[bytes[i] & 15];
    }
    *at = '"';
    out->length += length * 2 + 2;
}

void json_base64(text *out, const uint8_t *bytes, size_t length)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = text_room(out, (length + 2) / 3 * 4 + 2);
    char *start = at;
    *at++ = '"';
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        bits |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= left > 2 ? bytes[i + 2] : 0;
        *at++ = DIGITS[bits >> 18];
        *at++ = DIGITS[bits >> 12 & 63];
        *at++ = left > 1 ? DIGITS[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? DIGITS[bits & 63] : '=';
    }
    *at++ = '"';
    out->length += (size_t)(at - start);
}

void json_double(text *out, double value)
{
    if (!isfinite(value)) {
        text_slice(out, slice_of(isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\""));
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

// The length of the sequence that starts here, or 0 where it is not valid.
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    size_t length = first < 0x80 ? 1 : first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) == 0xe0 ? 3 : 4;
    if (length == 4 && (first < 0xf0 || first > 0xf4))
        return 0;
    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (first == 0xe0 && at[1] < 0xa0) || (first == 0xf0 && at[1] < 0x90);
    bool surrogate = first == 0xed && at[1] > 0x9f;
    bool too_high = first == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || too_high ? 0 : length;
}

bool utf8_valid(const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes;
    while (length) {
        // Eight ASCII characters at a time.
        uint64_t word = 0;
        if (length >= sizeof word && (memcpy(&word, at, sizeof word), (word & 0x8080808080808080u) == 0)) {
            at += sizeof word;
            length -= sizeof word;
            continue;
        }
        size_t sequence = utf8_sequence(at, length);
        if (!sequence)
            return false;
        at += sequence;
        length -= sequence;
    }
    return true;
}
