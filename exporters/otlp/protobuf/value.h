// SPDX-License-Identifier: Apache-2.0
//
// Attributes as KeyValue messages.
//
// Functions take the place to write to and the limit. They return the new end, or NULL if there is no room,
// and write nothing beyond limit + NSP__SLACK.
#ifndef NSP_OTLP_PROTOBUF_VALUE_H
#define NSP_OTLP_PROTOBUF_VALUE_H

#include <nanospan/exporter.h>

#include "otlp/protobuf/wire.h"

// Kept free behind the limit for what is written without a check: copies in whole blocks, lengths that move
// what they count, and the closing fields of a span.
enum { NSP__SLACK = 96 };

static inline bool nsp__room(const uint8_t *at, const uint8_t *limit, size_t size)
{
    return limit - at >= (ptrdiff_t)size;
}

// A string field, made valid UTF-8.
uint8_t *nsp__put_text(uint8_t *at, const uint8_t *limit, uint8_t tag, const uint8_t *text, size_t length);

enum {
    NSP__SHORT_KEY = 80, // keys and values up to these sizes make a KeyValue with lengths of one byte
    NSP__SHORT_TEXT = 32,
    NSP__SHORT_MAX = 3 + NSP__SHORT_KEY + 2 + 2 + NSP__SHORT_TEXT // bytes of such a KeyValue
};

_Static_assert(3 + NSP__SHORT_KEY + 2 + NSP__SHORT_TEXT < 0x80,
               "the length of a short KeyValue takes one byte");

// The frame of a KeyValue with a short key, around an AnyValue of value_size bytes that lies, or will lie, at
// the returned place.
static inline uint8_t *nsp__put_short_frame(uint8_t *at, uint8_t tag, nsp__form key, size_t value_size)
{
    at[0] = tag;
    at[1] = (uint8_t)(3 + key.size + value_size);
    at[2] = NSP__TAG(1, NSP__WIRE_BYTES);
    at = nsp__put_form(at + 3, key);
    at[0] = NSP__TAG(2, NSP__WIRE_BYTES);
    at[1] = (uint8_t)value_size;
    return at + 2;
}

// A KeyValue that is short, as nearly all are. If it is not, returns NULL, and what was written is void. key:
// the form "length, text" of the item's key, at most NSP__SHORT_KEY bytes. There must be room for
// NSP__SHORT_MAX bytes.
static inline __attribute__((always_inline)) uint8_t *nsp__put_short_attribute(uint8_t *at, uint8_t tag,
                                                                               nsp__form key, uint8_t type,
                                                                               uint8_t small, size_t length,
                                                                               const uint8_t *payload)
{
    uint64_t word;
    if (type == NSP_TYPE_I64 && length == 8) {
        memcpy(&word, payload, sizeof word);
        at = nsp__put_short_frame(at, tag, key, 1 + nsp__varint_size(word));
        *at++ = NSP__TAG(3, NSP__WIRE_VARINT);
        return nsp__put_varint(at, word);
    }
    if (type == NSP_TYPE_F64 && length == 8) {
        memcpy(&word, payload, sizeof word);
        at = nsp__put_short_frame(at, tag, key, 9);
        *at++ = NSP__TAG(4, NSP__WIRE_FIXED64);
        return nsp__put_fixed64(at, word);
    }
    if (type == NSP_TYPE_STR && length <= NSP__SHORT_TEXT) {
        at = nsp__put_short_frame(at, tag, key, 2 + length);
        *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
        *at++ = (uint8_t)length;
        // The payload is padded to whole words; the padding is shifted out before the test for ASCII.
        uint64_t seen = 0;
        for (size_t done = 0; done < length; done += sizeof word) {
            memcpy(&word, payload + done, sizeof word);
            memcpy(at + done, &word, sizeof word);
            word = le64toh(word);
            if (done + sizeof word > length)
                word <<= 8 * (done + sizeof word - length);
            seen |= word;
        }
        return NSP__LIKELY(!(seen & 0x8080808080808080u)) ? at + length : NULL;
    }
    if (type == NSP_TYPE_BOOL) {
        at = nsp__put_short_frame(at, tag, key, 2);
        *at++ = NSP__TAG(2, NSP__WIRE_VARINT);
        *at++ = small != 0;
        return at;
    }
    return NULL;
}

// A KeyValue of any type and size. Nothing is written for an item that is not an attribute.
uint8_t *nsp__put_attribute(uint8_t *at, const uint8_t *limit, uint8_t tag, nsp__form key,
                            const nsp_item *item);

#endif
