// SPDX-License-Identifier: Apache-2.0
//
// The writers of common/text.h over text that grows, and JSON as OTLP spells it: ids in hexadecimal, 64-bit integers as strings, other bytes in base64.
#ifndef NANOSPAN_SUPPORT_JSON_TEXT_H
#define NANOSPAN_SUPPORT_JSON_TEXT_H

#include "text.h"

// A quoted string; made valid, and with quotes, backslashes and control characters escaped.
void json_string(text *out, slice value);

void json_hex(text *out, const uint8_t *bytes, size_t length);
void json_base64(text *out, const uint8_t *bytes, size_t length);

// The shortest text that reads back as the same number; NaN and the infinities as strings.
void json_double(text *out, double value);

void json_unsigned(text *out, uint64_t value);
void json_signed(text *out, int64_t value);

#endif
