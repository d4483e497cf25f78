// SPDX-License-Identifier: Apache-2.0
//
// Reads protobuf's wire format field by field from untrusted bytes. Every length is checked before it is
// used.
#ifndef NANOSPAN_SUPPORT_WIRE_H
#define NANOSPAN_SUPPORT_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5
};

typedef struct wire {
    const uint8_t *at;
    const uint8_t *end;
} wire;

typedef struct wire_field {
    uint32_t number;
    uint32_t type;
    uint64_t value;     // of a varint or a fixed number
    wire bytes;         // of WIRE_BYTES
    const uint8_t *tag; // where the field begins
} wire_field;

// Both return NULL, or why the bytes at `from->at` are malformed.
const char *wire_read_slow(wire *from, wire_field *field);
const char *wire_varint_slow(wire *from, uint64_t *value);

static inline const char *wire_varint(wire *from, uint64_t *value)
{
    if (from->at < from->end && *from->at < 0x80) {
        *value = *from->at++;
        return NULL;
    }
    return wire_varint_slow(from, value);
}

static inline const char *wire_bytes(wire *from, wire *bytes)
{
    uint64_t length = 0;
    const char *wrong = wire_varint(from, &length);
    if (wrong != NULL)
        return wrong;
    if (length > (uint64_t)(from->end - from->at))
        return "a length exceeds the rest of its message";
    *bytes = (wire){from->at, from->at + length};
    from->at += length;
    return NULL;
}

// Reads the next field; at least one byte must be left. This is the fast case: nearly all fields of OTLP have
// a tag of one byte and hold bytes, a varint or 64 fixed bits.
static inline const char *wire_read(wire *from, wire_field *field)
{
    uint32_t tag = *from->at;
    field->tag = from->at;
    field->number = tag >> 3;
    field->type = tag & 7;
    if (tag >= 8 && tag < 0x80) {
        if (field->type == WIRE_BYTES) {
            from->at++;
            return wire_bytes(from, &field->bytes);
        }
        if (field->type == WIRE_VARINT) {
            from->at++;
            return wire_varint(from, &field->value);
        }
        if (field->type == WIRE_FIXED64 && from->end - from->at > 8) {
            uint64_t value;
            memcpy(&value, from->at + 1, sizeof value);
            field->value = le64toh(value);
            from->at += 9;
            return NULL;
        }
    }
    return wire_read_slow(from, field);
}

#endif
