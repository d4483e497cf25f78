// SPDX-License-Identifier: Apache-2.0
#include "otlp/protobuf/value.h"

#include "common/utf8.h"
#include "encode/walk.h"

// A string or bytes field of this size, and its bytes: repaired if they are not valid UTF-8.
static uint8_t *put_repaired(uint8_t *at, uint8_t tag, const uint8_t *text, size_t length, size_t size,
                             bool valid)
{
    *at++ = tag;
    at = nsp__put_varint(at, size);
    if (!valid)
        return nsp__utf8_repair(at, text, length);
    if (length)
        memcpy(at, text, length);
    return at + length;
}

uint8_t *nsp__put_text(uint8_t *at, const uint8_t *limit, uint8_t tag, const uint8_t *text, size_t length)
{
    bool valid = nsp__utf8_valid(text, length);
    size_t size = valid ? length : nsp__utf8_repaired_size(text, length);
    if (!nsp__room(at, limit, 1 + NSP__VARINT_MAX + size))
        return NULL;
    return put_repaired(at, tag, text, length, size, valid);
}

static size_t bytes_field_size(size_t length)
{
    return 1 + nsp__varint_size(length) + length;
}

// The size of the AnyValue of an array's element.
static size_t element_size(const nsp__element *element)
{
    uint64_t word;
    switch (element->type) {
    case NSP_TYPE_BOOL: return 2;
    case NSP_TYPE_F64: return 9;
    case NSP_TYPE_I64: memcpy(&word, element->bytes, sizeof word); return 1 + nsp__varint_size(word);
    default: return bytes_field_size(nsp__utf8_repaired_size(element->bytes, element->length));
    }
}

// The size of the ArrayValue.
static size_t elements_size(const nsp_item *item)
{
    size_t size = 0;
    nsp__element element;
    for (const uint8_t *from = item->payload; nsp__element_next(item, &from, &element);)
        size += bytes_field_size(element_size(&element));
    return size;
}

static uint8_t *put_elements(uint8_t *at, const nsp_item *item)
{
    nsp__element element;
    for (const uint8_t *from = item->payload; nsp__element_next(item, &from, &element);) {
        uint64_t word;
        *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
        at = nsp__put_varint(at, element_size(&element));
        switch (element.type) {
        case NSP_TYPE_BOOL:
            *at++ = NSP__TAG(2, NSP__WIRE_VARINT);
            *at++ = *element.bytes != 0;
            break;
        case NSP_TYPE_F64:
            memcpy(&word, element.bytes, sizeof word);
            *at++ = NSP__TAG(4, NSP__WIRE_FIXED64);
            at = nsp__put_fixed64(at, word);
            break;
        case NSP_TYPE_I64:
            memcpy(&word, element.bytes, sizeof word);
            *at++ = NSP__TAG(3, NSP__WIRE_VARINT);
            at = nsp__put_varint(at, word);
            break;
        default:
            at = put_repaired(at, NSP__TAG(1, NSP__WIRE_BYTES), element.bytes, element.length,
                              nsp__utf8_repaired_size(element.bytes, element.length), false);
        }
    }
    return at;
}

// The fields of a KeyValue up to the AnyValue's body, of any size.
static uint8_t *put_key(uint8_t *at, uint8_t tag, nsp__form key, size_t value_size)
{
    *at++ = tag;
    at = nsp__put_varint(at, 1 + key.size + bytes_field_size(value_size));
    *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
    at = nsp__put_form(at, key);
    *at++ = NSP__TAG(2, NSP__WIRE_BYTES);
    return nsp__put_varint(at, value_size);
}

uint8_t *nsp__put_attribute(uint8_t *at, const uint8_t *limit, uint8_t tag, nsp__form key,
                            const nsp_item *item)
{
    bool valid = true;
    size_t size = item->length; // of the text, the bytes or the elements
    size_t value_size;          // of the AnyValue
    uint64_t word = 0;
    switch (item->type) {
    case NSP_TYPE_STR:
        valid = nsp__utf8_valid(item->payload, item->length);
        if (!valid)
            size = nsp__utf8_repaired_size(item->payload, item->length);
        value_size = bytes_field_size(size);
        break;
    case NSP_TYPE_BYTES: value_size = bytes_field_size(size); break;
    case NSP_TYPE_BOOL: value_size = 2; break;
    case NSP_TYPE_F64: value_size = 9; break;
    case NSP_TYPE_I64:
        memcpy(&word, item->payload, sizeof word);
        value_size = 1 + nsp__varint_size(word);
        break;
    case NSP_TYPE_STRS:
    case NSP_TYPE_BOOLS:
    case NSP_TYPE_I64S:
    case NSP_TYPE_F64S:
        size = elements_size(item);
        value_size = bytes_field_size(size);
        break;
    default: return at;
    }
    if (!nsp__room(at, limit, 3 * (1 + NSP__VARINT_MAX) + key.size + value_size))
        return NULL;

    at = put_key(at, tag, key, value_size);
    switch (item->type) {
    case NSP_TYPE_STR:
        return put_repaired(at, NSP__TAG(1, NSP__WIRE_BYTES), item->payload, item->length, size, valid);
    case NSP_TYPE_BYTES:
        return put_repaired(at, NSP__TAG(7, NSP__WIRE_BYTES), item->payload, item->length, size, true);
    case NSP_TYPE_BOOL:
        *at++ = NSP__TAG(2, NSP__WIRE_VARINT);
        *at++ = item->small != 0;
        return at;
    case NSP_TYPE_F64:
        memcpy(&word, item->payload, sizeof word);
        *at++ = NSP__TAG(4, NSP__WIRE_FIXED64);
        return nsp__put_fixed64(at, word);
    case NSP_TYPE_I64: *at++ = NSP__TAG(3, NSP__WIRE_VARINT); return nsp__put_varint(at, word);
    default: // arrays
        *at++ = NSP__TAG(5, NSP__WIRE_BYTES);
        at = nsp__put_varint(at, size);
        return put_elements(at, item);
    }
}
