// SPDX-License-Identifier: Apache-2.0
#include "json_text.h"

#include <math.h>

#include "common/base64.h"
#include "common/hex.h"
#include "common/text.h"

enum { NUMBER_ROOM = 40 };

// A writer of common/text.h that appends to the text and has room for that many bytes.
static nsp__text behind(text *out, size_t room)
{
    uint8_t *at = (uint8_t *)text_room(out, room);
    return (nsp__text){at, at + room, false};
}

static void take_in(text *out, const nsp__text *written)
{
    out->length = (size_t)((char *)written->at - out->data);
}

void json_string(text *out, slice value)
{
    // First tries with room for a few escapes, and only if that is too small with room for nothing but
    // escapes.
    nsp__text to = behind(out, value.length + value.length / 8 + 16);
    nsp__text_quoted(&to, (const uint8_t *)value.text, value.length);
    if (to.full) {
        to = behind(out, NSP__QUOTED_GROWTH * value.length + 2);
        nsp__text_quoted(&to, (const uint8_t *)value.text, value.length);
    }
    take_in(out, &to);
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
    bool finite = isfinite(value);
    nsp__text to = behind(out, NUMBER_ROOM);
    nsp__text_put(&to, finite ? "" : "\"");
    nsp__text_f64(&to, value);
    nsp__text_put(&to, finite ? "" : "\"");
    take_in(out, &to);
}

void json_unsigned(text *out, uint64_t value)
{
    nsp__text to = behind(out, NUMBER_ROOM);
    nsp__text_u64(&to, value);
    take_in(out, &to);
}

void json_signed(text *out, int64_t value)
{
    nsp__text to = behind(out, NUMBER_ROOM);
    nsp__text_i64(&to, value);
    take_in(out, &to);
}
