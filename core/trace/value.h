// SPDX-License-Identifier: Apache-2.0
//
// The values of attributes, as the payload of items in an open span's record.
#ifndef NSP_TRACE_VALUE_H
#define NSP_TRACE_VALUE_H

#include "trace/item_writer.h"

// The bytes that a value takes as payload if the record has room. Not much more than `most`, however many
// there are.
size_t nsp__value_bytes(const nsp__writer *to, const nsp_attr *attr, size_t most);

// The bytes that a value may take as payload: all but the reserve, and of that at most half of what is left,
// however many long values come. Short ones are never cut while there is room.
uint32_t nsp__value_share(const nsp__writer *to);

// Writes a value of `wanted` bytes as an item's payload, cut to `room` bytes. Returns how many bytes were
// written. If that is 0 for a value that has some, not even a part of it fits.
size_t nsp__value_write(const nsp__writer *to, const nsp_attr *attr, uint8_t *payload, size_t wanted,
                        size_t room);

// The same, for a value of any type. Returns the item's tag, and in *cut whether something of the value is
// missing. Returns 0, which is no tag, if not even a part of it fits.
uint64_t nsp__value_put_payload(const nsp__writer *to, const nsp_attr *attr, uint8_t *payload, size_t wanted,
                                size_t room, bool *cut);

// Counts a value that was cut.
void nsp__value_count_cut(void);

// Writes one attribute item at the end, where there are `room` bytes for its payload. False if there is no
// room even for a value that is cut.
bool nsp__value_put(nsp__writer *to, const nsp_attr *attr, size_t wanted, size_t room);

// A long value leaves this much room to those that come after it: an eighth of the record.
static inline uint32_t nsp__value_reserve(const nsp__writer *to)
{
    return (to->limit - (uint32_t)sizeof(nsp__record)) / 8;
}

// The common case: a number, or a text or bytes that fit before the reserve. Returns false and does nothing
// for everything else.
static inline bool nsp__value_put_whole(nsp__writer *to, const nsp_attr *attr)
{
    uint32_t at = to->cursor;
    uint64_t *item = nsp__writer_at(to, at);
    size_t count = attr->count;
    switch (attr->type) {
    case NSP_TYPE_BOOL:
    case NSP_TYPE_I64:
    case NSP_TYPE_F64: {
        bool number = attr->type != NSP_TYPE_BOOL;
        if (at + NSP__ITEM_BYTES(8) > to->limit)
            return false;
        item[0] =
            nsp__item_tag(attr->key, attr->type, number ? 0 : attr->value.boolean, number ? 8 : 0) | to->mark;
        if (number)
            memcpy(&item[1], &attr->value, 8);
        to->cursor = at + NSP__ITEM_BYTES(8);
        return true;
    }
    case NSP_TYPE_STR:
    case NSP_TYPE_BYTES:
        if (count > to->value_limit || attr->value.bytes == NULL ||
            at + NSP__ITEM_BYTES(count) + nsp__value_reserve(to) > to->limit)
            return false;
        memcpy(&item[1], attr->value.bytes, count);
        item[0] = nsp__writer_tag(to, attr->key, attr->type, count);
        to->cursor = at + NSP__ITEM_BYTES(count);
        return true;
    default: return false;
    }
}

#endif
