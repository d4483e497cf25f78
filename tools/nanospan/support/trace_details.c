// SPDX-License-Identifier: Apache-2.0
#include "trace_details.h"

#include "trace_notes.h"
#include <inttypes.h>
#include <stdlib.h>

void span_details_free(span_details *details)
{
    free(details->attributes);
    free(details->events);
    free(details->links);
    free(details->others);
    text_free(&details->texts);
    *details = (span_details){0};
}

static void clear(span_details *out)
{
    out->own_count = out->attribute_count = out->event_count = out->link_count = out->other_count = 0;
    out->message = (slice){"", 0};
    out->dropped_attributes = out->dropped_events = out->dropped_links = 0;
    out->texts.length = 0;
}

// A value that is none of the typed ones is text, which is added to the span's texts. Those may move, so that until
// the span was read only the length counts: the texts follow each other.
static void begin_other(span_details *out, attribute *a)
{
    if (a->type != VALUE_OTHER) {
        a->type = VALUE_OTHER;
        a->text = (slice){NULL, 0};
        a->integer = (int64_t)out->texts.length;
    }
}

static void read_value(span_details *out, nsp__json_reader *json, attribute *a)
{
    slice name, value;
    int64_t number;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        const bool is_string = nsp__slice_is(name, "stringValue"), is_int = nsp__slice_is(name, "intValue"),
                   is_bool = nsp__slice_is(name, "boolValue"), is_double = nsp__slice_is(name, "doubleValue");
        if (!is_string && !is_int && !is_bool && !is_double) {
            begin_other(out, a);
            trace_notes_value_member(json, name, &out->texts);
            a->text.length = out->texts.length - (size_t)a->integer;
            continue;
        }
        if (!nsp__json_scalar(json, &value) || value.text == NULL)
            continue;
        if (is_string) {
            a->type = VALUE_STRING;
            a->text = value;
        } else if (is_int && nsp__json_integer_of(value, &number) == NULL) {
            a->type = VALUE_INT;
            a->integer = number;
        } else if (is_double && trace_notes_double(value, &a->real)) {
            a->type = VALUE_DOUBLE;
        } else if (is_bool && (nsp__slice_is(value, "true") || nsp__slice_is(value, "false"))) {
            a->type = VALUE_BOOL;
            a->integer = nsp__slice_is(value, "true");
        } else {
            begin_other(out, a);
            trace_notes_plain(&out->texts, value);
            a->text.length = out->texts.length - (size_t)a->integer;
        }
    }
}

static attribute read_attribute(span_details *out, nsp__json_reader *json)
{
    attribute a = {.key = {"", 0}, .type = VALUE_OTHER, .integer = (int64_t)out->texts.length};
    slice name;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "key"))
            nsp__json_scalar(json, &a.key);
        else if (nsp__slice_is(name, "value"))
            read_value(out, json, &a);
        else
            nsp__json_skip(json);
    if (a.key.text == NULL)
        a.key = (slice){"", 0};
    return a;
}

static void read_own(span_details *out, nsp__json_reader *json)
{
    nsp__json_enter(json, '[');
    while (nsp__json_element(json)) {
        const attribute a = read_attribute(out, json);
        out->attributes = need_room(out->attributes, out->own_count, &out->attribute_capacity, sizeof a);
        out->attributes[out->own_count++] = a;
    }
}

// Attributes of an event or a link. Returns how many there are.
static uint32_t read_others(span_details *out, nsp__json_reader *json)
{
    const uint32_t before = out->other_count;
    nsp__json_enter(json, '[');
    while (nsp__json_element(json)) {
        const attribute a = read_attribute(out, json);
        out->others = need_room(out->others, out->other_count, &out->other_capacity, sizeof a);
        out->others[out->other_count++] = a;
    }
    return out->other_count - before;
}

static void read_events(span_details *out, nsp__json_reader *json)
{
    slice name;
    nsp__json_enter(json, '[');
    while (nsp__json_element(json)) {
        out->events = need_room(out->events, out->event_count, &out->event_capacity, sizeof *out->events);
        span_event *event = &out->events[out->event_count++];
        *event = (span_event){.name = {"", 0}, .first_attribute = out->other_count};
        nsp__json_enter(json, '{');
        while (nsp__json_key(json, &name))
            if (nsp__slice_is(name, "name"))
                nsp__json_scalar(json, &event->name);
            else if (nsp__slice_is(name, "timeUnixNano"))
                event->time = nsp__json_number(json);
            else if (nsp__slice_is(name, "attributes"))
                event->attribute_count += read_others(out, json);
            else
                nsp__json_skip(json);
    }
}

static void read_links(span_details *out, nsp__json_reader *json)
{
    slice name;
    nsp__json_enter(json, '[');
    while (nsp__json_element(json)) {
        out->links = need_room(out->links, out->link_count, &out->link_capacity, sizeof *out->links);
        span_link *link = &out->links[out->link_count++];
        *link = (span_link){.first_attribute = out->other_count};
        nsp__json_enter(json, '{');
        while (nsp__json_key(json, &name))
            if (nsp__slice_is(name, "traceId")) {
                nsp__json_id(json, link->trace, 2);
            } else if (nsp__slice_is(name, "spanId")) {
                nsp__json_id(json, &link->span, 1);
            } else if (nsp__slice_is(name, "attributes")) {
                link->attribute_count += read_others(out, json);
            } else {
                nsp__json_skip(json);
            }
    }
}

static void read_status(span_details *out, nsp__json_reader *json)
{
    slice name;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "message"))
            nsp__json_scalar(json, &out->message);
        else
            nsp__json_skip(json);
}

// Puts all attributes into one array, and lets those that are other texts point to them.
static void join(span_details *out)
{
    const size_t count = (size_t)out->own_count + out->other_count;
    if (count > out->attribute_capacity) {
        out->attributes = need_more(out->attributes, count * sizeof *out->attributes);
        out->attribute_capacity = count;
    }
    if (out->other_count != 0)
        memcpy(&out->attributes[out->own_count], out->others, out->other_count * sizeof *out->others);
    out->attribute_count = (uint32_t)count;
    for (uint32_t i = 0; i < out->event_count; i++)
        out->events[i].first_attribute += out->own_count;
    for (uint32_t i = 0; i < out->link_count; i++)
        out->links[i].first_attribute += out->own_count;
    for (size_t i = 0; i < count; i++) {
        attribute *a = &out->attributes[i];
        if (a->type == VALUE_OTHER) {
            a->text.text = a->text.length != 0 ? out->texts.data + a->integer : "";
            a->integer = 0;
        }
    }
}

void span_details_read(span_details *out, nsp__json_reader *json)
{
    slice name;
    clear(out);
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "attributes"))
            read_own(out, json);
        else if (nsp__slice_is(name, "events"))
            read_events(out, json);
        else if (nsp__slice_is(name, "links"))
            read_links(out, json);
        else if (nsp__slice_is(name, "status"))
            read_status(out, json);
        else if (nsp__slice_is(name, "droppedAttributesCount"))
            out->dropped_attributes = nsp__json_number(json);
        else if (nsp__slice_is(name, "droppedEventsCount"))
            out->dropped_events = nsp__json_number(json);
        else if (nsp__slice_is(name, "droppedLinksCount"))
            out->dropped_links = nsp__json_number(json);
        else
            nsp__json_skip(json);
    join(out);
}

void span_details_read_resource(span_details *out, nsp__json_reader *json)
{
    slice name;
    clear(out);
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "attributes"))
            read_own(out, json);
        else
            nsp__json_skip(json);
    join(out);
}

void attribute_show(text *out, const attribute *shown)
{
    switch (shown->type) {
    case VALUE_INT: text_format(out, "%" PRId64, shown->integer); break;
    case VALUE_BOOL: text_slice(out, nsp__slice_of(shown->integer != 0 ? "true" : "false")); break;
    case VALUE_DOUBLE: trace_notes_put_double(out, shown->real); break;
    default: text_slice(out, shown->text); break;
    }
}
