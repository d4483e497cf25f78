// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

enum { DEEPEST_GROUP = 32 };

const char *wire_varint_slow(wire *from, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (from->at == from->end)
            return "the bytes end inside a number";
        uint8_t byte = *from->at++;
        if (shift == 63 && byte > 1)
            return "a number is larger than 64 bits"; // or goes on, after ten bytes
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return NULL;
        }
    }
}

static const char *fixed(wire *from, uint64_t *value, size_t size)
{
    if ((size_t)(from->end - from->at) < size)
        return "the bytes end inside a number";
    *value = 0;
    for (size_t i = 0; i < size; i++)
        *value |= (uint64_t)from->at[i] << (8 * i);
    from->at += size;
    return NULL;
}

static const char *read_at_depth(wire *from, wire_field *field, unsigned depth);

// OTLP and current protobuf have no groups, but old writers may use them in unknown fields.
static const char *skip_group(wire *from, uint32_t number, unsigned depth)
{
    if (depth == DEEPEST_GROUP)
        return "groups are nested too deeply";
    while (from->at < from->end) {
        wire_field inner;
        const char *wrong = read_at_depth(from, &inner, depth + 1);
        if (wrong != NULL)
            return wrong;
        if (inner.type == WIRE_GROUP_END)
            return inner.number == number ? NULL : "a group ends that was not started";
    }
    return "the bytes end inside a group";
}

static const char *read_at_depth(wire *from, wire_field *field, unsigned depth)
{
    const uint8_t *start = from->at;
    uint64_t tag = 0;
    const char *wrong = wire_varint(from, &tag);
    if (wrong != NULL)
        return wrong;
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        return "a field has no valid number";
    *field = (wire_field){.number = (uint32_t)(tag >> 3), .type = tag & 7, .tag = start};
    switch (field->type) {
    case WIRE_VARINT: return wire_varint(from, &field->value);
    case WIRE_FIXED64: return fixed(from, &field->value, 8);
    case WIRE_FIXED32: return fixed(from, &field->value, 4);
    case WIRE_GROUP: return skip_group(from, field->number, depth);
    case WIRE_GROUP_END: return depth ? NULL : "a group ends that was not started";
    case WIRE_BYTES: return wire_bytes(from, &field->bytes);
    default: return "a field has an unknown wire type";
    }
}

const char *wire_read_slow(wire *from, wire_field *field)
{
    return read_at_depth(from, field, 0);
}
