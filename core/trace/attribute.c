// SPDX-License-Identifier: Apache-2.0
//
// What is set on a span and does not fit into a few inline stores: long texts, arrays, events, links, status.
#include <string.h>

#include "common/utf8.h"
#include "store/name.h"
#include "trace/commit.h"
#include "trace/stack.h"
#include <nanospan/exporter.h>

#define ITEM_HEADER 8u

// A frame while something is written into it. It is locked meanwhile and its pen has no attributes left, so that a signal
// handler on this thread finds no room for what it sets on the same span: items are neither mixed up nor seen before
// they are whole.
typedef struct writer {
    nsp__frame *frame;
    nsp__record *record;
    uint32_t cursor; // bytes of the record so far
    uint32_t limit, value_limit;
    uint32_t attributes; // left
} writer;

typedef enum dropped_kind { ATTRIBUTE, EVENT, LINK } dropped_kind;

// Takes room for an item of this payload, which must fit.
static uint64_t *claim(writer *to, size_t payload)
{
    uint32_t at = to->cursor;
    to->cursor = at + NSP__ITEM_BYTES(payload);
    return (uint64_t *)(void *)((char *)to->record + at);
}

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
        uint64_t *item = claim(to, sizeof(nsp__dropped));
        item[0] = DROPS_TAG;
        item[1] = 0;
        to->record->flags |= NSP__RECORD_DROPS;
    }
    nsp__dropped counts;
    char *at = (char *)to->record + to->frame->drops_at + ITEM_HEADER;
    memcpy(&counts, at, sizeof counts);
    uint16_t *counter = counter_of(&counts, what);
    *counter = (uint16_t)(*counter + count < UINT16_MAX ? *counter + count : UINT16_MAX);
    memcpy(at, &counts, sizeof counts);
}

// Bytes left for payload behind an item's header; 0 if not even that fits.
static uint32_t room(const writer *to)
{
    return to->cursor + ITEM_HEADER <= to->limit ? to->limit - to->cursor - ITEM_HEADER : 0;
}

static void lock(writer *to, nsp__frame *frame)
{
    const uint16_t none = 0;
    frame->locked = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    uint32_t attributes = frame->pen >> 16;
    // The high half alone (little endian), so that what a handler takes from the low half just before is not given back.
    memcpy((char *)&frame->pen + sizeof none, &none, sizeof none);
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
    frame->pen = NSP__PEN(to->attributes, to->cursor);
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

// Bytes that a value takes as payload, cut to what may be stored; *small gets the BOOL's value.
static size_t cut_bytes(const writer *to, nsp_type type, const void *value, size_t length)
{
    size_t limit = room(to);
    if (limit > to->value_limit)
        limit = to->value_limit;
    if (limit > UINT16_MAX)
        limit = UINT16_MAX;
    if (length <= limit)
        return length;
    return type == NSP_TYPE_STR ? nsp__utf8_cut(value, length, limit) : limit;
}

static size_t element_bytes(nsp_type type)
{
    return type == NSP_TYPE_BOOLS ? 1 : 8;
}

static size_t strs_write(const writer *to, uint8_t *payload, const char *const *values, size_t count,
                         size_t limit)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count && bytes + 2 <= limit; i++) {
        const char *text = values[i] != NULL ? values[i] : "";
        size_t length = strlen(text);
        size_t most = limit - bytes - 2;
        if (most > to->value_limit)
            most = to->value_limit;
        bool whole = length <= most;
        if (!whole)
            length = nsp__utf8_cut(text, length, most);
        uint16_t prefix = (uint16_t)length;
        memcpy(payload + bytes, &prefix, 2);
        memcpy(payload + bytes + 2, text, length);
        bytes += 2 + length;
        if (!whole && most < to->value_limit)
            break; // the room is used up
    }
    return bytes;
}

// Writes one attribute item. False if there is no room for even a cut one.
static bool put(writer *to, const nsp_attr *attr)
{
    if (to->cursor + ITEM_HEADER > to->limit)
        return false;
    uint64_t *item;
    switch (attr->type) {
    case NSP_TYPE_BOOL:
        claim(to, 0)[0] = nsp__item_tag(attr->key, NSP_TYPE_BOOL, attr->value.boolean, 0);
        return true;
    case NSP_TYPE_I64:
    case NSP_TYPE_F64:
        if (room(to) < 8)
            return false;
        item = claim(to, 8);
        memcpy(&item[1], &attr->value, 8);
        item[0] = nsp__item_tag(attr->key, attr->type, 0, 8);
        return true;
    case NSP_TYPE_STR:
    case NSP_TYPE_BYTES: {
        size_t length = attr->value.str != NULL ? attr->count : 0;
        size_t kept = cut_bytes(to, attr->type, attr->value.str, length);
        if (kept == 0 && length != 0 && room(to) < to->value_limit)
            return false;
        item = claim(to, kept);
        if (kept != 0)
            memcpy(&item[1], attr->value.str, kept);
        item[0] = nsp__item_tag(attr->key, attr->type, 0, kept);
        return true;
    }
    case NSP_TYPE_BOOLS:
    case NSP_TYPE_I64S:
    case NSP_TYPE_F64S: {
        size_t size = element_bytes(attr->type);
        size_t limit = room(to) < UINT16_MAX ? room(to) : UINT16_MAX;
        size_t count = attr->value.bytes != NULL ? attr->count : 0;
        if (count > limit / size)
            count = limit / size;
        if (count == 0 && attr->count != 0 && attr->value.bytes != NULL)
            return false;
        item = claim(to, count * size);
        if (count != 0)
            memcpy(&item[1], attr->value.bytes, count * size);
        item[0] = nsp__item_tag(attr->key, attr->type, 0, count * size);
        return true;
    }
    case NSP_TYPE_STRS: {
        size_t limit = room(to) < UINT16_MAX - 7u ? room(to) : UINT16_MAX - 7u;
        size_t count = attr->value.strs != NULL ? attr->count : 0;
        if (limit < 2 && count != 0)
            return false;
        // Written before the room is taken: its size is known only then.
        item = (uint64_t *)(void *)((char *)to->record + to->cursor);
        size_t bytes = strs_write(to, (uint8_t *)&item[1], attr->value.strs, count, limit);
        item[0] = nsp__item_tag(attr->key, NSP_TYPE_STRS, 0, bytes);
        claim(to, bytes);
        return true;
    }
    }
    return false; // no such type
}

static void put_counted(nsp_span *span, const nsp_attr *attr)
{
    writer to;
    if (!write_begin(&to, span, ATTRIBUTE))
        return;
    if (to.attributes == 0 || !put(&to, attr))
        drop(&to, ATTRIBUTE, 1);
    else
        to.attributes -= 1;
    write_end(&to);
}

void nsp__attr_set_slow(nsp_span *span, nsp_name key, nsp_type type, const void *value, size_t length)
{
    nsp_attr attr = {key, type, length, {NULL}};
    attr.value.bytes = value;
    put_counted(span, &attr);
}

void nsp__attr_set_text(nsp_span *span, nsp_name key, const char *value, size_t length)
{
    if (length > 16 || value == NULL || !nsp__attr_set_short(span, key, value, length))
        nsp__attr_set_slow(span, key, NSP_TYPE_STR, value, length);
}

// ---- events and links ----

// Puts the attributes of an event or link behind it; returns how many were dropped.
static uint16_t put_attached(writer *to, const nsp_attr *attributes, size_t count, uint32_t limit,
                             uint16_t *written)
{
    size_t kept = 0;
    *written = 0;
    for (; attributes != NULL && kept < count && kept < limit && kept < UINT16_MAX; kept++) {
        if (!put(to, &attributes[kept]))
            break;
        *written += 1;
    }
    size_t dropped = attributes != NULL ? count - kept : 0;
    return (uint16_t)(dropped < UINT16_MAX ? dropped : UINT16_MAX);
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
    if (to.frame->events >= configured(&nsp__trace_state.events) || room(&to) < sizeof(nsp_item_event)) {
        drop(&to, EVENT, 1);
    } else {
        to.frame->events += 1;
        uint64_t *item = claim(&to, sizeof(nsp_item_event));
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
    if (room(to) < sizeof(nsp_item_link) + state_length)
        state_length = 0; // the link is whole without it
    uint64_t *item = claim(to, sizeof(nsp_item_link) + state_length);
    nsp_item_link link;
    memset(&link, 0, sizeof link);
    memcpy(link.trace_id, context->trace_id, sizeof link.trace_id);
    memcpy(link.span_id, context->span_id, sizeof link.span_id);
    link.flags = context->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
    link.remote = context->remote;
    memcpy((char *)&item[1] + sizeof link, state, state_length);
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
    if (to.frame->links >= configured(&nsp__trace_state.links) || room(&to) < sizeof(nsp_item_link)) {
        drop(&to, LINK, 1);
    } else {
        to.frame->links += 1;
        put_link(&to, context, attributes, count);
    }
    write_end(&to);
}

// ---- status ----

// No counter says that a message was lost: it is cut to what is left, to nothing if need be. An empty one takes back one
// that was set before.
static void put_message(writer *to, const char *message)
{
    size_t length = message != NULL ? strlen(message) : 0;
    if (to->cursor + ITEM_HEADER > to->limit)
        return;
    size_t kept = cut_bytes(to, NSP_TYPE_STR, message, length);
    uint64_t *item = claim(to, kept);
    if (kept != 0)
        memcpy(&item[1], message, kept);
    item[0] = nsp__item_tag(0, NSP_ITEM_STATUS_MESSAGE, 0, kept);
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
