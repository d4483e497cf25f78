// SPDX-License-Identifier: Apache-2.0
//
// Decodes AnyValue, the lists that it may hold, and KeyValue.
#include "otlp_decoder.h"

enum { DEEPEST_VALUE = 64 };

static void value(decoder *d, wire message);

void key_value(decoder *d, wire message)
{
    wire name = {0}, held = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1: take_text(d, &field, "KeyValue.key", &name); break;
        case 2: take_message(d, &field, "KeyValue.value", &held); break;
        default: break;
        }
    open_object(d);
    if (d->json != NULL) {
        key(d->json, "key");
        json_string(d->json, text_of(name));
    }
    if (held.at != NULL) {
        if (d->json != NULL)
            key(d->json, "value");
        value(d, held);
    }
    close_object(d);
}

static void array_element(decoder *d, wire message)
{
    if (d->json != NULL)
        separate(d->json);
    value(d, message);
}

// ArrayValue and KeyValueList; both keep their elements in `values`, field 1.
static void list(decoder *d, wire message, element *visit)
{
    const uint8_t *end = message.end;
    run values = {0};
    wire_field field;
    while (next(d, &message, &field))
        if (field.number == 1)
            take_element(d, &field, "values", &values);
    if (d->json != NULL)
        text_char(d->json, '{');
    each(d, "values", 1, values, end, visit);
    close_object(d);
}

static void put_value(decoder *d, uint32_t which, uint64_t number, wire bytes)
{
    text *json = d->json;
    double real = 0;
    switch (which) {
    case 1:
        key(json, "stringValue");
        json_string(json, text_of(bytes));
        break;
    case 2:
        key(json, "boolValue");
        text_slice(json, nsp__slice_of(number ? "true" : "false"));
        break;
    case 3:
        key(json, "intValue");
        text_char(json, '"');
        json_signed(json, (int64_t)number);
        text_char(json, '"');
        break;
    case 4:
        key(json, "doubleValue");
        memcpy(&real, &number, sizeof real);
        json_double(json, real);
        break;
    case 7:
        key(json, "bytesValue");
        json_base64(json, bytes.at, (size_t)(bytes.end - bytes.at));
        break;
    default: break;
    }
}

// AnyValue: if several of its seven forms are present, the last one counts. The caller has written the key or
// the comma.
static void value(decoder *d, wire message)
{
    uint32_t which = 0;
    uint64_t number = 0;
    wire bytes = {0};
    wire_field field;
    if (++d->depth > DEEPEST_VALUE)
        decoder_fail(d, message.at, "values are nested too deeply");
    while (next(d, &message, &field)) {
        if (field.number > 7)
            continue;
        if (field.number != which)
            bytes = (wire){0};
        which = field.number;
        switch (which) {
        case 1: take_text(d, &field, "AnyValue.string_value", &bytes); break;
        case 2: take_number(d, &field, WIRE_VARINT, "AnyValue.bool_value", &number); break;
        case 3: take_number(d, &field, WIRE_VARINT, "AnyValue.int_value", &number); break;
        case 4: take_number(d, &field, WIRE_FIXED64, "AnyValue.double_value", &number); break;
        case 5: take_message(d, &field, "AnyValue.array_value", &bytes); break;
        case 6: take_message(d, &field, "AnyValue.kvlist_value", &bytes); break;
        case 7: take_bytes(d, &field, "AnyValue.bytes_value", &bytes); break;
        default: break;
        }
    }
    if (d->json != NULL) {
        text_char(d->json, '{');
        put_value(d, which, number, bytes);
        if (which == 5 || which == 6)
            key(d->json, which == 5 ? "arrayValue" : "kvlistValue");
    }
    if (which == 5 || which == 6)
        list(d, bytes, which == 5 ? array_element : key_value);
    close_object(d);
    d->depth--;
}
