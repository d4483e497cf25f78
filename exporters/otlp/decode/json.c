// SPDX-License-Identifier: Apache-2.0
//
// A batch begins with everything around its spans, so one that is being filled is an object that ends too
// early: spans are read as they come, and what follows the last one that is wanted is not looked at.
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/hex.h"
#include "common/json_read.h"
#include "otlp/decode/decode.h"

// The reader and the record that is made from what it reads. What is wrong with either ends all loops.
typedef struct source {
    nsp__json_reader json;
    nsp__otlp_decoding *decoding;
    nsp__made_record *made;
} source;

static bool next_member(source *from, nsp__slice *name)
{
    return !from->made->wrong && nsp__json_key(&from->json, name);
}

static bool next_element(source *from)
{
    return !from->made->wrong && nsp__json_element(&from->json);
}

static void read_id(source *from, void *id, size_t size)
{
    nsp__slice digits;
    if (!nsp__json_string(&from->json, &digits) || digits.length != 2 * size ||
        !nsp__hex_decode(id, digits.text, size))
        from->made->wrong = true;
}

static nsp_name read_name(source *from)
{
    nsp__slice text;
    return nsp__json_string(&from->json, &text) ? nsp__made_name(from->made, text.text, text.length) : 0;
}

// ---- attributes ----

static void read_bytes(source *from)
{
    nsp__slice digits;
    size_t length = 0;
    if (!nsp__json_string(&from->json, &digits))
        return;
    uint8_t *bytes = (uint8_t *)(uintptr_t)digits.text; // in place: the text is the copy's
    if (digits.length != 0 &&
        !nsp__base64_decode(bytes, digits.text, digits.length, NSP__BASE64_STANDARD, &length))
        from->made->wrong = true;
    nsp__made_value(from->made, NSP_TYPE_BYTES, bytes, length);
}

static void read_text_value(source *from)
{
    nsp__slice text;
    if (nsp__json_string(&from->json, &text))
        nsp__made_value(from->made, NSP_TYPE_STR, text.text, text.length);
}

static void read_truth(source *from)
{
    nsp__slice word;
    if (!nsp__json_scalar(&from->json, &word))
        return;
    uint8_t truth = nsp__slice_is(word, "true");
    if (!truth && !nsp__slice_is(word, "false"))
        from->made->wrong = true;
    nsp__made_value(from->made, NSP_TYPE_BOOL, &truth, 1);
}

static void read_whole_number(source *from)
{
    int64_t number;
    if (nsp__json_integer(&from->json, &number))
        nsp__made_value(from->made, NSP_TYPE_I64, &number, sizeof number);
}

static void read_double(source *from)
{
    double number;
    if (nsp__json_double(&from->json, &number))
        nsp__made_value(from->made, NSP_TYPE_F64, &number, sizeof number);
}

// An AnyValue that is no array, except that `array` is called for one.
static void read_value(source *from, void (*array)(source *))
{
    nsp__slice name;
    nsp__json_enter(&from->json, '{');
    while (next_member(from, &name)) {
        if (nsp__slice_is(name, "stringValue"))
            read_text_value(from);
        else if (nsp__slice_is(name, "intValue"))
            read_whole_number(from);
        else if (nsp__slice_is(name, "doubleValue"))
            read_double(from);
        else if (nsp__slice_is(name, "boolValue"))
            read_truth(from);
        else if (nsp__slice_is(name, "bytesValue"))
            read_bytes(from);
        else if (nsp__slice_is(name, "arrayValue") && array != NULL)
            array(from);
        else
            from->made->wrong = true;
    }
}

static void read_elements(source *from)
{
    nsp__json_enter(&from->json, '[');
    while (next_element(from))
        read_value(from, NULL);
}

static void read_array(source *from)
{
    nsp__slice name;
    nsp__made_array_begin(from->made);
    nsp__json_enter(&from->json, '{');
    while (next_member(from, &name)) {
        if (nsp__slice_is(name, "values"))
            read_elements(from);
        else
            nsp__json_skip(&from->json);
    }
    nsp__made_array_end(from->made);
}

static void read_attribute(source *from)
{
    nsp__slice name;
    nsp_name key = 0;
    nsp__made_attribute_begin(from->made);
    nsp__json_enter(&from->json, '{');
    while (next_member(from, &name)) {
        if (nsp__slice_is(name, "key"))
            key = read_name(from);
        else if (nsp__slice_is(name, "value"))
            read_value(from, read_array);
        else
            nsp__json_skip(&from->json);
    }
    nsp__made_attribute_end(from->made, key);
}

static void read_list(source *from, void (*element)(source *))
{
    nsp__json_enter(&from->json, '[');
    while (next_element(from))
        element(from);
}

// ---- spans ----

static void read_event(source *from)
{
    nsp__slice name;
    nsp_name event = 0;
    uint64_t time_ns = 0, dropped = 0;
    nsp__made_event_begin(from->made);
    nsp__json_enter(&from->json, '{');
    while (next_member(from, &name)) {
        if (nsp__slice_is(name, "timeUnixNano"))
            time_ns = nsp__json_number(&from->json);
        else if (nsp__slice_is(name, "name"))
            event = read_name(from);
        else if (nsp__slice_is(name, "attributes"))
            read_list(from, read_attribute);
        else if (nsp__slice_is(name, "droppedAttributesCount"))
            dropped = nsp__json_number(&from->json);
        else
            nsp__json_skip(&from->json);
    }
    nsp__made_event_end(from->made, event, time_ns, dropped);
}

static void read_link_state(source *from)
{
    nsp__slice state;
    if (nsp__json_string(&from->json, &state))
        nsp__made_link_state(from->made, state.text, state.length);
}

static void read_link(source *from)
{
    nsp__slice name;
    nsp_item_link link = {.remote = 0};
    uint64_t flags = 0;
    nsp__made_link_begin(from->made);
    nsp__json_enter(&from->json, '{');
    while (next_member(from, &name)) {
        if (nsp__slice_is(name, "traceId"))
            read_id(from, link.trace_id, sizeof link.trace_id);
        else if (nsp__slice_is(name, "spanId"))
            read_id(from, link.span_id, sizeof link.span_id);
        else if (nsp__slice_is(name, "traceState"))
            read_link_state(from);
        else if (nsp__slice_is(name, "attributes"))
            read_list(from, read_attribute);
        else if (nsp__slice_is(name, "droppedAttributesCount"))
            link.dropped_attributes = nsp__made_count(nsp__json_number(&from->json));
        else if (nsp__slice_is(name, "flags"))
            flags = nsp__json_number(&from->json);
        else
            nsp__json_skip(&from->json);
    }
    link.flags = (uint8_t)flags;
    link.remote = (flags & 0x200) != 0;
    nsp__made_link_end(from->made, &link);
}

static void read_text(source *from, uint8_t type)
{
    nsp__slice text;
    if (nsp__json_string(&from->json, &text))
        nsp__made_text(from->made, type, text.text, text.length);
}

static void read_status(source *from)
{
    nsp__slice name;
    nsp__json_enter(&from->json, '{');
    while (next_member(from, &name)) {
        if (nsp__slice_is(name, "code"))
            from->made->record->status = nsp__otlp_status(nsp__json_number(&from->json));
        else if (nsp__slice_is(name, "message"))
            read_text(from, NSP_ITEM_STATUS_MESSAGE);
        else
            nsp__json_skip(&from->json);
    }
}

// The members that are one number or id. False: it is another one.
static bool read_fixed(source *from, nsp__slice name)
{
    nsp__record *record = from->made->record;
    nsp__dropped *dropped = &from->made->dropped;
    if (nsp__slice_is(name, "traceId"))
        read_id(from, record->trace_id, NSP_TRACE_ID_SIZE);
    else if (nsp__slice_is(name, "spanId"))
        read_id(from, &record->span_id, NSP_SPAN_ID_SIZE);
    else if (nsp__slice_is(name, "parentSpanId"))
        read_id(from, &record->parent_id, NSP_SPAN_ID_SIZE);
    else if (nsp__slice_is(name, "name"))
        record->name = read_name(from);
    else if (nsp__slice_is(name, "kind"))
        record->kind = nsp__otlp_kind(nsp__json_number(&from->json));
    else if (nsp__slice_is(name, "startTimeUnixNano"))
        record->start = nsp__json_number(&from->json);
    else if (nsp__slice_is(name, "endTimeUnixNano"))
        record->end = nsp__json_number(&from->json);
    else if (nsp__slice_is(name, "droppedAttributesCount"))
        dropped->attributes = nsp__made_count(nsp__json_number(&from->json));
    else if (nsp__slice_is(name, "droppedEventsCount"))
        dropped->events = nsp__made_count(nsp__json_number(&from->json));
    else if (nsp__slice_is(name, "droppedLinksCount"))
        dropped->links = nsp__made_count(nsp__json_number(&from->json));
    else
        return false;
    return true;
}

// False: nothing more is to be read.
static bool read_span(source *from)
{
    nsp__slice name;
    uint32_t flags = 0;
    nsp__made_begin(from->made);
    nsp__json_enter(&from->json, '{');
    while (next_member(from, &name)) {
        if (read_fixed(from, name))
            continue;
        if (nsp__slice_is(name, "attributes"))
            read_list(from, read_attribute);
        else if (nsp__slice_is(name, "events"))
            read_list(from, read_event);
        else if (nsp__slice_is(name, "links"))
            read_list(from, read_link);
        else if (nsp__slice_is(name, "traceState"))
            read_text(from, NSP_ITEM_TRACESTATE);
        else if (nsp__slice_is(name, "status"))
            read_status(from);
        else if (nsp__slice_is(name, "flags"))
            flags = (uint32_t)nsp__json_number(&from->json);
        else
            nsp__json_skip(&from->json);
    }
    return from->json.wrong == NULL && nsp__otlp_decoded(from->decoding, flags);
}

// Goes through the lists from a request down to its spans. False: nothing more is to be read.
static bool read_level(source *from, unsigned level)
{
    static const char *const lists[] = {"resourceSpans", "scopeSpans", "spans"};
    enum { LEVELS = sizeof lists / sizeof *lists };
    nsp__slice name;
    bool more = true;
    if (level == LEVELS)
        return read_span(from);
    nsp__json_enter(&from->json, '{');
    while (more && nsp__json_key(&from->json, &name)) {
        if (!nsp__slice_is(name, lists[level])) {
            nsp__json_skip(&from->json);
            continue;
        }
        nsp__json_enter(&from->json, '[');
        while (more && nsp__json_element(&from->json))
            more = read_level(from, level + 1);
    }
    return more && from->json.wrong == NULL;
}

void nsp__otlp_decode_json(nsp__otlp_decoding *decoding)
{
    if (decoding->taken == decoding->wanted || decoding->length == 0)
        return;
    char *copy = malloc(decoding->length); // because the reader writes to its input
    if (copy == NULL)
        return;
    memcpy(copy, decoding->bytes, decoding->length);
    source from = {.decoding = decoding, .made = &decoding->made};
    nsp__json_begin(&from.json, copy, decoding->length);
    read_level(&from, 0);
    free(copy);
}
