// SPDX-License-Identifier: Apache-2.0
//
// OTLP in its JSON form: ids are hex, other bytes base64, 64-bit integers strings, enums numbers. Members are
// in the order of the field numbers.
#include "otlp/encoding.h"

#include <nanospan/version.h>
#include <stdlib.h>

#include "encode/names.h"
#include "common/text.h"
#include "encode/walk.h"
#include "otlp/json/response.h"

typedef struct encoder {
    nsp__names *names; // quoted
    uint8_t *prefix;   // everything before the first span
    size_t prefix_size;
    nsp__keys keys;
} encoder;

static const char suffix[] = "]}]}]}\n"; // everything behind the last one
enum { SUFFIX_SIZE = sizeof suffix - 1 };

static size_t prefix_bound(const nsp_exporter_context *context)
{
    size_t size = 256;
    for (size_t i = 0; i < context->resource_count; i++)
        size += 64 + NSP__QUOTED_GROWTH *
                         (strlen(context->resource_keys[i]) + strlen(context->resource_values[i]));
    return size;
}

static void put_prefix(nsp__text *out, const nsp_exporter_context *context)
{
    nsp__text_put(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t i = 0; i < context->resource_count; i++) {
        const char *key = context->resource_keys[i], *value = context->resource_values[i];
        nsp__text_put(out, i ? ",{\"key\":" : "{\"key\":");
        nsp__text_quoted(out, (const uint8_t *)key, strlen(key));
        bool integer = context->resource_types[i] == NSP_TYPE_I64;
        nsp__text_put(out, integer ? ",\"value\":{\"intValue\":" : ",\"value\":{\"stringValue\":");
        nsp__text_quoted(out, (const uint8_t *)value, strlen(value));
        nsp__text_put(out, "}}");
    }
    nsp__text_put(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"nanospan\",\"version\":\"" NSP_VERSION
                       "\"},\"spans\":[");
}

static void destroy(void *state)
{
    encoder *json = state;
    if (json == NULL)
        return;
    nsp__names_destroy(json->names);
    free(json->prefix);
    free(json);
}

static nsp_status create(void **out, const nsp_exporter_context *context)
{
    *out = NULL;
    encoder *json = calloc(1, sizeof *json);
    if (json == NULL)
        return NSP_ERR_NO_MEMORY;
    size_t bound = prefix_bound(context);
    json->keys.table = nsp__name_table_of(context);
    json->names = nsp__names_create(context, nsp__quoted_form, NSP__QUOTED_GROWTH, 2);
    json->prefix = malloc(bound);
    if (json->names == NULL || json->prefix == NULL) {
        destroy(json);
        return NSP_ERR_NO_MEMORY;
    }
    nsp__text text = {json->prefix, json->prefix + bound, false};
    put_prefix(&text, context);
    json->prefix_size = (size_t)(text.at - json->prefix);
    if (json->prefix_size > context->config->batch_bytes / 2) {
        context->log(NSP_LOG_ERROR, "resource",
                     "the resource attributes take %zu bytes, more than half of a batch of %zu; shorten "
                     "OTEL_RESOURCE_ATTRIBUTES or raise NSP_BATCH_BYTES",
                     json->prefix_size, context->config->batch_bytes);
        destroy(json);
        return NSP_ERR_CONFIG;
    }
    *out = json;
    return NSP_OK;
}

static void open_batch(void *state, nsp_batch *batch)
{
    const encoder *json = state;
    batch->encoding = NSP_ENCODING_OTLP_JSON;
    batch->head = 0;
    batch->length = 0;
    if (batch->capacity < json->prefix_size + SUFFIX_SIZE)
        return;
    memcpy(batch->data, json->prefix, json->prefix_size);
    batch->length = json->prefix_size;
}

static void close_batch(void *state, nsp_batch *batch)
{
    (void)state;
    if (batch->length == 0)
        return;
    memcpy(batch->data + batch->length, suffix, SUFFIX_SIZE);
    batch->length += SUFFIX_SIZE;
}

static void put_name(encoder *json, nsp__text *out, nsp_name name)
{
    nsp__form form = nsp__names_get(json->names, name);
    nsp__text_bytes(out, form.bytes, form.size);
}

static void put_hex_member(nsp__text *out, const char *key, const uint8_t *id, size_t size)
{
    nsp__text_put(out, key);
    nsp__text_hex(out, id, size);
    nsp__text_put(out, "\"");
}

static void put_count_member(nsp__text *out, const char *key, uint64_t count)
{
    if (count == 0)
        return;
    nsp__text_put(out, key);
    nsp__text_u64(out, count);
}

// A scalar AnyValue, whose bytes are at `at`.
static void put_scalar(nsp__text *out, nsp_type type, const uint8_t *at, size_t length)
{
    uint64_t word = 0;
    double number;
    switch (type) {
    case NSP_TYPE_STR:
        nsp__text_put(out, "{\"stringValue\":");
        nsp__text_quoted(out, at, length);
        break;
    case NSP_TYPE_BOOL: nsp__text_put(out, *at ? "{\"boolValue\":true" : "{\"boolValue\":false"); break;
    case NSP_TYPE_I64:
        memcpy(&word, at, sizeof word);
        nsp__text_put(out, "{\"intValue\":\"");
        nsp__text_i64(out, (int64_t)word);
        nsp__text_put(out, "\"");
        break;
    case NSP_TYPE_F64: {
        memcpy(&number, at, sizeof number);
        bool finite = __builtin_isfinite(number);
        nsp__text_put(out, finite ? "{\"doubleValue\":" : "{\"doubleValue\":\"");
        nsp__text_f64(out, number);
        nsp__text_put(out, finite ? "" : "\"");
        break;
    }
    default: // BYTES
        nsp__text_put(out, "{\"bytesValue\":\"");
        nsp__text_base64(out, at, length);
        nsp__text_put(out, "\"");
    }
    nsp__text_put(out, "}");
}

static void put_value(nsp__text *out, const nsp_item *item)
{
    if (item->type == NSP_TYPE_BOOL) {
        put_scalar(out, NSP_TYPE_BOOL, &item->small, 1);
        return;
    }
    if (item->type < NSP_TYPE_STRS) {
        put_scalar(out, (nsp_type)item->type, item->payload, item->length);
        return;
    }
    nsp__text_put(out, "{\"arrayValue\":{\"values\":[");
    nsp__element element;
    const uint8_t *from = item->payload;
    for (bool first = true; nsp__element_next(item, &from, &element); first = false) {
        nsp__text_put(out, first ? "" : ",");
        put_scalar(out, element.type, element.bytes, element.length);
    }
    nsp__text_put(out, "]}}");
}

// The member "attributes", which is left out if there are none.
static void put_attributes(encoder *json, nsp__text *out, nsp__scope scope)
{
    nsp_item item;
    bool first = true;
    while (nsp__scope_next(&scope, &item)) {
        if (item.type < NSP_TYPE_STR || item.type > NSP_TYPE_F64S)
            continue;
        nsp__text_put(out, first ? ",\"attributes\":[{\"key\":" : ",{\"key\":");
        first = false;
        put_name(json, out, item.key);
        nsp__text_put(out, ",\"value\":");
        put_value(out, &item);
        nsp__text_put(out, "}");
    }
    nsp__text_put(out, first ? "" : "]");
}

static void put_events(encoder *json, nsp__text *out, const nsp_span_view *view)
{
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    const char *before = ",\"events\":[";
    for (; nsp__owner_next(&cursor, NSP_ITEM_EVENT, &item); before = ",") {
        nsp_item_event event;
        memcpy(&event, item.payload, sizeof event);
        nsp__text_put(out, before);
        nsp__text_put(out, "{\"timeUnixNano\":\"");
        nsp__text_u64(out, nsp_span_view_ns(view, event.ticks));
        nsp__text_put(out, "\",\"name\":");
        put_name(json, out, item.key);
        nsp__scope scope = nsp__scope_enter(&json->keys, &cursor, &item);
        put_attributes(json, out, scope);
        put_count_member(out, ",\"droppedAttributesCount\":", event.dropped_attributes + scope.unnamed);
        nsp__text_put(out, "}");
    }
    nsp__text_put(out, "]");
}

static void put_links(encoder *json, nsp__text *out, const nsp_span_view *view)
{
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    const char *before = ",\"links\":[";
    for (; nsp__owner_next(&cursor, NSP_ITEM_LINK, &item); before = ",") {
        nsp_item_link link;
        memcpy(&link, item.payload, sizeof link);
        nsp__text_put(out, before);
        put_hex_member(out, "{\"traceId\":\"", link.trace_id, NSP_TRACE_ID_SIZE);
        put_hex_member(out, ",\"spanId\":\"", link.span_id, NSP_SPAN_ID_SIZE);
        if (item.length > sizeof link) {
            nsp__text_put(out, ",\"traceState\":");
            nsp__text_quoted(out, item.payload + sizeof link, item.length - sizeof link);
        }
        nsp__scope scope = nsp__scope_enter(&json->keys, &cursor, &item);
        put_attributes(json, out, scope);
        put_count_member(out, ",\"droppedAttributesCount\":", link.dropped_attributes + scope.unnamed);
        put_count_member(out, ",\"flags\":", nsp__wire_flags(link.flags, link.remote));
        nsp__text_put(out, "}");
    }
    nsp__text_put(out, "]");
}

static void put_tracestate(nsp__text *out, const nsp_span_view *view, const nsp__parts *parts)
{
    uint8_t threshold[NSP__THRESHOLD_TEXT_MAX];
    const uint8_t *state = parts->tracestate;
    size_t length = parts->tracestate_length;
    if (state == NULL && view->threshold != NSP_CONTEXT_UNKNOWN) {
        state = threshold;
        length = nsp__threshold_text(threshold, view->threshold);
    }
    if (length == 0)
        return;
    nsp__text_put(out, ",\"traceState\":");
    nsp__text_quoted(out, state, length);
}

static void put_status(nsp__text *out, const nsp_span_view *view, const nsp__parts *parts)
{
    nsp__text_put(out, ",\"status\":{");
    if (view->status == NSP_SPAN_STATUS_ERROR && parts->message_length) {
        nsp__text_put(out, "\"message\":");
        nsp__text_quoted(out, parts->message, parts->message_length);
        nsp__text_put(out, ",");
    }
    nsp__text_put(out, "\"code\":");
    nsp__text_u64(out, nsp__wire_status(view->status));
    nsp__text_put(out, "}");
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    encoder *json = state;
    if (batch->capacity < batch->length + SUFFIX_SIZE || batch->length < json->prefix_size)
        return false;
    nsp__parts parts;
    nsp__parts_find(&json->keys, view, &parts);
    nsp__text text = {batch->data + batch->length, batch->data + batch->capacity - SUFFIX_SIZE, false};
    nsp__text *out = &text;

    nsp__text_put(out, batch->length > json->prefix_size ? "," : "");
    put_hex_member(out, "{\"traceId\":\"", view->trace_id, NSP_TRACE_ID_SIZE);
    put_hex_member(out, ",\"spanId\":\"", view->span_id, NSP_SPAN_ID_SIZE);
    put_tracestate(out, view, &parts);
    if (!nsp__id_zero(view->parent_id))
        put_hex_member(out, ",\"parentSpanId\":\"", view->parent_id, NSP_SPAN_ID_SIZE);
    nsp__text_put(out, ",\"name\":");
    put_name(json, out, view->name);
    put_count_member(out, ",\"kind\":", nsp__wire_kind(view->kind));
    nsp__text_put(out, ",\"startTimeUnixNano\":\"");
    nsp__text_u64(out, view->start_ns);
    nsp__text_put(out, "\",\"endTimeUnixNano\":\"");
    nsp__text_u64(out, view->end_ns);
    nsp__text_put(out, "\"");
    put_attributes(json, out, parts.attributes);
    put_count_member(out,
                     ",\"droppedAttributesCount\":", view->dropped_attributes + parts.attributes.unnamed);
    if (parts.events)
        put_events(json, out, view);
    put_count_member(out, ",\"droppedEventsCount\":", view->dropped_events);
    if (parts.links)
        put_links(json, out, view);
    put_count_member(out, ",\"droppedLinksCount\":", view->dropped_links);
    if (view->status)
        put_status(out, view, &parts);
    put_count_member(out, ",\"flags\":", nsp__wire_flags(view->trace_flags, view->parent_remote));
    nsp__text_put(out, "}");
    if (out->full)
        return false;
    batch->length = (size_t)(out->at - batch->data);
    return true;
}

const nsp__otlp_encoding nsp__otlp_json = {
    .content_type = "application/json",
    .create = create,
    .destroy = destroy,
    .open = open_batch,
    .append = append,
    .close = close_batch,
    .cutter = &nsp__otlp_json_cutter,
    .read_response = nsp__otlp_json_response_decode,
};
