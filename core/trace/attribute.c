// SPDX-License-Identifier: Apache-2.0
//
// What is set on a span and does not fit into a few inline stores: long texts, arrays, events, links, status.
#include <string.h>

#include "common/utf8.h"
#include "base/name.h"
#include "trace/reuse.h"
#include "trace/misuse.h"
#include "trace/trace_state.h"
#include "trace/writer.h"

typedef nsp__writer writer;

typedef enum dropped_kind { ATTRIBUTE, EVENT, LINK } dropped_kind;

static uint16_t *counter_of(nsp__dropped *counts, dropped_kind what)
{
    return what == ATTRIBUTE ? &counts->attributes : what == EVENT ? &counts->events : &counts->links;
}

#define DROPS_TAG nsp__item_tag(0, NSP__ITEM_DROPS, 0, sizeof(nsp__dropped))

// True if the record has its item of drops. One that a signal handler made while it interrupted an inline setter is lost, as
// all that it sets then: the setter's own item lies there, or what came after it.
static bool has_drops(const writer *to)
{
    uint32_t at = to->frame->drops_at;
    return (to->record->flags & NSP__RECORD_DROPS) != 0 && at < to->cursor &&
           *(const uint64_t *)(const void *)((const char *)to->record + at) == DROPS_TAG;
}

// Counts in an item of its own, made at the first drop; the frame's limit leaves room for that one.
static void drop(writer *to, dropped_kind what, uint16_t count)
{
    if (!has_drops(to)) {
        to->frame->drops_at = (uint16_t)to->cursor;
        uint64_t *item = nsp__writer_claim(to, sizeof(nsp__dropped));
        item[0] = DROPS_TAG;
        item[1] = 0;
        to->record->flags |= NSP__RECORD_DROPS;
    }
    nsp__dropped counts;
    char *at = (char *)to->record + to->frame->drops_at + NSP__ITEM_HEADER;
    memcpy(&counts, at, sizeof counts);
    uint16_t *counter = counter_of(&counts, what);
    *counter = (uint16_t)(*counter + count < UINT16_MAX ? *counter + count : UINT16_MAX);
    memcpy(at, &counts, sizeof counts);
}

static void lock(writer *to, nsp__frame *frame)
{
    const uint16_t none = 0;
    frame->locked = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    uint32_t attributes = frame->cursor >> 16;
    // The high half alone (little endian), so that what a handler takes from the low half just before is not given back.
    memcpy((char *)&frame->cursor + sizeof none, &none, sizeof none);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *to = (writer){frame,        &frame->record,     nsp__frame_bytes(frame),
                   frame->limit, frame->value_limit, attributes};
}

// False if the span is not open, or if this is a signal handler that interrupted writing into it: then it is counted.
static bool write_begin(writer *to, nsp_span *span, dropped_kind what)
{
    nsp__frame *frame = nsp__frame_of(span);
    if (!nsp__span_open(span)) {
        nsp__misused();
        return false;
    }
    if (frame->locked) {
        *counter_of(&frame->interrupting, what) += 1;
        return false;
    }
    lock(to, frame);
    return true;
}

static void drop_interrupting(writer *to)
{
    nsp__dropped counts = to->frame->interrupting;
    memset(&to->frame->interrupting, 0, sizeof counts);
    if (counts.attributes != 0)
        drop(to, ATTRIBUTE, counts.attributes);
    if (counts.events != 0)
        drop(to, EVENT, counts.events);
    if (counts.links != 0)
        drop(to, LINK, counts.links);
}

static void write_end(writer *to)
{
    nsp__frame *frame = to->frame;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    // Once only, so that no storm of signals holds the thread here: what comes later is found by the next write.
    if (NSP__UNLIKELY(
            (frame->interrupting.attributes | frame->interrupting.events | frame->interrupting.links) != 0))
        drop_interrupting(to);
    frame->cursor = NSP__CURSOR(to->attributes, to->cursor);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    frame->locked = 0;
}

void nsp__attr_dropped(nsp_span *span)
{
    writer to;
    if (!write_begin(&to, span, ATTRIBUTE))
        return;
    drop(&to, ATTRIBUTE, 1);
    write_end(&to);
}

// ---- values ----

static size_t element_bytes(nsp_type type)
{
    return type == NSP_TYPE_BOOLS ? 1 : 8;
}

// Bytes of an element of STRS after the limit of values.
static size_t text_bytes(const writer *to, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    return length <= to->value_limit ? length : nsp__utf8_cut_characters(text, length, to->value_limit);
}

static size_t strs_bytes(const writer *to, const nsp_attr *attr, size_t most)
{
    size_t bytes = 0;
    for (size_t i = 0; i < attr->count && bytes <= most; i++)
        bytes += 2 + text_bytes(to, attr->value.strs[i]);
    return bytes;
}

// Bytes that a value takes as payload if the record has room; not much beyond `most`, however many there are.
static size_t payload_bytes(const writer *to, const nsp_attr *attr, size_t most)
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

static size_t strs_write(const writer *to, const nsp_attr *attr, uint8_t *payload, size_t limit)
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

// Writes a value of so many bytes, cut to what there is room for, as an item's payload. Returns how many bytes were written;
// none of a value that has some means that not even a part of it fits.
static size_t payload_write(const writer *to, const nsp_attr *attr, uint8_t *payload, size_t wanted,
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

// A long value leaves some room to those that come after it: an eighth of the record.
static uint32_t reserve(const writer *to)
{
    return (to->limit - (uint32_t)sizeof(nsp__record)) / 8;
}

// Bytes that a value may take as payload: all but the reserve, and of that at most half of what is left, however many long
// values come. Short ones are never cut while there is room.
static uint32_t share(const writer *to)
{
    enum { SHORT = 64 };
    uint32_t room = nsp__writer_room(to), kept = reserve(to);
    uint32_t most = room / 2 > kept ? room - kept : room / 2;
    if (most < SHORT)
        most = SHORT;
    return room < most ? room : most;
}

static void count_cut(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer != NULL)
        nsp__count_nested(&producer->slot->counters.values_cut);
    else
        nsp__count_unattached(offsetof(nsp__control, unattached_values_cut));
}

// The payload of a value, in the place for it. Returns the item's tag, and in *cut whether something of the value is missing; 0
// (no tag) if not even a part of it fits.
static uint64_t put_payload(const writer *to, const nsp_attr *attr, uint8_t *payload, size_t wanted,
                            size_t room, bool *cut)
{
    *cut = false;
    switch (attr->type) {
    case NSP_TYPE_BOOL: return nsp__item_tag(attr->key, NSP_TYPE_BOOL, attr->value.boolean, 0);
    case NSP_TYPE_I64:
    case NSP_TYPE_F64:
        if (room < 8)
            return 0;
        memcpy(payload, &attr->value, 8);
        return nsp__item_tag(attr->key, attr->type, 0, 8);
    case NSP_TYPE_STR:
    case NSP_TYPE_BYTES:
    case NSP_TYPE_STRS:
    case NSP_TYPE_BOOLS:
    case NSP_TYPE_I64S:
    case NSP_TYPE_F64S: {
        size_t kept = payload_write(to, attr, payload, wanted, room);
        *cut = kept < wanted;
        return kept != 0 || wanted == 0 ? nsp__item_tag(attr->key, attr->type, 0, kept) : 0;
    }
    }
    return 0; // no such type
}

// The common case: a number, or a text or bytes that fit in front of the reserve. False with nothing done for all else.
static inline bool put_whole(writer *to, const nsp_attr *attr)
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
        item[0] = nsp__item_tag(attr->key, attr->type, number ? 0 : attr->value.boolean, number ? 8 : 0);
        if (number)
            memcpy(&item[1], &attr->value, 8);
        to->cursor = at + NSP__ITEM_BYTES(8);
        return true;
    }
    case NSP_TYPE_STR:
    case NSP_TYPE_BYTES:
        if (count > to->value_limit || attr->value.bytes == NULL ||
            at + NSP__ITEM_BYTES(count) + reserve(to) > to->limit)
            return false;
        memcpy(&item[1], attr->value.bytes, count);
        item[0] = nsp__item_tag(attr->key, attr->type, 0, count);
        to->cursor = at + NSP__ITEM_BYTES(count);
        return true;
    default: return false;
    }
}

// Writes one attribute item at the end, where there are so many bytes for its payload. False if there is no room for even
// a cut one.
static bool put(writer *to, const nsp_attr *attr, size_t wanted, size_t room)
{
    if (to->cursor + NSP__ITEM_HEADER > to->limit)
        return false;
    bool cut;
    uint64_t *item = nsp__writer_at(to, to->cursor);
    uint64_t tag = put_payload(to, attr, (uint8_t *)&item[1], wanted, room, &cut);
    if (tag == 0)
        return false;
    if (NSP__UNLIKELY(cut))
        count_cut();
    item[0] = tag;
    nsp__writer_claim(to, tag >> 32 & 0xffff);
    return true;
}

// Room or count have run out: a value goes where something lay that a later value of its key has replaced, if it finds
// more room there. True if it was written. A key that is there already needs no place among the counted ones.
static bool put_where_it_fits(writer *to, const nsp_attr *attr)
{
    size_t end = share(to), wanted = payload_bytes(to, attr, UINT16_MAX);
    uint64_t probe = nsp__item_tag(attr->key, attr->type, 0, 0);
    nsp__reuse found;
    bool readable = nsp__reuse_look(to, probe, &found), cut, written;
    if (to->attributes == 0 && !found.present)
        return false;
    bool at_end = wanted <= end && to->cursor + NSP__ITEM_BYTES(wanted) <= to->limit;
    uint32_t region = readable && !at_end ? nsp__reuse_region(to, &found, wanted, end) : 0;
    if (region == 0) {
        written = put(to, attr, wanted, end);
    } else {
        size_t room = nsp__reuse_room(to, region);
        uint64_t tag = put_payload(to, attr, nsp__reuse_begin(to, region), wanted, room, &cut);
        written = tag != 0;
        if (written)
            nsp__reuse_end(to, region, tag);
        if (written && cut)
            count_cut();
    }
    if (written && !found.present)
        to->attributes -= 1;
    return written;
}

static __attribute__((noinline)) void put_otherwise(writer *to, const nsp_attr *attr)
{
    size_t room = share(to), wanted = payload_bytes(to, attr, room);
    if (to->attributes != 0 && wanted <= room && put(to, attr, wanted, room))
        to->attributes -= 1;
    else if (!put_where_it_fits(to, attr))
        drop(to, ATTRIBUTE, 1);
}

static void put_counted(nsp_span *span, const nsp_attr *attr)
{
    writer to;
    if (!write_begin(&to, span, ATTRIBUTE))
        return;
    if (NSP__LIKELY(to.attributes != 0 && put_whole(&to, attr)))
        to.attributes -= 1;
    else
        put_otherwise(&to, attr);
    write_end(&to);
}

void nsp__attr_set_slow(nsp_span *span, nsp_name key, nsp_type type, const void *value, size_t length)
{
    nsp_attr attr = {key, type, length, {NULL}};
    attr.value.bytes = value;
    put_counted(span, &attr);
}

void nsp__attr_set_number(nsp_span *span, nsp_name key, uint32_t type, uint64_t value)
{
    nsp_attr attr = {key, (nsp_type)type, 1, {NULL}};
    memcpy(&attr.value, &value, sizeof value);
    put_counted(span, &attr);
}

void nsp__attr_set_text(nsp_span *span, nsp_name key, const char *value, size_t length)
{
    if (length > 16 || value == NULL || !nsp__attr_set_short(span, key, value, length))
        nsp__attr_set_slow(span, key, NSP_TYPE_STR, value, length);
}

// ---- events and links ----

static bool set_again(const nsp_attr *attributes, size_t count, size_t i)
{
    for (size_t later = i + 1; later < count; later++)
        if (attributes[later].key == attributes[i].key)
            return true;
    return false;
}

static inline bool put_attached_one(writer *to, const nsp_attr *attr)
{
    if (NSP__LIKELY(put_whole(to, attr)))
        return true;
    size_t room = share(to);
    return put(to, attr, payload_bytes(to, attr, room), room);
}

// Without those that are set again later in the list, which are not counted.
static __attribute__((noinline)) uint16_t put_crowded(writer *to, const nsp_attr *attributes, size_t count,
                                                      uint32_t limit, uint16_t *written)
{
    size_t kept = 0, dropped = 0;
    for (size_t i = 0; i < count; i++) {
        if (set_again(attributes, count, i))
            continue;
        bool put_it = dropped == 0 && kept < limit && put_attached_one(to, &attributes[i]);
        kept += put_it;
        dropped += !put_it;
    }
    *written = (uint16_t)kept;
    return (uint16_t)(dropped < UINT16_MAX ? dropped : UINT16_MAX);
}

// Puts the attributes of an event or link behind it; returns how many were dropped. Where they are too many, or too large,
// each key counts once, with its last value.
static __attribute__((noinline)) uint16_t put_attached(writer *to, const nsp_attr *attributes, size_t count,
                                                       uint32_t limit, uint16_t *written)
{
    uint32_t begin = to->cursor;
    *written = 0;
    if (attributes == NULL)
        return 0;
    if (limit > UINT16_MAX)
        limit = UINT16_MAX;
    size_t kept = 0;
    while (kept < count && kept < limit && put_attached_one(to, &attributes[kept]))
        kept++;
    *written = (uint16_t)kept;
    if (NSP__LIKELY(kept == count))
        return 0;
    to->cursor = begin;
    return put_crowded(to, attributes, count, limit, written);
}

// Relaxed: a thread may work on a span while the session ends and the next one sets its limits.
static uint32_t configured(const uint32_t *limit)
{
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static uint32_t attached_limit(bool event)
{
    return configured(event ? &nsp__trace_state.event_attributes : &nsp__trace_state.link_attributes);
}

void nsp__event_add(nsp_span *span, nsp_name name, nsp_ticks at, const nsp_attr *attributes, size_t count)
{
    writer to;
    if (!write_begin(&to, span, EVENT))
        return;
    if (to.frame->events >= configured(&nsp__trace_state.events) ||
        nsp__writer_room(&to) < sizeof(nsp_item_event)) {
        drop(&to, EVENT, 1);
    } else {
        to.frame->events += 1;
        uint64_t *item = nsp__writer_claim(&to, sizeof(nsp_item_event));
        nsp_item_event event = {nsp__ticks_or_now(at), 0, 0, 0};
        event.dropped_attributes =
            put_attached(&to, attributes, count, attached_limit(true), &event.attribute_count);
        memcpy(&item[1], &event, sizeof event);
        item[0] = nsp__item_tag(name, NSP_ITEM_EVENT, 0, sizeof event);
    }
    write_end(&to);
}

static void put_link(writer *to, const nsp_context *context, const nsp_attr *attributes, size_t count)
{
    char state[NSP_TRACESTATE_MAX + 1];
    size_t state_length = nsp_context_format_state(context, state, sizeof state);
    if (nsp__writer_room(to) < sizeof(nsp_item_link) + state_length)
        state_length = 0; // the link is whole without it
    uint64_t *item = nsp__writer_claim(to, sizeof(nsp_item_link) + state_length);
    nsp_item_link link;
    memset(&link, 0, sizeof link);
    memcpy(link.trace_id, context->trace_id, sizeof link.trace_id);
    memcpy(link.span_id, context->span_id, sizeof link.span_id);
    link.flags = context->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
    link.remote = context->remote;
    memcpy((char *)&item[1] + sizeof link, state, state_length);
    if (count != 0)
        link.dropped_attributes =
            put_attached(to, attributes, count, attached_limit(false), &link.attribute_count);
    memcpy(&item[1], &link, sizeof link);
    item[0] = nsp__item_tag(0, NSP_ITEM_LINK, 0, sizeof link + state_length);
}

void nsp__link_add(nsp_span *span, const nsp_context *context, const nsp_attr *attributes, size_t count)
{
    writer to;
    if (context == NULL || !nsp_context_valid(context) || !write_begin(&to, span, LINK))
        return;
    if (to.frame->links >= configured(&nsp__trace_state.links) ||
        nsp__writer_room(&to) < sizeof(nsp_item_link)) {
        drop(&to, LINK, 1);
    } else {
        to.frame->links += 1;
        put_link(&to, context, attributes, count);
    }
    write_end(&to);
}

// ---- status ----

// No counter says that a message was lost: it is cut to what is left, to nothing if need be. An empty one takes back one
// that was set before. It is no attribute, so the limit of their values does not cut it.
static void put_message(writer *to, const char *message)
{
    nsp_attr text = {0, NSP_TYPE_STR, message != NULL ? strlen(message) : 0, {message}};
    const uint64_t kind = nsp__item_tag(0, NSP_ITEM_STATUS_MESSAGE, 0, 0);
    size_t room = share(to);
    uint32_t region = 0;
    nsp__reuse found;
    if ((text.count > room || to->cursor + NSP__ITEM_HEADER > to->limit) && nsp__reuse_look(to, kind, &found))
        region = nsp__reuse_region(to, &found, text.count, room);
    if (region != 0)
        room = nsp__reuse_room(to, region);
    else if (to->cursor + NSP__ITEM_HEADER > to->limit)
        return;
    uint8_t *payload = region != 0 ? nsp__reuse_begin(to, region)
                                   : (uint8_t *)nsp__writer_at(to, to->cursor + NSP__ITEM_HEADER);
    size_t kept = payload_write(to, &text, payload, text.count, room);
    if (kept < text.count)
        count_cut();
    uint64_t tag = kind | (uint64_t)kept << 32;
    if (region != 0)
        nsp__reuse_end(to, region, tag);
    else
        *nsp__writer_claim(to, kept) = tag;
}

void nsp__status_set(nsp_span *span, nsp_span_status status, const char *message)
{
    writer to;
    if (!write_begin(&to, span, ATTRIBUTE))
        return;
    if (status == NSP_SPAN_STATUS_OK) {
        to.record->status = NSP_SPAN_STATUS_OK;
    } else if (status == NSP_SPAN_STATUS_ERROR && to.record->status != NSP_SPAN_STATUS_OK) {
        to.record->status = NSP_SPAN_STATUS_ERROR;
        put_message(&to, message);
    }
    write_end(&to);
}

void nsp__name_set(nsp_span *span, nsp_name name)
{
    nsp__frame *frame = nsp__frame_of(span);
    if (!nsp__span_open(span))
        nsp__misused();
    else if (name != 0)
        __atomic_store_n(&frame->record.name, name,
                         __ATOMIC_RELAXED); // a reader after a crash sees one or the other
}
