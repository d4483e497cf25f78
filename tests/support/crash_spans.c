// SPDX-License-Identifier: Apache-2.0
#include "support/crash_spans.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/hex.h"
#include "otlp.pb-c.h"
#include "support/crash_journal.h"

typedef Nanospan__Otlp__AnyValue any_value;
typedef Nanospan__Otlp__KeyValue key_value;
typedef Nanospan__Otlp__Span otlp_span;

static void trouble(crash_spans *to, const char *what)
{
    if (to->trouble[0] == 0)
        snprintf(to->trouble, sizeof to->trouble, "batch %u: %s", to->batches, what);
}

static crash_span *next_span(crash_spans *to)
{
    if (to->count == to->room) {
        to->room = to->room != 0 ? 2 * to->room : 256;
        to->spans = realloc(to->spans, to->room * sizeof *to->spans);
        if (to->spans == NULL)
            abort();
    }
    return &to->spans[to->count++];
}

static void put_hex(FILE *out, const ProtobufCBinaryData *bytes, const char *before)
{
    fprintf(out, "%s", before);
    for (size_t i = 0; i < bytes->len; i++)
        fprintf(out, "%02x", bytes->data[i]);
}

// ---- protobuf ----

static void put_value(FILE *out, const any_value *value)
{
    switch (value->value_case) {
    case NANOSPAN__OTLP__ANY_VALUE__VALUE_STRING_VALUE: fprintf(out, "s:%s", value->string_value); break;
    case NANOSPAN__OTLP__ANY_VALUE__VALUE_BOOL_VALUE: fprintf(out, "b:%d", value->bool_value); break;
    case NANOSPAN__OTLP__ANY_VALUE__VALUE_INT_VALUE:
        fprintf(out, "i:%lld", (long long)value->int_value);
        break;
    case NANOSPAN__OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE: fprintf(out, "d:%.17g", value->double_value); break;
    case NANOSPAN__OTLP__ANY_VALUE__VALUE_BYTES_VALUE: put_hex(out, &value->bytes_value, "x:"); break;
    case NANOSPAN__OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
        fprintf(out, "[");
        for (size_t i = 0; i < value->array_value->n_values; i++) {
            put_value(out, value->array_value->values[i]);
            fprintf(out, ",");
        }
        fprintf(out, "]");
        break;
    default: fprintf(out, "?");
    }
}

static void put_attributes(FILE *out, key_value *const *attributes, size_t count, bool *unfinished)
{
    for (size_t i = 0; i < count; i++) {
        const any_value *value = attributes[i]->value;
        if (unfinished != NULL && strcmp(attributes[i]->key, "nanospan.unfinished") == 0 &&
            value->value_case == NANOSPAN__OTLP__ANY_VALUE__VALUE_BOOL_VALUE && value->bool_value) {
            *unfinished = true;
            continue;
        }
        fprintf(out, "%s=", attributes[i]->key);
        put_value(out, value);
        fprintf(out, ";");
    }
}

static void put_span(FILE *out, const otlp_span *span, bool *unfinished)
{
    const char *message = span->status != NULL && span->status->message != NULL ? span->status->message : "";
    fprintf(out, "%s|%d|%d:%s|", span->name, (int)span->kind - 1,
            span->status != NULL ? span->status->code : 0, message);
    put_attributes(out, span->attributes, span->n_attributes, unfinished);
    fprintf(out, "|");
    for (size_t i = 0; i < span->n_events; i++) {
        fprintf(out, "%s{", span->events[i]->name);
        put_attributes(out, span->events[i]->attributes, span->events[i]->n_attributes, NULL);
        fprintf(out, "}");
    }
    fprintf(out, "|");
    for (size_t i = 0; i < span->n_links; i++) {
        put_hex(out, &span->links[i]->trace_id, "");
        put_hex(out, &span->links[i]->span_id, "-");
        fprintf(out, "{");
        put_attributes(out, span->links[i]->attributes, span->links[i]->n_attributes, NULL);
        fprintf(out, "}");
    }
    if (span->dropped_attributes_count != 0 || span->dropped_events_count != 0 ||
        span->dropped_links_count != 0)
        fprintf(out, "dropped");
}

static uint64_t word(const ProtobufCBinaryData *id, size_t at)
{
    uint64_t value = 0;
    if (id->len >= at + sizeof value)
        memcpy(&value, id->data + at, sizeof value);
    return value;
}

static void add_span(crash_spans *to, const otlp_span *span)
{
    crash_span *added = next_span(to);
    *added = (crash_span){
        .trace_id = {word(&span->trace_id, 0), word(&span->trace_id, 8)},
        .span_id = word(&span->span_id, 0),
        .parent_id = word(&span->parent_span_id, 0),
        .start_ns = span->start_time_unix_nano,
        .end_ns = span->end_time_unix_nano,
        .vendor_state = span->trace_state != NULL && strstr(span->trace_state, JOURNAL_REMOTE_STATE) != NULL,
        .batch = to->batches,
    };
    size_t size;
    FILE *out = open_memstream(&added->text, &size);
    put_span(out, span, &added->unfinished);
    fclose(out);
}

static bool is_service(const Nanospan__Otlp__Resource *resource, const char *service)
{
    for (size_t i = 0; resource != NULL && i < resource->n_attributes; i++) {
        const key_value *attribute = resource->attributes[i];
        if (strcmp(attribute->key, "service.name") == 0 &&
            attribute->value->value_case == NANOSPAN__OTLP__ANY_VALUE__VALUE_STRING_VALUE)
            return strcmp(attribute->value->string_value, service) == 0;
    }
    return false;
}

void crash_spans_add_protobuf(crash_spans *to, const uint8_t *bytes, size_t length, const char *service)
{
    to->batches++;
    Nanospan__Otlp__Request *request = nanospan__otlp__request__unpack(NULL, length, bytes);
    if (request == NULL) {
        trouble(to, "a request is not OTLP");
        return;
    }
    for (size_t i = 0; i < request->n_resource_spans; i++) {
        const Nanospan__Otlp__ResourceSpans *from = request->resource_spans[i];
        if (!is_service(from->resource, service))
            trouble(to, "the resource is not the engine's");
        for (size_t j = 0; j < from->n_scope_spans; j++)
            for (size_t k = 0; k < from->scope_spans[j]->n_spans; k++)
                add_span(to, from->scope_spans[j]->spans[k]);
    }
    nanospan__otlp__request__free_unpacked(request, NULL);
}

// ---- JSON ----
//
// A member that is missing reads as NULL, which jansson's functions turn into "", 0 or nothing.

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void put_json_value(FILE *out, const json_t *value)
{
    const char *type = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)value));
    const json_t *content = json_object_get(value, type != NULL ? type : "");
    const char *text = json_string_value(content);
    if (type == NULL) {
        fprintf(out, "?");
    } else if (strcmp(type, "stringValue") == 0) {
        fprintf(out, "s:%s", text);
    } else if (strcmp(type, "boolValue") == 0) {
        fprintf(out, "b:%d", json_is_true(content));
    } else if (strcmp(type, "intValue") == 0) {
        fprintf(out, "i:%s", text);
    } else if (strcmp(type, "doubleValue") == 0) {
        fprintf(out, "d:%.17g", json_number_value(content));
    } else if (strcmp(type, "bytesValue") == 0) {
        uint8_t bytes[256];
        size_t length = 0;
        if (strlen(text) / 4 * 3 + 3 > sizeof bytes ||
            !nsp__base64_decode(bytes, text, strlen(text), NSP__BASE64_STANDARD, &length))
            fprintf(out, "?");
        put_hex(out, &(ProtobufCBinaryData){length, bytes}, "x:");
    } else {
        fprintf(out, "[");
        size_t i;
        json_t *element;
        json_array_foreach(json_object_get(content, "values"), i, element)
        {
            put_json_value(out, element);
            fprintf(out, ",");
        }
        fprintf(out, "]");
    }
}

static void put_json_attributes(FILE *out, const json_t *of, bool *unfinished)
{
    size_t i;
    json_t *attribute;
    json_array_foreach(json_object_get(of, "attributes"), i, attribute)
    {
        const json_t *value = json_object_get(attribute, "value");
        if (unfinished != NULL && strcmp(text_of(attribute, "key"), "nanospan.unfinished") == 0 &&
            json_is_true(json_object_get(value, "boolValue"))) {
            *unfinished = true;
            continue;
        }
        fprintf(out, "%s=", text_of(attribute, "key"));
        put_json_value(out, value);
        fprintf(out, ";");
    }
}

static void put_json_span(FILE *out, const json_t *span, bool *unfinished)
{
    const json_t *status = json_object_get(span, "status");
    fprintf(out, "%s|%d|%d:%s|", text_of(span, "name"),
            (int)json_integer_value(json_object_get(span, "kind")) - 1,
            (int)json_integer_value(json_object_get(status, "code")), text_of(status, "message"));
    put_json_attributes(out, span, unfinished);
    fprintf(out, "|");
    size_t i;
    json_t *event, *link;
    json_array_foreach(json_object_get(span, "events"), i, event)
    {
        fprintf(out, "%s{", text_of(event, "name"));
        put_json_attributes(out, event, NULL);
        fprintf(out, "}");
    }
    fprintf(out, "|");
    json_array_foreach(json_object_get(span, "links"), i, link)
    {
        fprintf(out, "%s-%s{", text_of(link, "traceId"), text_of(link, "spanId"));
        put_json_attributes(out, link, NULL);
        fprintf(out, "}");
    }
    if (json_object_get(span, "droppedAttributesCount") != NULL ||
        json_object_get(span, "droppedEventsCount") != NULL ||
        json_object_get(span, "droppedLinksCount") != NULL)
        fprintf(out, "dropped");
}

// The word of a hex id that begins at this byte; 0 if it is not there or not hex.
static uint64_t hex_word(const json_t *of, const char *key, size_t at)
{
    const char *text = text_of(of, key);
    uint64_t value = 0;
    if (strlen(text) < 2 * (at + sizeof value) || !nsp__hex_decode(&value, text + 2 * at, sizeof value))
        return 0;
    return value;
}

static void add_json_span(crash_spans *to, const json_t *span)
{
    crash_span *added = next_span(to);
    *added = (crash_span){
        .trace_id = {hex_word(span, "traceId", 0), hex_word(span, "traceId", 8)},
        .span_id = hex_word(span, "spanId", 0),
        .parent_id = hex_word(span, "parentSpanId", 0),
        .start_ns = strtoull(text_of(span, "startTimeUnixNano"), NULL, 10),
        .end_ns = strtoull(text_of(span, "endTimeUnixNano"), NULL, 10),
        .vendor_state = strstr(text_of(span, "traceState"), JOURNAL_REMOTE_STATE) != NULL,
        .batch = to->batches,
    };
    size_t size;
    FILE *out = open_memstream(&added->text, &size);
    put_json_span(out, span, &added->unfinished);
    fclose(out);
}

static bool is_json_service(const json_t *resource, const char *service)
{
    size_t i;
    json_t *attribute;
    json_array_foreach(json_object_get(resource, "attributes"), i, attribute)
    {
        if (strcmp(text_of(attribute, "key"), "service.name") == 0)
            return strcmp(text_of(json_object_get(attribute, "value"), "stringValue"), service) == 0;
    }
    return false;
}

void crash_spans_add_json(crash_spans *to, const char *line, size_t length, const char *service)
{
    to->batches++;
    json_error_t error;
    json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        trouble(to, error.text);
        return;
    }
    size_t i, j, k;
    json_t *from, *scope, *span;
    json_array_foreach(json_object_get(root, "resourceSpans"), i, from)
    {
        if (!is_json_service(json_object_get(from, "resource"), service))
            trouble(to, "the resource is not the engine's");
        json_array_foreach(json_object_get(from, "scopeSpans"), j, scope)
        {
            json_array_foreach(json_object_get(scope, "spans"), k, span)
            {
                add_json_span(to, span);
            }
        }
    }
    json_decref(root);
}

void crash_spans_free(crash_spans *spans)
{
    for (size_t i = 0; i < spans->count; i++)
        free(spans->spans[i].text);
    free(spans->spans);
    *spans = (crash_spans){0};
}
