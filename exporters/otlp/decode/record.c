// SPDX-License-Identifier: Apache-2.0
#include "otlp/decode/record.h"

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

enum { ITEM_HEADER = 8 };

bool nsp__made_create(nsp__made_record *made)
{
    made->record = aligned_alloc(sizeof(nsp__pair), NSP__MADE_BYTES_MAX);
    return made->record != NULL;
}

void nsp__made_free(nsp__made_record *made)
{
    free(made->record);
}

void nsp__made_begin(nsp__made_record *made)
{
    memset(made->record, 0, sizeof *made->record);
    made->length = sizeof *made->record;
    made->latest = made->array = made->owner = 0;
    made->dropped = (nsp__dropped){0};
    made->wrong = false;
}

static uint8_t *at(const nsp__made_record *made, uint32_t offset)
{
    return (uint8_t *)made->record + offset;
}

static uint8_t *payload(const nsp__made_record *made, uint32_t item)
{
    return at(made, item + ITEM_HEADER);
}

static uint64_t tag_of(const nsp__made_record *made, uint32_t item)
{
    uint64_t tag;
    memcpy(&tag, at(made, item), sizeof tag);
    return tag;
}

static void set_tag(const nsp__made_record *made, uint32_t item, uint64_t tag)
{
    memcpy(at(made, item), &tag, sizeof tag);
}

// Gives the item at this place, which is the last one, `length` bytes of payload; the bytes behind them up to
// the item's end become zero. False if the record would grow too long.
static bool take_room(nsp__made_record *made, uint32_t item, size_t length)
{
    uint32_t bytes = NSP__ITEM_BYTES(length);
    if (bytes > NSP__MADE_BYTES_MAX - item) {
        made->wrong = true;
        return false;
    }
    memset(payload(made, item) + length, 0, bytes - ITEM_HEADER - length);
    made->length = item + bytes;
    return true;
}

// Adds an item of at most 65535 bytes. Returns its place; 0: it is not possible.
static uint32_t add_item(nsp__made_record *made, uint8_t type, uint8_t small, const void *bytes,
                         size_t length)
{
    uint32_t item = made->length;
    if (made->wrong || !take_room(made, item, length))
        return 0;
    if (length != 0)
        memcpy(payload(made, item), bytes, length);
    set_tag(made, item, nsp__item_tag(0, type, small, length));
    return item;
}

static uint32_t add_attribute(nsp__made_record *made, nsp_type type, uint8_t small, const void *bytes,
                              size_t length)
{
    uint32_t item = add_item(made, type, small, bytes, length);
    if (item == 0)
        return 0;
    made->latest = item;
    if (made->owner != 0) { // a record has room for fewer items than the count can hold
        size_t offset = (tag_of(made, made->owner) >> 48 & 0xff) == NSP_ITEM_EVENT
                            ? offsetof(nsp_item_event, attribute_count)
                            : offsetof(nsp_item_link, attribute_count);
        uint16_t count;
        memcpy(&count, payload(made, made->owner) + offset, sizeof count);
        count++;
        memcpy(payload(made, made->owner) + offset, &count, sizeof count);
    }
    return item;
}

nsp_name nsp__made_name(const nsp__made_record *made, const void *text, size_t length)
{
    return length != 0 ? made->intern(made->argument, text, length) : 0;
}

// ---- values ----

static bool array_type(nsp_type element, nsp_type *array)
{
    switch (element) {
    case NSP_TYPE_STR: *array = NSP_TYPE_STRS; return true;
    case NSP_TYPE_BOOL: *array = NSP_TYPE_BOOLS; return true;
    case NSP_TYPE_I64: *array = NSP_TYPE_I64S; return true;
    case NSP_TYPE_F64: *array = NSP_TYPE_F64S; return true;
    default: return false;
    }
}

static void add_element(nsp__made_record *made, nsp_type type, const void *bytes, size_t length)
{
    uint32_t item = made->array;
    uint64_t tag = tag_of(made, item);
    size_t used = tag >> 32 & 0xffff, prefix = type == NSP_TYPE_STR ? sizeof(uint16_t) : 0;
    nsp_type whole;
    if (!array_type(type, &whole) || (used != 0 && (tag >> 48 & 0xff) != whole)) {
        made->wrong = true;
        return;
    }
    if (made->array_full || used + prefix + length > UINT16_MAX) {
        made->array_full = true; // also for shorter elements, so that what is left is the beginning
        return;
    }
    if (!take_room(made, item, used + prefix + length))
        return;
    uint16_t size = (uint16_t)length;
    memcpy(payload(made, item) + used, &size, prefix);
    if (length != 0)
        memcpy(payload(made, item) + used + prefix, bytes, length);
    set_tag(made, item, nsp__item_tag(0, whole, 0, used + prefix + length));
}

void nsp__made_value(nsp__made_record *made, nsp_type type, const void *bytes, size_t length)
{
    if (made->wrong)
        return;
    if (made->array != 0)
        add_element(made, type, bytes, length);
    else if (type == NSP_TYPE_BOOL)
        add_attribute(made, type, *(const uint8_t *)bytes, NULL, 0);
    else
        add_attribute(made, type, 0, bytes,
                      type == NSP_TYPE_STR  ? nsp__utf8_cut(bytes, length, UINT16_MAX)
                      : length < UINT16_MAX ? length
                                            : UINT16_MAX);
}

void nsp__made_array_begin(nsp__made_record *made)
{
    // An empty array has no type in OTLP, and looks the same whatever type it has here.
    made->array = add_attribute(made, NSP_TYPE_STRS, 0, NULL, 0);
    made->array_full = false;
}

void nsp__made_array_end(nsp__made_record *made)
{
    made->array = 0;
}

void nsp__made_attribute_begin(nsp__made_record *made)
{
    made->latest = 0;
}

void nsp__made_attribute_end(nsp__made_record *made, nsp_name key)
{
    made->wrong = made->wrong || made->latest == 0;
    if (!made->wrong)
        set_tag(made, made->latest, tag_of(made, made->latest) | key);
}

void nsp__made_text(nsp__made_record *made, uint8_t type, const void *text, size_t length)
{
    uint32_t item = add_item(made, type, 0, text, nsp__utf8_cut(text, length, UINT16_MAX));
    if (item != 0 && type == NSP_ITEM_TRACESTATE)
        made->record->flags |= NSP__RECORD_TRACESTATE;
}

// ---- events and links ----

void nsp__made_event_begin(nsp__made_record *made)
{
    made->owner = add_item(made, NSP_ITEM_EVENT, 0, &(nsp_item_event){0}, sizeof(nsp_item_event));
}

void nsp__made_event_end(nsp__made_record *made, nsp_name name, uint64_t time_ns, uint64_t dropped)
{
    nsp_item_event event;
    if (!made->wrong) {
        memcpy(&event, payload(made, made->owner), sizeof event);
        event.ticks = time_ns;
        event.dropped_attributes = nsp__made_count(dropped);
        memcpy(payload(made, made->owner), &event, sizeof event);
        set_tag(made, made->owner, tag_of(made, made->owner) | name);
    }
    made->owner = 0;
}

void nsp__made_link_begin(nsp__made_record *made)
{
    made->owner = add_item(made, NSP_ITEM_LINK, 0, &(nsp_item_link){0}, sizeof(nsp_item_link));
}

void nsp__made_link_state(nsp__made_record *made, const void *text, size_t length)
{
    const size_t fixed = sizeof(nsp_item_link);
    length = nsp__utf8_cut(text, length, UINT16_MAX - fixed);
    // Anything that was added since the link began would be overwritten.
    made->wrong = made->wrong || made->length != made->owner + NSP__ITEM_BYTES(fixed);
    if (made->wrong || !take_room(made, made->owner, fixed + length) || length == 0)
        return;
    memcpy(payload(made, made->owner) + fixed, text, length);
    set_tag(made, made->owner, nsp__item_tag(0, NSP_ITEM_LINK, 0, fixed + length));
}

void nsp__made_link_end(nsp__made_record *made, const nsp_item_link *link)
{
    if (!made->wrong) {
        nsp_item_link whole = *link;
        memcpy(&whole.attribute_count, payload(made, made->owner) + offsetof(nsp_item_link, attribute_count),
               sizeof whole.attribute_count);
        memcpy(payload(made, made->owner), &whole, sizeof whole);
    }
    made->owner = 0;
}

// ---- the whole ----

const nsp__record *nsp__made_end(nsp__made_record *made, uint32_t flags)
{
    nsp__record *record = made->record;
    const nsp__dropped *dropped = &made->dropped;
    if ((dropped->attributes | dropped->events | dropped->links) != 0 &&
        add_item(made, NSP__ITEM_DROPS, 0, dropped, sizeof *dropped) != 0)
        record->flags |= NSP__RECORD_DROPS;
    if (made->wrong)
        return NULL;
    record->flags |= (uint8_t)(NSP__RECORD_KEPT | (flags & (NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM)));
    if ((flags & 0x200u) != 0)
        record->flags |= NSP__RECORD_PARENT_REMOTE;
    if (record->parent_id == 0)
        record->flags |= NSP__RECORD_ROOT;
    // Of the others only the parent is known.
    if (record->parent_id == 0 || (flags & 0x200u) != 0)
        record->local_root_id = record->span_id;
    record->threshold = UINT32_MAX; // none: where there is one, the tracestate has it
    record->bytes = made->length;
    return record;
}
