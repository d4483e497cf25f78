// SPDX-License-Identifier: Apache-2.0
#include "proto.h"

#include "common/utf8.h"

void proto_string(text *out, uint32_t field, slice value)
{
    const uint8_t *bytes = (const uint8_t *)value.text;
    if (!value.length || nsp__utf8_valid(bytes, value.length)) {
        proto_bytes(out, field, value);
        return;
    }
    const size_t size = nsp__utf8_repaired_size(bytes, value.length);
    proto_tag(out, field, WIRE_BYTES);
    proto_varint(out, size);
    nsp__utf8_repair((uint8_t *)text_room(out, size), bytes, value.length);
    out->length += size;
}

void proto_close(text *out, size_t opened)
{
    const size_t length = out->length - opened;
    char bytes[10];
    text size = {bytes, 0, sizeof bytes}; // never grows
    proto_varint(&size, length);
    if (size.length > 1) {
        text_room(out, size.length - 1);
        memmove(out->data + opened + size.length - 1, out->data + opened, length);
        out->length += size.length - 1;
    }
    memcpy(out->data + opened - 1, bytes, size.length);
}
