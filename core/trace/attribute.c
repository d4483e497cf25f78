// SPDX-License-Identifier: Apache-2.0
//
// Attributes that take more than a few inline stores: long texts, arrays, and all that are set after the room
// has run out. The others are written by the inline functions in include/nanospan/abi.
#include "base/hot.h"
#include "trace/reuse.h"
#include "trace/value.h"

// The first of these sections begins on a page, and so all of them do.
__asm__(".pushsection " NSP__HOT_SECTION ",\"ax\"\n.balign 4096\n.popsection");

// For when the room or the count has run out: writes the value in the place of an item that a later value of
// its key has replaced, if there is more room than at the end. True if it was written. A key that the record
// already has does not count again.
static bool put_where_it_fits(nsp__writer *to, const nsp_attr *attr)
{
    size_t end = nsp__value_share(to), wanted = nsp__value_bytes(to, attr, UINT16_MAX);
    uint64_t probe = nsp__writer_tag(to, attr->key, attr->type, 0);
    nsp__reuse found;
    bool readable = nsp__reuse_look(to, probe, &found), cut, written;
    if (to->attributes == 0 && !found.present)
        return false;
    bool at_end = wanted <= end && to->cursor + NSP__ITEM_BYTES(wanted) <= to->limit;
    uint32_t region = readable && !at_end ? nsp__reuse_region(to, &found, wanted, end) : 0;
    if (region == 0) {
        written = nsp__value_put(to, attr, wanted, end);
    } else {
        size_t room = nsp__reuse_room(to, region);
        uint64_t tag = nsp__value_put_payload(to, attr, nsp__reuse_begin(to, region), wanted, room, &cut);
        written = tag != 0;
        if (written)
            nsp__reuse_end(to, region, tag);
        if (written && cut)
            nsp__value_count_cut();
    }
    if (written && !found.present)
        to->attributes -= 1;
    return written;
}

static __attribute__((noinline)) void put_otherwise(nsp__writer *to, const nsp_attr *attr)
{
    size_t room = nsp__value_share(to), wanted = nsp__value_bytes(to, attr, room);
    if (to->attributes != 0 && wanted <= room && nsp__value_put(to, attr, wanted, room))
        to->attributes -= 1;
    else if (!put_where_it_fits(to, attr))
        nsp__writer_drop(to, NSP__DROPPED_ATTRIBUTE, 1);
}

static void put_counted(nsp_span *span, const nsp_attr *attr)
{
    nsp__writer to;
    if (!nsp__writer_begin(&to, span, NSP__DROPPED_ATTRIBUTE))
        return;
    if (NSP__LIKELY(to.attributes != 0 && nsp__value_put_whole(&to, attr)))
        to.attributes -= 1;
    else
        put_otherwise(&to, attr);
    nsp__writer_end(&to);
}

void nsp__attr_set_slow(nsp_span *span, nsp_name key, nsp_type type, const void *value, size_t length)
{
    nsp_attr attr = {key, type, length, {NULL}};
    attr.value.bytes = value;
    put_counted(span, &attr);
}

NSP__HOT void nsp__attr_set_number(nsp_span *span, nsp_name key, uint32_t type, uint64_t value)
{
    nsp_attr attr = {key, (nsp_type)type, 1, {NULL}};
    memcpy(&attr.value, &value, sizeof value);
    put_counted(span, &attr);
}

NSP__HOT void nsp__attr_set_text(nsp_span *span, nsp_name key, const char *value, size_t length)
{
    if (length > 16 || value == NULL || !nsp__attr_set_short(span, key, value, length))
        nsp__attr_set_slow(span, key, NSP_TYPE_STR, value, length);
}
