// SPDX-License-Identifier: Apache-2.0
//
// Pieces of the protobuf wire format, written forwards. Nothing here checks for room; callers do, once for
// several pieces.
#ifndef NSP_OTLP_PROTOBUF_WIRE_H
#define NSP_OTLP_PROTOBUF_WIRE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "encode/names.h"

// The low bits of a tag.
enum { NSP__WIRE_VARINT = 0, NSP__WIRE_FIXED64 = 1, NSP__WIRE_BYTES = 2, NSP__WIRE_FIXED32 = 5 };

// The tag of a field whose number is below 16.
#define NSP__TAG(field, wire) ((uint8_t)((field) << 3 | (wire)))

enum {
    NSP__VARINT_MAX = 10,
    // A length that is not known yet gets two bytes, enough for 16383. One that needs fewer is still written
    // in two, which decoders accept; one that needs more moves what it counts.
    NSP__LENGTH_GUESS = 2,
    NSP__LENGTH_MOVE = 3 // by at most this much: five bytes hold any length
};

static inline size_t nsp__varint_size(uint64_t value)
{
    return ((unsigned)(63 - __builtin_clzll(value | 1)) * 9 + 73) / 64;
}

static inline uint8_t *nsp__put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *nsp__put_fixed64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline uint8_t *nsp__put_fixed32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

// A field of a known, small number of bytes.
static inline uint8_t *nsp__put_id(uint8_t *at, uint8_t tag, const uint8_t *id, size_t size)
{
    at[0] = tag;
    at[1] = (uint8_t)size;
    memcpy(at + 2, id, size);
    return at + 2 + size;
}

// A count, which is left out if it is 0.
static inline uint8_t *nsp__put_count(uint8_t *at, uint8_t tag, uint32_t count)
{
    if (NSP__UNLIKELY(count)) {
        *at++ = tag;
        at = nsp__put_varint(at, count);
    }
    return at;
}

// A form of encode/names.h. Always writes NSP__NAME_READABLE bytes at least, so that short forms, which
// nearly all are, cost two moves.
static inline uint8_t *nsp__put_form(uint8_t *at, nsp__form form)
{
    memcpy(at, form.bytes, 16);
    memcpy(at + 16, form.bytes + 16, 16);
    if (NSP__UNLIKELY(form.size > NSP__NAME_READABLE))
        memcpy(at + NSP__NAME_READABLE, form.bytes + NSP__NAME_READABLE, form.size - NSP__NAME_READABLE);
    return at + form.size;
}

// Begins a field whose length is written later; the body follows.
static inline uint8_t *nsp__open_length(uint8_t *at, uint8_t tag)
{
    *at = tag;
    return at + 1 + NSP__LENGTH_GUESS;
}

// The rare half of nsp__close_length: the length needs more than two bytes.
uint8_t *nsp__close_length_moving(uint8_t *body, uint8_t *end);

// Ends it: writes the length before the body. Returns the end, which may move by up to NSP__LENGTH_MOVE.
static inline uint8_t *nsp__close_length(uint8_t *body, uint8_t *end)
{
    size_t size = (size_t)(end - body);
    if (NSP__UNLIKELY(size > 0x3FFF))
        return nsp__close_length_moving(body, end);
    body[-2] = (uint8_t)(size | 0x80);
    body[-1] = (uint8_t)(size >> 7);
    return end;
}

#endif
