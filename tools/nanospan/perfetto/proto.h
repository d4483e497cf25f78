// SPDX-License-Identifier: Apache-2.0
//
// Writes protobuf's wire format at the end of a text, field by field. (OTLP's writer counts on room that its caller has
// made, for the few fields that a span has; here there is always room.)
#ifndef NANOSPAN_PERFETTO_PROTO_H
#define NANOSPAN_PERFETTO_PROTO_H

#include "support/text.h"
#include "support/wire.h"

static inline void proto_varint(text *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[length++] = (uint8_t)(value | 0x80);
    bytes[length++] = (uint8_t)value;
    text_add(out, bytes, length);
}

static inline void proto_tag(text *out, uint32_t field, uint32_t type)
{
    proto_varint(out, (uint64_t)field << 3 | type);
}

// uint32, uint64, bool, enum; and int32 and int64 after a conversion, which protobuf writes in two's complement.
static inline void proto_number(text *out, uint32_t field, uint64_t value)
{
    proto_tag(out, field, WIRE_VARINT);
    proto_varint(out, value);
}

static inline void proto_fixed64(text *out, uint32_t field, uint64_t value)
{
    proto_tag(out, field, WIRE_FIXED64);
    value = htole64(value);
    text_add(out, &value, sizeof value);
}

static inline void proto_double(text *out, uint32_t field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    proto_fixed64(out, field, bits);
}

static inline void proto_bytes(text *out, uint32_t field, slice bytes)
{
    proto_tag(out, field, WIRE_BYTES);
    proto_varint(out, bytes.length);
    text_slice(out, bytes);
}

// A string; what is not UTF-8 becomes U+FFFD, since readers refuse it.
void proto_string(text *out, uint32_t field, slice value);

// A message in a field: what is written until proto_close, which takes what proto_open returned. Lengths below 128 are
// the usual ones, and the only ones for which nothing is moved.
static inline size_t proto_open(text *out, uint32_t field)
{
    proto_tag(out, field, WIRE_BYTES);
    text_char(out, '\0');
    return out->length;
}

void proto_close(text *out, size_t opened);

#endif
