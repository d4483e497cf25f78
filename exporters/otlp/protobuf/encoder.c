// SPDX-License-Identifier: Apache-2.0
//
// Fields are written in the order of their numbers, and each span at its final place. Only resource and scope
// come last, because the lengths around them include all spans: close writes them into the head room before
// the first span.
#include "otlp/encoding.h"
#include "otlp/protobuf/span.h"

#include "common/utf8.h"

#include <stdlib.h>

static uint8_t *name_form(uint8_t *out, const uint8_t *text, size_t length)
{
    out = nsp__put_varint(out, nsp__utf8_repaired_size(text, length));
    return nsp__utf8_repair(out, text, length);
}

nsp_status nsp__otlp_encoder_create(nsp__otlp_encoder **out, const nsp_exporter_context *context)
{
    *out = NULL;
    nsp__otlp_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return NSP_ERR_NO_MEMORY;
    encoder->threshold = NSP_CONTEXT_UNKNOWN;
    encoder->keys.table = nsp__name_table_of(context);
    encoder->names = nsp__names_create(context, name_form, NSP__UTF8_GROWTH, NSP__VARINT_MAX);
    nsp_status status =
        encoder->names != NULL ? nsp__otlp_prefix_pack(&encoder->prefix, context) : NSP_ERR_NO_MEMORY;
    if (status != NSP_OK) {
        nsp__otlp_encoder_destroy(encoder);
        return status;
    }
    encoder->head = encoder->prefix.size + 2 * (1 + NSP__VARINT_MAX);
    *out = encoder;
    return NSP_OK;
}

void nsp__otlp_encoder_destroy(nsp__otlp_encoder *encoder)
{
    if (encoder == NULL)
        return;
    for (size_t i = 0; i < NSP__OTLP_PATHS; i++)
        free(encoder->paths[i]);
    nsp__names_destroy(encoder->names);
    free(encoder->prefix.bytes);
    free(encoder);
}

void nsp__otlp_encoder_open(void *state, nsp_batch *batch)
{
    const nsp__otlp_encoder *encoder = state;
    batch->encoding = NSP_ENCODING_OTLP_PROTOBUF;
    batch->head = encoder->head <= batch->capacity ? encoder->head : batch->capacity;
    batch->length = batch->head;
}

void nsp__otlp_encoder_close(void *state, nsp_batch *batch)
{
    const nsp__otlp_encoder *encoder = state;
    if (batch->head < encoder->head) {
        batch->head = batch->length;
        return;
    }
    // From the inside out: scope and spans make the ScopeSpans; resource and ScopeSpans make the
    // ResourceSpans.
    const nsp__otlp_prefix *prefix = &encoder->prefix;
    size_t scope_spans = prefix->size - prefix->resource_size + (batch->length - batch->head);
    size_t resource_spans = prefix->resource_size + 1 + nsp__varint_size(scope_spans) + scope_spans;
    batch->head -= 2 + nsp__varint_size(resource_spans) + nsp__varint_size(scope_spans) + prefix->size;
    uint8_t *at = batch->data + batch->head;
    *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
    at = nsp__put_varint(at, resource_spans);
    memcpy(at, prefix->bytes, prefix->resource_size);
    at += prefix->resource_size;
    *at++ = NSP__TAG(2, NSP__WIRE_BYTES);
    at = nsp__put_varint(at, scope_spans);
    memcpy(at, prefix->bytes + prefix->resource_size, prefix->size - prefix->resource_size);
}

static uint8_t *put_attributes(nsp__otlp_encoder *encoder, uint8_t *at, const uint8_t *limit, uint8_t tag,
                               nsp__scope scope)
{
    nsp_item item;
    while (at != NULL && nsp__scope_next(&scope, &item))
        at = nsp__put_attribute(at, limit, tag, nsp__names_get(encoder->names, item.key), &item);
    return at;
}

// More than any event or link needs apart from its name, tracestate and attributes.
enum { OWNER_FIXED = 64 };

static uint8_t *put_events(nsp__otlp_encoder *encoder, uint8_t *at, const uint8_t *limit,
                           const nsp_span_view *view)
{
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    while (nsp__owner_next(&cursor, NSP_ITEM_EVENT, &item)) {
        nsp_item_event event;
        memcpy(&event, item.payload, sizeof event);
        nsp__form name = nsp__names_get(encoder->names, item.key);
        if (!nsp__room(at, limit, OWNER_FIXED + name.size))
            return NULL;
        uint8_t *body = nsp__open_length(at, NSP__TAG(11, NSP__WIRE_BYTES));
        at = body;
        *at++ = NSP__TAG(1, NSP__WIRE_FIXED64);
        at = nsp__put_fixed64(at, nsp_span_view_ns(view, event.ticks));
        *at++ = NSP__TAG(2, NSP__WIRE_BYTES);
        at = nsp__put_form(at, name);
        nsp__scope scope = nsp__scope_enter(&encoder->keys, &cursor, &item);
        at = put_attributes(encoder, at, limit, NSP__TAG(3, NSP__WIRE_BYTES), scope);
        if (at == NULL)
            return NULL;
        at = nsp__put_count(at, NSP__TAG(4, NSP__WIRE_VARINT), event.dropped_attributes + scope.unnamed);
        at = nsp__close_length(body, at);
    }
    return at;
}

static uint8_t *put_links(nsp__otlp_encoder *encoder, uint8_t *at, const uint8_t *limit,
                          const nsp_span_view *view)
{
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    while (nsp__owner_next(&cursor, NSP_ITEM_LINK, &item)) {
        nsp_item_link link;
        memcpy(&link, item.payload, sizeof link);
        if (!nsp__room(at, limit, OWNER_FIXED))
            return NULL;
        uint8_t *body = nsp__open_length(at, NSP__TAG(13, NSP__WIRE_BYTES));
        at = nsp__put_id(body, NSP__TAG(1, NSP__WIRE_BYTES), link.trace_id, NSP_TRACE_ID_SIZE);
        at = nsp__put_id(at, NSP__TAG(2, NSP__WIRE_BYTES), link.span_id, NSP_SPAN_ID_SIZE);
        if (item.length > sizeof link)
            at = nsp__put_text(at, limit, NSP__TAG(3, NSP__WIRE_BYTES), item.payload + sizeof link,
                               item.length - sizeof link);
        nsp__scope scope = nsp__scope_enter(&encoder->keys, &cursor, &item);
        if (at != NULL)
            at = put_attributes(encoder, at, limit, NSP__TAG(4, NSP__WIRE_BYTES), scope);
        if (at == NULL)
            return NULL;
        at = nsp__put_count(at, NSP__TAG(5, NSP__WIRE_VARINT), link.dropped_attributes + scope.unnamed);
        *at++ = NSP__TAG(6, NSP__WIRE_FIXED32);
        at = nsp__put_fixed32(at, nsp__wire_flags(link.flags, link.remote));
        at = nsp__close_length(body, at);
    }
    return at;
}

static uint8_t *put_status(uint8_t *at, const uint8_t *limit, const nsp_span_view *view,
                           const nsp__parts *parts)
{
    if (!nsp__room(at, limit, OWNER_FIXED))
        return NULL;
    uint8_t *body = nsp__open_length(at, NSP__TAG(15, NSP__WIRE_BYTES));
    at = body;
    if (view->status == NSP_SPAN_STATUS_ERROR && parts->message_length) {
        at = nsp__put_text(at, limit, NSP__TAG(2, NSP__WIRE_BYTES), parts->message, parts->message_length);
        if (at == NULL)
            return NULL;
    }
    *at++ = NSP__TAG(3, NSP__WIRE_VARINT);
    *at++ = nsp__wire_status(view->status);
    return nsp__close_length(body, at);
}

__attribute__((noinline)) uint8_t *nsp__put_plain_attributes(nsp__otlp_encoder *encoder, uint8_t *at,
                                                             const uint8_t *limit, const nsp_span_view *view,
                                                             uint32_t base)
{
    const nsp__names *names = encoder->names;
    nsp__keys *keys = &encoder->keys;
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        // An item that is not an attribute has no short form either, but its key must not count as an
        // attribute's. The forms of keys beyond the slots are not kept.
        if (NSP__UNLIKELY(item.type >= NSP_ITEM_EVENT || item.key >= NSP__NAME_SLOTS ||
                          !nsp__key_named(keys, item.key)))
            return NULL;
        nsp__form key = {names->arena + names->slot[item.key].offset, names->slot[item.key].size};
        if (NSP__UNLIKELY(nsp__keys_note(keys, item.key, base) || key.size - 1 >= NSP__SHORT_KEY ||
                          !nsp__room(at, limit, NSP__SHORT_MAX)))
            return NULL;
        at = nsp__put_short_attribute(at, NSP__TAG(9, NSP__WIRE_BYTES), key, item.type, item.small,
                                      item.length, item.payload);
        if (NSP__UNLIKELY(at == NULL))
            return NULL;
    }
    return at;
}

// A span of any shape, up to the status.
static __attribute__((noinline)) uint8_t *put_any(nsp__otlp_encoder *encoder, uint8_t *at,
                                                  const uint8_t *limit, const nsp_span_view *view,
                                                  nsp__form name)
{
    nsp__parts parts;
    nsp__parts_find(&encoder->keys, view, &parts);
    at = nsp__put_span_head(encoder, at, limit, view, name, parts.tracestate, parts.tracestate_length);
    at = put_attributes(encoder, at, limit, NSP__TAG(9, NSP__WIRE_BYTES), parts.attributes);
    if (at == NULL)
        return NULL;
    at = nsp__put_count(at, NSP__TAG(10, NSP__WIRE_VARINT),
                        view->dropped_attributes + parts.attributes.unnamed);
    if (parts.events && (at = put_events(encoder, at, limit, view)) == NULL)
        return NULL;
    at = nsp__put_count(at, NSP__TAG(12, NSP__WIRE_VARINT), view->dropped_events);
    if (parts.links && (at = put_links(encoder, at, limit, view)) == NULL)
        return NULL;
    at = nsp__put_count(at, NSP__TAG(14, NSP__WIRE_VARINT), view->dropped_links);
    if (view->status)
        at = put_status(at, limit, view, &parts);
    return at;
}

bool nsp__otlp_encoder_append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    nsp__otlp_encoder *encoder = state;
    nsp__form name = nsp__names_get(encoder->names, view->name);
    if (NSP__UNLIKELY(batch->capacity < batch->length + NSP__SPAN_FIXED + name.size + NSP__SLACK))
        return false;
    uint8_t *start = batch->data + batch->length;
    const uint8_t *limit = batch->data + batch->capacity - NSP__SLACK;
    uint8_t *body = nsp__open_length(start, NSP__TAG(2, NSP__WIRE_BYTES));

    // Nearly all spans are plain and are written in one pass. A span that turns out not to be plain is
    // started again.
    uint8_t *at = NULL;
    if (NSP__LIKELY(
            !(view->status | view->dropped_attributes | view->dropped_events | view->dropped_links))) {
        at = nsp__put_span_head(encoder, body, limit, view, name, NULL, 0);
        at = nsp__put_plain_attributes(encoder, at, limit, view, nsp__keys_begin(&encoder->keys));
    }
    if (NSP__UNLIKELY(at == NULL) && (at = put_any(encoder, body, limit, view, name)) == NULL)
        return false;
    at = nsp__put_span_flags(at, nsp__wire_flags(view->trace_flags, view->parent_remote));
    at = nsp__close_length(body, at);
    batch->length = (size_t)(at - batch->data);
    return true;
}

static nsp_status create(void **encoder, const nsp_exporter_context *context)
{
    nsp__otlp_encoder *made;
    nsp_status status = nsp__otlp_encoder_create(&made, context);
    *encoder = made;
    return status;
}

static void destroy(void *encoder)
{
    nsp__otlp_encoder_destroy(encoder);
}

const nsp__otlp_encoding nsp__otlp_protobuf = {
    .content_type = "application/x-protobuf",
    .create = create,
    .destroy = destroy,
    .open = nsp__otlp_encoder_open,
    .append = nsp__otlp_encoder_append,
    .close = nsp__otlp_encoder_close,
    .append_path = nsp__otlp_encoder_append_path,
    .cutter = &nsp__otlp_protobuf_cutter,
    .read_response = nsp__otlp_response_decode,
};
