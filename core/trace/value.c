// SPDX-License-Identifier: Apache-2.0
#include "trace/value.h"

#include "common/utf8.h"

static size_t element_bytes(nsp_type type)
{
    return type == NSP_TYPE_BOOLS ? 1 : 8;
}

// Bytes of an element of STRS after the limit of values.
static size_t text_bytes(const nsp__writer *to, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    return length <= to->value_limit ? length : nsp__utf8_cut_characters(text, length, to->value_limit);
}

static size_t strs_bytes(const nsp__writer *to, const nsp_attr *attr, size_t most)
{
    size_t bytes = 0;
    for (size_t i = 0; i < attr->count && bytes <= most; i++)
        bytes += 2 + text_bytes(to, attr->value.strs[i]);
    return bytes;
}

size_t nsp__value_bytes(const nsp__writer *to, const nsp_attr *attr, size_t most)
{
    switch (attr->type) {
    case NSP_TYPE_BOOL: return 0;
    case NSP_TYPE_I64:
    case NSP_TYPE_F64: return 8;
    default: break;
    }
    if (attr->value.bytes == NULL)
        return 0;
    switch (attr->type) {
    case NSP_TYPE_STR:
        return attr->count <= to->value_limit
                   ? attr->count
                   : nsp__utf8_cut_characters(attr->value.str, attr->count, to->value_limit);
    case NSP_TYPE_BYTES: return attr->count < to->value_limit ? attr->count : to->value_limit;
    case NSP_TYPE_STRS: return strs_bytes(to, attr, most);
    default: return attr->count <= most ? attr->count * element_bytes(attr->type) : most + 1;
    }
}

static size_t strs_write(const nsp__writer *to, const nsp_attr *attr, uint8_t *payload, size_t limit)
{
    size_t bytes = 0;
    for (size_t i = 0; i < attr->count && bytes + 2 <= limit; i++) {
        const char *text = attr->value.strs[i];
        size_t length = text_bytes(to, text), most = limit - bytes - 2;
        bool whole = length <= most;
        if (!whole)
            length = nsp__utf8_cut(text, length, most);
        uint16_t prefix = (uint16_t)length;
        memcpy(payload + bytes, &prefix, 2);
        if (length != 0)
            memcpy(payload + bytes + 2, text, length);
        bytes += 2 + length;
        if (!whole)
            break; // the room is used up
    }
    return bytes;
}

size_t nsp__value_write(const nsp__writer *to, const nsp_attr *attr, uint8_t *payload, size_t wanted,
                        size_t room)
{
    size_t kept = wanted;
    if (NSP__UNLIKELY(kept > room))
        kept = attr->type == NSP_TYPE_STR ? nsp__utf8_cut(attr->value.str, wanted, room)
               : attr->type == NSP_TYPE_BYTES || attr->type == NSP_TYPE_BOOLS ? room
                                                                              : room & ~(size_t)7;
    if (attr->type == NSP_TYPE_STRS)
        return wanted != 0 ? strs_write(to, attr, payload, wanted < room ? wanted : room) : 0;
    if (kept != 0)
        memcpy(payload, attr->value.bytes, kept);
    return kept;
}

uint32_t nsp__value_share(const nsp__writer *to)
{
    enum { SHORT = 64 };
    uint32_t room = nsp__writer_room(to), kept = nsp__value_reserve(to);
    uint32_t most = room / 2 > kept ? room - kept : room / 2;
    if (most < SHORT)
        most = SHORT;
    return room < most ? room : most;
}

void nsp__value_count_cut(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer != NULL)
        nsp__count_nested(&producer->home.slot->counters.values_cut);
    else
        nsp__count_unattached(offsetof(nsp__control, unattached_values_cut));
}

uint64_t nsp__value_put_payload(const nsp__writer *to, const nsp_attr *attr, uint8_t *payload, size_t wanted,
                                size_t room, bool *cut)
{
    *cut = false;
    switch (attr->type) {
    case NSP_TYPE_BOOL: return nsp__item_tag(attr->key, NSP_TYPE_BOOL, attr->value.boolean, 0) | to->mark;
    case NSP_TYPE_I64:
    case NSP_TYPE_F64:
        if (room < 8)
            return 0;
        memcpy(payload, &attr->value, 8);
        return nsp__writer_tag(to, attr->key, attr->type, 8);
    case NSP_TYPE_STR:
    case NSP_TYPE_BYTES:
    case NSP_TYPE_STRS:
    case NSP_TYPE_BOOLS:
    case NSP_TYPE_I64S:
    case NSP_TYPE_F64S: {
        size_t kept = nsp__value_write(to, attr, payload, wanted, room);
        *cut = kept < wanted;
        return kept != 0 || wanted == 0 ? nsp__writer_tag(to, attr->key, attr->type, kept) : 0;
    }
    }
    return 0; // no such type
}

bool nsp__value_put(nsp__writer *to, const nsp_attr *attr, size_t wanted, size_t room)
{
    if (to->cursor + NSP__ITEM_HEADER > to->limit)
        return false;
    bool cut;
    uint64_t *item = nsp__writer_at(to, to->cursor);
    uint64_t tag = nsp__value_put_payload(to, attr, (uint8_t *)&item[1], wanted, room, &cut);
    if (tag == 0)
        return false;
    if (NSP__UNLIKELY(cut))
        nsp__value_count_cut();
    item[0] = tag;
    nsp__writer_claim(to, tag >> 32 & 0xffff);
    return true;
}
