// SPDX-License-Identifier: Apache-2.0
#include "support/span_generator.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *hex_model(const uint8_t *bytes, size_t length)
{
    char *hex = malloc(2 * length + 1);
    for (size_t i = 0; i < length; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    hex[2 * length] = 0;
    json_t *model = json_string(hex);
    free(hex);
    return model;
}

__attribute__((format(printf, 1, 2))) static json_t *decimal_model(const char *format, ...)
{
    char decimal[24];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(decimal, sizeof decimal, format, arguments);
    va_end(arguments);
    return json_string(decimal);
}

static int64_t draw_i64(void)
{
    static const int64_t edges[] = {0,         1,         -1,           127,       128,
                                    16383,     16384,     INT32_MAX,    INT32_MIN, UINT32_MAX,
                                    INT64_MAX, INT64_MIN, INT64_MIN + 1};
    if (generator_one_in(2))
        return edges[generator_draw(sizeof edges / sizeof *edges)];
    return (int64_t)(generator_word() >> generator_draw(64));
}

static double draw_f64(void)
{
    static const double edges[] = {0.0,
                                   -0.0,
                                   1.0,
                                   -1.0,
                                   0.1,
                                   1.0 / 3,
                                   101.25,
                                   1e21,
                                   1e22,
                                   1e-7,
                                   5e-324,
                                   2.2250738585072014e-308,
                                   1.7976931348623157e308,
                                   NAN,
                                   INFINITY,
                                   -INFINITY,
                                   9007199254740991.0,
                                   9007199254740993.0,
                                   123456.789};
    if (generator_one_in(2))
        return edges[generator_draw(sizeof edges / sizeof *edges)];
    if (generator_one_in(2))
        return (double)draw_i64() / 10000;
    uint64_t bits = generator_word();
    double value;
    memcpy(&value, &bits, sizeof value);
    return isnan(value) ? 0 : value; // a NaN can only be recognised as a NaN
}

static json_t *f64_model(double value)
{
    if (isnan(value))
        return json_string("nan");
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return decimal_model("%016" PRIx64, bits);
}

static size_t draw_count(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 9, 10, 15, 16, 17, 100, 130, 1500, 3000};
    return counts[generator_draw(generator_one_in(10) ? 13 : 9)];
}

enum { ITEM_ROOM = 2048 }; // left free in a record for what is still to be added

// Appends an array of the elements that fit; returns its model.
static json_t *add_array(built_span *span, uint8_t type, nsp_name key)
{
    static uint8_t payload[65536];
    static generated_text made;
    json_t *model = json_array();
    size_t length = 0;
    for (size_t count = draw_count(); count; count--) {
        json_t *element;
        size_t before = length;
        if (type == NSP_TYPE_BOOLS) {
            payload[length] = (uint8_t)generator_draw(2);
            element = json_boolean(payload[length]);
            length += 1;
        } else if (type == NSP_TYPE_I64S) {
            int64_t value = draw_i64();
            memcpy(payload + length, &value, 8);
            element = decimal_model("%" PRId64, value);
            length += 8;
        } else if (type == NSP_TYPE_F64S) {
            double value = draw_f64();
            memcpy(payload + length, &value, 8);
            element = f64_model(value);
            length += 8;
        } else {
            text_make(&made, draw_length(300));
            uint16_t bytes = (uint16_t)made.raw_length;
            if (length + 2 + bytes > sizeof payload)
                break;
            memcpy(payload + length, &bytes, 2);
            memcpy(payload + length + 2, made.raw, bytes);
            element = text_model(&made);
            length += 2u + bytes;
        }
        if (!built_span_room(span, length + ITEM_ROOM)) {
            length = before;
            json_decref(element);
            break;
        }
        json_array_append_new(model, element);
    }
    built_span_item(span, type, key, 0, payload, length);
    return model;
}

// Appends one attribute of any type and adds it to the model; one without a key counts as dropped instead.
static void add_attribute(built_span *span, json_t *attributes, uint32_t *dropped)
{
    static const char *const types[] = {"",      "str",  "bool",  "i64",  "f64",
                                        "bytes", "strs", "bools", "i64s", "f64s"};
    static generated_text made;
    const generated_name *key = draw_name();
    nsp_name name = key->name;
    size_t most = BUILT_ITEMS_MAX - ITEM_ROOM - span->view.items_bytes;
    uint8_t type = (uint8_t)(1 + generator_draw(!generator_simple && generator_one_in(3) ? 9 : 4));
    json_t *value;
    switch (type) {
    case NSP_TYPE_STR:
        text_make(&made, draw_length(most));
        built_span_str(span, name, made.raw, made.raw_length);
        value = text_model(&made);
        break;
    case NSP_TYPE_BOOL: {
        bool yes = generator_one_in(2);
        built_span_bool(span, name, yes);
        value = json_boolean(yes);
        break;
    }
    case NSP_TYPE_I64: {
        int64_t number = draw_i64();
        built_span_i64(span, name, number);
        value = decimal_model("%" PRId64, number);
        break;
    }
    case NSP_TYPE_F64: {
        double number = draw_f64();
        built_span_f64(span, name, number);
        value = f64_model(number);
        break;
    }
    case NSP_TYPE_BYTES:
        text_make(&made, draw_length(most));
        built_span_item(span, type, name, 0, made.raw, made.raw_length);
        value = hex_model((const uint8_t *)made.raw, made.raw_length);
        break;
    default: value = add_array(span, type, name);
    }

    if (json_string_length(key->model) == 0) {
        *dropped += 1;
        json_decref(value);
        return;
    }
    // The key's text would not do, because different names may read the same once they are repaired.
    size_t i;
    json_t *old;
    json_array_foreach(attributes, i, old)
    {
        if (json_integer_value(json_array_get(old, 3)) == (json_int_t)name) {
            json_array_remove(attributes, i);
            break;
        }
    }
    json_array_append_new(attributes,
                          json_pack("[O, s, o, I]", key->model, types[type], value, (json_int_t)name));
}

static size_t add_attributes(built_span *span, json_t *attributes, size_t count, uint32_t *dropped)
{
    size_t added = 0;
    for (; added < count && built_span_room(span, ITEM_ROOM); added++)
        add_attribute(span, attributes, dropped);
    return added;
}

static uint16_t draw_dropped(void)
{
    static const uint16_t edges[] = {1, 127, 128, 16384, UINT16_MAX};
    return !generator_simple && generator_one_in(4) ? edges[generator_draw(5)] : 0;
}

static void make_tracestate(generated_text *out)
{
    text_make(out, generator_one_in(8) ? 512 : draw_length(100));
}

// The attributes of an event or link follow its item, which holds their number. So the item is made first and
// patched later.
static void patch_count(built_span *span, size_t offset, size_t count)
{
    uint16_t attributes = (uint16_t)count;
    memcpy((uint8_t *)(uintptr_t)span->view.items + offset, &attributes, sizeof attributes);
}

static void add_event(built_span *span, json_t *events)
{
    const generated_name *name = draw_name();
    nsp_item_event event = {.ticks = generator_draw(1000000000), .dropped_attributes = draw_dropped()};
    size_t payload = span->view.items_bytes + 8;
    json_t *attributes = json_array();
    uint32_t dropped = event.dropped_attributes;
    built_span_item(span, NSP_ITEM_EVENT, name->name, 0, &event, sizeof event);
    size_t count = add_attributes(span, attributes, generator_one_in(2) ? 0 : draw_count() % 40, &dropped);
    patch_count(span, payload + offsetof(nsp_item_event, attribute_count), count);
    json_array_append_new(events, json_pack("{s:o, s:O, s:o, s:i}", "time",
                                            decimal_model("%" PRIu64, BUILT_EPOCH_NS + event.ticks), "name",
                                            name->model, "attributes", attributes, "dropped", (int)dropped));
}

static void draw_bytes(uint8_t *out, size_t length)
{
    for (size_t i = 0; i < length; i++)
        out[i] = (uint8_t)generator_word();
}

static void add_link(built_span *span, json_t *links)
{
    static generated_text made;
    nsp_item_link link = {.flags = (uint8_t)generator_draw(4),
                          .remote = generator_one_in(2),
                          .dropped_attributes = draw_dropped()};
    draw_bytes(link.trace_id, sizeof link.trace_id);
    draw_bytes(link.span_id, sizeof link.span_id);
    text_clear(&made);
    if (generator_one_in(2))
        make_tracestate(&made);
    uint8_t bytes[sizeof link + NSP_TRACESTATE_MAX];
    memcpy(bytes, &link, sizeof link);
    memcpy(bytes + sizeof link, made.raw, made.raw_length);
    size_t payload = span->view.items_bytes + 8;
    json_t *attributes = json_array();
    uint32_t dropped = link.dropped_attributes;
    built_span_item(span, NSP_ITEM_LINK, 0, 0, bytes, sizeof link + made.raw_length);
    size_t count = add_attributes(span, attributes, generator_one_in(2) ? 0 : draw_count() % 40, &dropped);
    patch_count(span, payload + offsetof(nsp_item_link, attribute_count), count);
    json_array_append_new(links,
                          json_pack("{s:o, s:o, s:o, s:o, s:i, s:i}", "traceId",
                                    hex_model(link.trace_id, sizeof link.trace_id), "spanId",
                                    hex_model(link.span_id, sizeof link.span_id), "traceState",
                                    text_model(&made), "attributes", attributes, "dropped", (int)dropped,
                                    "flags", link.flags | 0x100 | (link.remote ? 0x200 : 0)));
}

// Items in any order, because a program may set them so.
static void add_items(generated_span *span, json_t *attributes, json_t *events, json_t *links,
                      uint32_t *dropped)
{
    static const size_t counts[] = {0, 1, 2, 3, 3, 3, 4, 5, 8, 20, 127, 128};
    size_t left = counts[generator_draw(12)];
    bool plain = generator_simple || generator_one_in(2);
    while (left || !plain) {
        if (!built_span_room(&span->built, ITEM_ROOM))
            return;
        switch (plain ? 9 : generator_draw(10)) {
        case 0: add_event(&span->built, events); break;
        case 1: add_link(&span->built, links); break;
        case 2: plain = generator_one_in(3); break;
        default:
            if (left) {
                add_attribute(&span->built, attributes, dropped);
                left--;
            }
        }
    }
}

// The text of a threshold in the sampler's form, made independently of the encoder.
static json_t *threshold_model(uint64_t threshold)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%014" PRIx64, threshold);
    size_t length = 14;
    while (length > 1 && hex[length - 1] == '0')
        length--;
    hex[length] = 0;
    return json_sprintf("ot=th:%s", hex);
}

static json_t *add_tracestate(generated_span *span)
{
    static const uint64_t thresholds[] = {0, 1, 0xFD70A000000000, 0x80000000000000, 0xFFFFFFFFFFFFFF};
    static generated_text made;
    if (generator_one_in(2))
        span->built.view.threshold = thresholds[generator_draw(5)];
    if (!generator_simple && generator_one_in(4)) {
        make_tracestate(&made);
        built_span_item(&span->built, NSP_ITEM_TRACESTATE, 0, 0, made.raw, made.raw_length);
        return text_model(&made);
    }
    return span->built.view.threshold == NSP_CONTEXT_UNKNOWN ? json_string("")
                                                             : threshold_model(span->built.view.threshold);
}

// Several status messages: only the last one counts, and only with an error.
static json_t *add_status(generated_span *span)
{
    static generated_text made;
    text_clear(&made);
    span->built.view.status = generator_simple || generator_one_in(2) ? 0 : (uint8_t)generator_draw(3);
    for (uint64_t count = generator_simple || generator_one_in(2) ? 0 : generator_draw(3); count; count--) {
        text_make(&made, draw_length(200));
        built_span_item(&span->built, NSP_ITEM_STATUS_MESSAGE, 0, 0, made.raw, made.raw_length);
    }
    if (span->built.view.status != NSP_SPAN_STATUS_ERROR)
        text_clear(&made);
    return json_pack("{s:i, s:o}", "code", (int)span->built.view.status, "message", text_model(&made));
}

void generated_span_make(generated_span *span)
{
    generator_simple = generator_one_in(3);
    built_span_init(&span->built);
    nsp_span_view *view = &span->built.view;
    draw_bytes(span->built.trace_id, NSP_TRACE_ID_SIZE);
    draw_bytes(span->built.span_id, NSP_SPAN_ID_SIZE);
    if (!generator_one_in(3))
        draw_bytes(span->built.parent_id, NSP_SPAN_ID_SIZE);
    bool root = memcmp(span->built.parent_id, (const uint8_t[8]){0}, 8) == 0;
    const generated_name *name = draw_name();
    view->name = name->name;
    view->start_ns = generator_one_in(8) ? generator_word() / 2 : BUILT_EPOCH_NS + generator_draw(1000000000);
    view->end_ns = view->start_ns + 1 + generator_draw(1000000000);
    view->kind = (uint8_t)generator_draw(5);
    view->trace_flags = (uint8_t)generator_draw(4);
    view->parent_remote = !root && generator_one_in(2);
    view->dropped_attributes = draw_dropped();
    view->dropped_events = draw_dropped();
    view->dropped_links = draw_dropped();

    // The position of these items among the others does not matter.
    json_t *tracestate = NULL, *status = NULL;
    bool status_first = generator_one_in(2), state_first = generator_one_in(2);
    if (status_first)
        status = add_status(span);
    if (state_first)
        tracestate = add_tracestate(span);
    json_t *attributes = json_array(), *events = json_array(), *links = json_array();
    uint32_t dropped = view->dropped_attributes;
    add_items(span, attributes, events, links, &dropped);
    if (!state_first)
        tracestate = add_tracestate(span);
    if (!status_first)
        status = add_status(span);

    span->model = json_pack(
        "{s:o, s:o, s:o, s:o, s:O, s:i, s:o, s:o}", "traceId", hex_model(view->trace_id, NSP_TRACE_ID_SIZE),
        "spanId", hex_model(view->span_id, NSP_SPAN_ID_SIZE), "parentSpanId",
        hex_model(view->parent_id, root ? 0 : NSP_SPAN_ID_SIZE), "traceState", tracestate, "name",
        name->model, "kind", view->kind + 1, "start", decimal_model("%" PRIu64, view->start_ns), "end",
        decimal_model("%" PRIu64, view->end_ns));
    json_object_set_new(span->model, "flags",
                        json_integer(view->trace_flags | 0x100 | (view->parent_remote ? 0x200 : 0)));
    json_object_set_new(span->model, "droppedAttributes", json_integer(dropped));
    json_object_set_new(span->model, "droppedEvents", json_integer(view->dropped_events));
    json_object_set_new(span->model, "droppedLinks", json_integer(view->dropped_links));
    json_object_set_new(span->model, "status", status);
    json_object_set_new(span->model, "attributes", attributes);
    json_object_set_new(span->model, "events", events);
    json_object_set_new(span->model, "links", links);
}

void generated_span_free(generated_span *span)
{
    json_decref(span->model);
    built_span_free(&span->built);
}

static const char *const resource_keys[] = {"service.name", "empty", "k\xFFy", "process.pid"};
static const char *const resource_values[] = {"engine \"\xE2\x82\xAC\"", "", "\xED\xA0\x80\n", "4194304"};
static const nsp_type resource_types[] = {NSP_TYPE_STR, NSP_TYPE_STR, NSP_TYPE_STR, NSP_TYPE_I64};

__attribute__((format(printf, 3, 4))) static void log_line(nsp_log_level level, const char *subject,
                                                           const char *format, ...)
{
    (void)level;
    (void)subject;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

const nsp_exporter_context *generated_context(void)
{
    static nsp_config config = {.size = sizeof(nsp_config), .batch_bytes = 1 << 20};
    static const nsp_exporter_context context = {
        .config = &config,
        .resource_keys = resource_keys,
        .resource_values = resource_values,
        .resource_types = resource_types,
        .resource_count = 4,
        .log = log_line,
    };
    return &context;
}

json_t *generated_resource(void)
{
    return json_pack("[[s, s, s], [s, s, s], [s, s, s], [s, s, s]]", "service.name", "str",
                     "engine \"\xE2\x82\xAC\"", "empty", "str", "", "k\xEF\xBF\xBDy", "str",
                     "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\n", "process.pid", "i64", "4194304");
}
