// SPDX-License-Identifier: Apache-2.0
//
// Functions with which otlp_protobuf.c and otlp_values.c read protobuf and write JSON: take_... reads and
// checks a field, put_... writes a member if JSON is wanted. Only those two files may include this.
#ifndef NANOSPAN_SUPPORT_OTLP_DECODER_H
#define NANOSPAN_SUPPORT_OTLP_DECODER_H

#include "json_text.h"
#include "otlp_request.h"
#include "wire.h"
#include "common/utf8.h"
#include <stdio.h>

// The joined bytes of a singular message that came in several parts; freed after decoding.
typedef struct joint {
    struct joint *next;
    uint8_t bytes[];
} joint;

typedef struct decoder {
    otlp_request *request;
    text *json; // NULL: JSON is not wanted
    service_tally *service;
    joint *joints;
    const uint8_t *start;
    size_t length;
    unsigned depth;
    bool failed;
} decoder;

// Where the elements of a repeated field are in the message.
typedef struct run {
    const uint8_t *first;
    size_t count;
} run;

// Visits one element of a repeated field.
typedef void element(decoder *d, wire message);

// Records the first fault and its place. Every loop over fields ends after a fault.
void decoder_fail(decoder *d, const uint8_t *at, const char *why);

static inline bool next(decoder *d, wire *message, wire_field *field)
{
    if (d->failed || message->at == message->end)
        return false;
    const char *wrong = wire_read(message, field);
    if (wrong != NULL) {
        decoder_fail(d, message->at, wrong);
        return false;
    }
    return true;
}

static inline bool is(decoder *d, const wire_field *field, uint32_t type, const char *name)
{
    if (field->type == type)
        return true;
    char why[96];
    snprintf(why, sizeof why, "field %s has wire type %u, not %u", name, field->type, type);
    decoder_fail(d, field->tag, why);
    return false;
}

static inline void take_number(decoder *d, const wire_field *field, uint32_t type, const char *name,
                               uint64_t *out)
{
    if (is(d, field, type, name))
        *out = field->value;
}

static inline void take_bytes(decoder *d, const wire_field *field, const char *name, wire *out)
{
    if (is(d, field, WIRE_BYTES, name))
        *out = field->bytes;
}

static inline void take_text(decoder *d, const wire_field *field, const char *name, wire *out)
{
    take_bytes(d, field, name, out);
    if (!d->failed && !nsp__utf8_valid(out->at, (size_t)(out->end - out->at))) {
        char why[96];
        snprintf(why, sizeof why, "field %s is not valid UTF-8", name);
        decoder_fail(d, out->at, why);
    }
}

// An id is 0 or `size` bytes long.
static inline void take_id(decoder *d, const wire_field *field, const char *name, size_t size, wire *out)
{
    take_bytes(d, field, name, out);
    size_t length = (size_t)(out->end - out->at);
    if (!d->failed && length != size && length != 0) {
        char why[96];
        snprintf(why, sizeof why, "field %s has %zu bytes, not %zu", name, length, size);
        decoder_fail(d, out->at, why);
    }
}

// A message that may occur once. If it comes in several parts, it means the same as the parts joined.
void take_message(decoder *d, const wire_field *field, const char *name, wire *out);

static inline void take_element(decoder *d, const wire_field *field, const char *name, run *out)
{
    if (!is(d, field, WIRE_BYTES, name))
        return;
    if (!out->count++)
        out->first = field->tag;
}

static inline slice text_of(wire bytes)
{
    return (slice){(const char *)bytes.at, (size_t)(bytes.end - bytes.at)};
}

// A comma, except at the start of an object or array.
static inline void separate(text *json)
{
    char last = json->data[json->length - 1];
    if (last != '{' && last != '[')
        text_char(json, ',');
}

static inline __attribute__((always_inline)) void key(text *json, const char *name)
{
    separate(json);
    text_char(json, '"');
    text_put(json, name);
    text_put(json, "\":");
}

static inline void open_object(decoder *d)
{
    if (d->json != NULL) {
        separate(d->json);
        text_char(d->json, '{');
    }
}

static inline void close_object(decoder *d)
{
    if (d->json != NULL)
        text_char(d->json, '}');
}

// Like proto3, these leave out empty strings and bytes, and numbers that are zero.
static inline __attribute__((always_inline)) void put_text(decoder *d, const char *name, wire bytes)
{
    if (d->json != NULL && bytes.at < bytes.end) {
        key(d->json, name);
        json_string(d->json, text_of(bytes));
    }
}

static inline __attribute__((always_inline)) void put_id(decoder *d, const char *name, wire bytes)
{
    if (d->json != NULL && bytes.at < bytes.end) {
        key(d->json, name);
        json_hex(d->json, bytes.at, (size_t)(bytes.end - bytes.at));
    }
}

static inline __attribute__((always_inline)) void put_nanoseconds(decoder *d, const char *name,
                                                                  uint64_t value)
{
    if (d->json != NULL && value) {
        key(d->json, name);
        text_char(d->json, '"');
        json_unsigned(d->json, value);
        text_char(d->json, '"');
    }
}

// dropped_..._count, flags: 32 bits; kind, code: enums, which are signed.
static inline __attribute__((always_inline)) void put_small(decoder *d, const char *name, uint64_t value)
{
    if (d->json != NULL && (uint32_t)value) {
        key(d->json, name);
        json_unsigned(d->json, (uint32_t)value);
    }
}

static inline __attribute__((always_inline)) void put_enum(decoder *d, const char *name, uint64_t value)
{
    if (d->json != NULL && (uint32_t)value) {
        key(d->json, name);
        json_signed(d->json, (int32_t)(uint32_t)value);
    }
}

// Visits the elements of a repeated field from first to last, and skips whatever lies between them.
void each(decoder *d, const char *name, uint32_t number, run elements, const uint8_t *end, element *visit);

// One KeyValue, an element of `attributes`.
void key_value(decoder *d, wire message);

#endif
