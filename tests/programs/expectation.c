// SPDX-License-Identifier: Apache-2.0
#include "expectation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned unrecorded;

static json_t *spans;

static void *there(void *thing)
{
    if (!thing) {
        fprintf(stderr, "emit: out of memory, or a text that is not UTF-8\n");
        exit(1);
    }
    return thing;
}

// Appends the value and takes over its reference.
static void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, there(value)) != 0)
        there(NULL);
}

static void put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, there(value)) != 0)
        there(NULL);
}

static json_t *hex(const void *bytes, size_t length)
{
    char *text = there(malloc(2 * length + 1));
    text[0] = 0;
    for (size_t i = 0; i < length; i++)
        snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    json_t *json = json_string(text);
    free(text);
    return json;
}

// 64-bit integers are texts and doubles are their bits in hex, so that every JSON reader gets them exactly.
static json_t *i64_json(int64_t value)
{
    return json_sprintf("%lld", (long long)value);
}

static json_t *u64_json(uint64_t value)
{
    return json_sprintf("%llu", (unsigned long long)value);
}

static json_t *f64_json(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? json_string("nan") : json_sprintf("%016llx", (unsigned long long)bits);
}

static void name_type(json_t *array, const char *key, const char *type, json_t *value)
{
    json_t *attribute = there(json_array());
    append(attribute, json_string(key));
    append(attribute, json_string(type));
    append(attribute, value);
    append(array, attribute);
}

static void raise_count(json_t *owner, const char *key)
{
    put(owner, key, json_integer(json_integer_value(json_object_get(owner, key)) + 1));
}

// If a key is set again, the last value wins.
static void note_attribute(noted one, const char *key, const char *type, json_t *value)
{
    if (!one.note) {
        json_decref(value);
        return;
    }
    json_t *attributes = json_object_get(one.note, "attributes");
    size_t i;
    json_t *earlier;
    json_array_foreach(attributes, i, earlier)
    {
        if (strcmp(json_string_value(json_array_get(earlier, 0)), key) == 0) {
            json_array_remove(attributes, i);
            break;
        }
    }
    if (json_array_size(attributes) < LIMIT_ATTRIBUTES) {
        name_type(attributes, key, type, value);
    } else {
        json_decref(value);
        raise_count(one.note, "droppedAttributes");
    }
}

static nsp_name intern(const char *text)
{
    return nsp_intern(text, strlen(text));
}

nsp_context context_of(const char *traceparent, const char *tracestate)
{
    nsp_context context;
    if (nsp_context_parse(&context, traceparent, tracestate) != NSP_OK) {
        fprintf(stderr, "emit: %s is refused\n", traceparent);
        exit(1);
    }
    return context;
}

noted note_begun(nsp_span *span, const char *name, nsp_kind kind, place at, nsp_ticks start)
{
    if (!nsp_span_recording(span) || (at.parent && !at.parent->note)) {
        unrecorded++;
        return (noted){span, NULL};
    }
    if (!spans)
        spans = there(json_array());
    nsp_context own;
    nsp_span_context(span, &own);
    uint8_t trace_flags = NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM;
    json_t *note = there(json_object());
    if (at.parent) {
        put(note, "traceId", json_incref(json_object_get(at.parent->note, "traceId")));
        put(note, "parentSpanId", json_incref(json_object_get(at.parent->note, "spanId")));
        trace_flags = (uint8_t)json_integer_value(json_object_get(at.parent->note, "flags"));
        at.tracestate = json_string_value(json_object_get(at.parent->note, "traceState"));
    } else if (at.remote) {
        put(note, "traceId", hex(at.remote->trace_id, NSP_TRACE_ID_SIZE));
        put(note, "parentSpanId", hex(at.remote->span_id, NSP_SPAN_ID_SIZE));
        trace_flags = at.remote->flags;
    } else {
        put(note, "traceId", hex(own.trace_id, NSP_TRACE_ID_SIZE));
        put(note, "parentSpanId", json_string(""));
        at.tracestate = "ot=th:0"; // sampled in this process, at a rate of 1
    }
    put(note, "spanId", hex(own.span_id, NSP_SPAN_ID_SIZE));
    put(note, "traceState", json_string(at.tracestate));
    put(note, "name", json_string(name));
    put(note, "kind", json_integer((json_int_t)kind + 1)); // OTLP has "unspecified" as 0
    put(note, "flags", json_integer(trace_flags | 0x100 | (at.remote ? 0x200 : 0)));
    put(note, "startTicks", json_integer((json_int_t)start));
    put(note, "endTicks", json_integer((json_int_t)start));
    static const char *const lists[] = {"attributes", "events", "links"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        put(note, lists[i], json_array());
    static const char *const counts[] = {"droppedAttributes", "droppedEvents", "droppedLinks"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        put(note, counts[i], json_integer(0));
    put(note, "status", json_pack("{s:i, s:s}", "code", 0, "message", ""));
    if (json_array_append_new(spans, note) != 0)
        there(NULL);
    return (noted){span, note};
}

void note_end(noted one, nsp_ticks end)
{
    if (one.note)
        put(one.note, "endTicks", json_integer((json_int_t)end));
}

void set_str(noted one, const char *key, const char *value)
{
    nsp_span_set_str(one.span, intern(key), value);
    note_attribute(one, key, "str", there(json_string(value)));
}

void set_text(noted one, const char *key, const char *value, size_t length, const char *expected)
{
    nsp_span_set_strn(one.span, intern(key), value, length);
    note_attribute(one, key, "str", there(json_string(expected)));
}

void set_bool(noted one, const char *key, bool value)
{
    nsp_span_set_bool(one.span, intern(key), value);
    note_attribute(one, key, "bool", json_boolean(value));
}

void set_i64(noted one, const char *key, int64_t value)
{
    nsp_span_set_i64(one.span, intern(key), value);
    note_attribute(one, key, "i64", i64_json(value));
}

void set_f64(noted one, const char *key, double value)
{
    nsp_span_set_f64(one.span, intern(key), value);
    note_attribute(one, key, "f64", f64_json(value));
}

void set_bytes(noted one, const char *key, const void *value, size_t length)
{
    nsp_span_set_bytes(one.span, intern(key), value, length);
    note_attribute(one, key, "bytes", hex(value, length));
}

// Notes an array of any type; `element` makes the JSON of element i.
#define SET_ARRAY(name, type, element)                                                                       \
    void set_##name(noted one, const char *key, type values, size_t count)                                   \
    {                                                                                                        \
        nsp_span_set_##name(one.span, intern(key), values, count);                                           \
        json_t *array = there(json_array());                                                                 \
        for (size_t i = 0; i < count; i++)                                                                   \
            append(array, element(values[i]));                                                               \
        note_attribute(one, key, #name, array);                                                              \
    }

SET_ARRAY(strs, const char *const *, json_string)
SET_ARRAY(bools, const bool *, json_boolean)
SET_ARRAY(i64s, const int64_t *, i64_json)
SET_ARRAY(f64s, const double *, f64_json)

void set_status(noted one, nsp_span_status status, const char *message)
{
    nsp_span_set_status(one.span, status, message);
    if (!one.note)
        return;
    json_t *noted_status = json_object_get(one.note, "status");
    json_int_t earlier = json_integer_value(json_object_get(noted_status, "code"));
    if (earlier == NSP_SPAN_STATUS_OK || status == NSP_SPAN_STATUS_UNSET)
        return; // OK is final, and a status never goes back to unset
    put(noted_status, "code", json_integer(status));
    bool kept = status == NSP_SPAN_STATUS_ERROR && message;
    put(noted_status, "message", json_string(kept ? message : ""));
}

// Notes the attributes of an event or link, fills in their keys, and returns them in the library's form.
static const nsp_attr *complete(json_t *owner, noted_attr *attributes, size_t count)
{
    static nsp_attr completed[2 * LIMIT_OWN_ATTRIBUTES];
    json_t *list = there(json_array());
    for (size_t i = 0; i < count && i < sizeof completed / sizeof *completed; i++) {
        nsp_attr *attr = &completed[i];
        const char *key = attributes[i].key;
        *attr = attributes[i].attr;
        attr->key = intern(key);
        if (i >= LIMIT_OWN_ATTRIBUTES)
            raise_count(owner, "dropped");
        else if (attr->type == NSP_TYPE_STR)
            name_type(list, key, "str", json_stringn(attr->value.str, attr->count));
        else if (attr->type == NSP_TYPE_BOOL)
            name_type(list, key, "bool", json_boolean(attr->value.boolean));
        else if (attr->type == NSP_TYPE_I64)
            name_type(list, key, "i64", i64_json(attr->value.i64));
        else
            name_type(list, key, "f64", f64_json(attr->value.f64));
    }
    put(owner, "attributes", list);
    return completed;
}

// Adds an event or link to its list unless the list is full.
static void file(noted one, const char *list, size_t limit, const char *drops, json_t *thing)
{
    if (one.note && json_array_size(json_object_get(one.note, list)) < limit) {
        append(json_object_get(one.note, list), thing);
        return;
    }
    json_decref(thing);
    if (one.note)
        raise_count(one.note, drops);
}

void add_event(noted one, const char *name, nsp_ticks at, noted_attr *attributes, size_t count)
{
    json_t *event = there(json_object());
    put(event, "name", json_string(name));
    put(event, "ticks", json_integer((json_int_t)at));
    put(event, "dropped", json_integer(0));
    const nsp_attr *completed = complete(event, attributes, count);
    if (count)
        nsp_span_add_event_with(one.span, intern(name), at, completed, count);
    else
        nsp_span_add_event_at(one.span, intern(name), at);
    file(one, "events", LIMIT_EVENTS, "droppedEvents", event);
}

void add_link(noted one, const nsp_context *context, const char *tracestate, noted_attr *attributes,
              size_t count, bool by_options)
{
    json_t *link = there(json_object());
    put(link, "traceId", hex(context->trace_id, NSP_TRACE_ID_SIZE));
    put(link, "spanId", hex(context->span_id, NSP_SPAN_ID_SIZE));
    put(link, "traceState", json_string(tracestate));
    put(link, "flags", json_integer(context->flags | 0x100 | (context->remote ? 0x200 : 0)));
    put(link, "dropped", json_integer(0));
    const nsp_attr *completed = complete(link, attributes, count);
    if (!by_options && count)
        nsp_span_add_link_with(one.span, context, completed, count);
    else if (!by_options)
        nsp_span_add_link(one.span, context);
    file(one, "links", LIMIT_LINKS, "droppedLinks", link);
}

static uint64_t taken_ticks(json_t *from, const char *key)
{
    uint64_t ticks = (uint64_t)json_integer_value(json_object_get(from, key));
    json_object_del(from, key);
    return nsp_ticks_to_unix_ns(ticks);
}

static void date(json_t *span)
{
    uint64_t start = taken_ticks(span, "startTicks"), end = taken_ticks(span, "endTicks");
    if (end <= start) {
        start = end;
        end++; // every span takes at least one nanosecond
    }
    put(span, "start", u64_json(start));
    put(span, "end", u64_json(end));
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(span, "events"), i, event)
    {
        put(event, "time", u64_json(taken_ticks(event, "ticks")));
    }
}

void expectation_date(void)
{
    size_t i;
    json_t *span;
    json_array_foreach(spans, i, span)
    {
        date(span);
    }
}

bool expectation_write(const char *path, const nsp_stats *stats)
{
    json_t *accounting = there(json_object());
#define COUNT(name) put(accounting, #name, json_integer((json_int_t)stats->name))
    COUNT(attempted);
    COUNT(open);
    COUNT(dropped);
    COUNT(discarded);
    COUNT(in_rings);
    COUNT(in_batches);
    COUNT(unconfirmed);
    COUNT(rejected);
    COUNT(exported);
    COUNT(spooled);
    COUNT(batches_sent);
    COUNT(batches_failed);
    COUNT(bytes_sent);
    COUNT(bytes_encoded);
#undef BOOK
    json_t *whole = there(
        json_pack("{s:o, s:o}", "accounting", accounting, "spans", spans ? spans : there(json_array())));
    spans = NULL;
    bool written = json_dump_file(whole, path, JSON_COMPACT) == 0;
    json_decref(whole);
    return written;
}

size_t expectation_count(void)
{
    return json_array_size(spans);
}

void expectation_free(void)
{
    json_decref(spans);
    spans = NULL;
}
