// SPDX-License-Identifier: Apache-2.0
//
// Writes JSON in OTLP's form into a growing text, with the writers of common/text.h: ids in hexadecimal,
// 64-bit integers as strings, other bytes in base64.
#ifndef NANOSPAN_SUPPORT_JSON_TEXT_H
#define NANOSPAN_SUPPORT_JSON_TEXT_H

#include "text.h"

// A quoted string, with invalid UTF-8 replaced and quotes, backslashes and control characters escaped.
void json_string(text *out, slice value);

void json_hex(text *out, const uint8_t *bytes, size_t length);
void json_base64(text *out, const uint8_t *bytes, size_t length);

// The shortest text that reads back as the same number; NaN and the infinities as strings.
void json_double(text *out, double value);

void json_unsigned(text *out, uint64_t value);
void json_signed(text *out, int64_t value);

#endif
