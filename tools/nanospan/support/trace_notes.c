// SPDX-License-Identifier: Apache-2.0
#include "trace_notes.h"

#include "common/utf8.h"
#include "json_text.h"
#include <inttypes.h>
#include <stdlib.h>

// The characters of three bytes that turn the direction of writing round, and with it the rest of the line, or end
// lines.
static bool is_unruly(uint32_t point)
{
    return (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) || point == 0x200e ||
           point == 0x200f;
}

static uint32_t point_of_three(const uint8_t *from)
{
    return (uint32_t)(from[0] & 0x0f) << 12 | (uint32_t)(from[1] & 0x3f) << 6 | (from[2] & 0x3f);
}

// Adds the non-ASCII character at `at`. Bytes that do not form a valid character become \xNN, because a
// terminal with another encoding might obey them. Returns the number of bytes read.
static size_t add_character(text *out, slice value, size_t at)
{
    const uint8_t *from = (const uint8_t *)value.text + at;
    bool valid;
    size_t size = nsp__utf8_next(from, (const uint8_t *)value.text + value.length, &valid);
    if (valid && size == 3 && is_unruly(point_of_three(from)))
        text_format(out, "\\u%04x", point_of_three(from));
    else if (valid)
        text_add(out, from, size);
    for (size_t i = 0; i < size && !valid; i++)
        text_format(out, "\\x%02x", from[i]);
    return size;
}

void trace_notes_plain(text *out, slice value)
{
    for (size_t i = 0; i < value.length; i++) {
        unsigned char byte = (unsigned char)value.text[i];
        // U+0080 to U+009F are control characters too.
        bool c1 = byte == 0xc2 && i + 1 < value.length && ((unsigned char)value.text[i + 1] & 0xe0) == 0x80;
        if (byte == '\n')
            text_put(out, "\\n");
        else if (byte == '\t')
            text_put(out, "\\t");
        else if (byte < 0x20 || byte == 0x7f)
            text_format(out, "\\x%02x", byte);
        else if (c1)
            text_format(out, "\\x%02x", (unsigned char)value.text[++i]);
        else if (byte < 0x80)
            text_char(out, (char)byte);
        else
            i += add_character(out, value, i) - 1;
    }
}

void trace_notes_string_attribute(nsp__json_reader *json, slice *key, slice *value)
{
    slice name;
    *key = *value = (slice){"", 0};
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (nsp__slice_is(name, "key")) {
            nsp__json_scalar(json, key);
            continue;
        }
        if (!nsp__slice_is(name, "value")) {
            nsp__json_skip(json);
            continue;
        }
        nsp__json_enter(json, '{');
        while (nsp__json_key(json, &name))
            if (nsp__slice_is(name, "stringValue"))
                nsp__json_scalar(json, value);
            else
                nsp__json_skip(json);
    }
}

// Adds a string, in quotes only if it would be misread without them.
static void add_string(text *out, slice value)
{
    bool quotes = value.length == 0;
    for (size_t i = 0; i < value.length; i++)
        quotes = quotes || strchr(" \"=,[]{}", value.text[i]) != NULL;
    if (quotes)
        text_char(out, '"');
    trace_notes_plain(out, value);
    if (quotes)
        text_char(out, '"');
}

bool trace_notes_double(slice digits, double *value)
{
    char copy[64];
    if (digits.length == 0 || digits.length >= sizeof copy)
        return false;
    memcpy(copy, digits.text, digits.length);
    copy[digits.length] = '\0';
    char *end = NULL;
    *value = strtod(copy, &end);
    return end == copy + digits.length;
}

void trace_notes_put_double(text *out, double value)
{
    size_t before = out->length;
    json_double(out, value);
    if (out->data[before] == '"') {
        // In JSON, NaN and the infinities are quoted.
        memmove(out->data + before, out->data + before + 1, out->length - before - 2);
        out->length -= 2;
    }
}

static void add_double(text *out, slice digits)
{
    double value;
    if (trace_notes_double(digits, &value))
        trace_notes_put_double(out, value);
    else
        trace_notes_plain(out, digits);
}

static void add_attributes(nsp__json_reader *json, text *out, const char *between);

static void add_value(nsp__json_reader *json, text *out);

// An ArrayValue or a KeyValueList; both hold `values`.
static void add_values(nsp__json_reader *json, text *out, bool is_array)
{
    slice name;
    text_char(out, is_array ? '[' : '{');
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (!nsp__slice_is(name, "values")) {
            nsp__json_skip(json);
            continue;
        }
        if (!is_array) {
            add_attributes(json, out, ", ");
            continue;
        }
        size_t before = out->length;
        nsp__json_enter(json, '[');
        while (nsp__json_element(json)) {
            if (out->length > before)
                text_put(out, ", ");
            add_value(json, out);
        }
    }
    text_char(out, is_array ? ']' : '}');
}

static void add_scalar(nsp__json_reader *json, text *out, slice form)
{
    slice value;
    if (!nsp__json_scalar(json, &value) || value.text == NULL)
        return;
    if (nsp__slice_is(form, "stringValue"))
        add_string(out, value);
    else if (nsp__slice_is(form, "doubleValue"))
        add_double(out, value);
    else if (nsp__slice_is(form, "bytesValue"))
        text_put(out, "base64:");
    if (!nsp__slice_is(form, "stringValue") && !nsp__slice_is(form, "doubleValue"))
        trace_notes_plain(out, value);
}

void trace_notes_value_member(nsp__json_reader *json, slice name, text *out)
{
    if (nsp__slice_is(name, "arrayValue") || nsp__slice_is(name, "kvlistValue"))
        add_values(json, out, name.text[0] == 'a');
    else if (name.length > 5 && memcmp(name.text + name.length - 5, "Value", 5) == 0)
        add_scalar(json, out, name);
    else
        nsp__json_skip(json);
}

static void add_value(nsp__json_reader *json, text *out)
{
    slice name;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        trace_notes_value_member(json, name, out);
}

void trace_notes_key_value(nsp__json_reader *json, text *key, text *value)
{
    slice name, label;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "key") && nsp__json_scalar(json, &label))
            trace_notes_plain(key, label);
        else if (nsp__slice_is(name, "value"))
            add_value(json, value);
        else
            nsp__json_skip(json);
}

static void add_key_value(nsp__json_reader *json, text *out)
{
    // The value may come before its key.
    text value = {0}, key = {0};
    trace_notes_key_value(json, &key, &value);
    text_add(out, key.data, key.length);
    text_char(out, '=');
    text_add(out, value.data, value.length);
    text_free(&key);
    text_free(&value);
}

static void add_attributes(nsp__json_reader *json, text *out, const char *between)
{
    size_t before = out->length;
    nsp__json_enter(json, '[');
    while (nsp__json_element(json)) {
        if (out->length > before)
            text_slice(out, nsp__slice_of(between));
        add_key_value(json, out);
    }
}

static note *add_note(span_notes *out, note_type type)
{
    out->notes = need_room(out->notes, out->count, &out->capacity, sizeof *out->notes);
    note *added = &out->notes[out->count++];
    *added = (note){.type = type};
    return added;
}

// An event or a link; they differ in their first members.
static void read_note(nsp__json_reader *json, note *out)
{
    text attributes = {0}, trace_id = {0}, label = {0};
    slice name, value;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "attributes"))
            add_attributes(json, &attributes, " ");
        else if (nsp__slice_is(name, "timeUnixNano"))
            out->time = nsp__json_number(json);
        else if (nsp__slice_is(name, "traceId") && nsp__json_scalar(json, &value))
            trace_notes_plain(&trace_id, value);
        else if ((nsp__slice_is(name, "name") || nsp__slice_is(name, "spanId")) &&
                 nsp__json_scalar(json, &value))
            trace_notes_plain(&label, value);
        else
            nsp__json_skip(json);
    if (out->type == NOTE_LINK) {
        text_put(&out->text, "trace ");
        text_add(&out->text, trace_id.data, trace_id.length);
        text_put(&out->text, " span ");
    }
    text_add(&out->text, label.data, label.length);
    if (attributes.length)
        text_char(&out->text, ' ');
    text_add(&out->text, attributes.data, attributes.length);
    text_free(&attributes);
    text_free(&trace_id);
    text_free(&label);
}

static void read_notes(nsp__json_reader *json, span_notes *out, note_type type)
{
    nsp__json_enter(json, '[');
    while (nsp__json_element(json)) {
        note *added = add_note(out, type);
        if (type == NOTE_ATTRIBUTE)
            add_key_value(json, &added->text);
        else
            read_note(json, added);
    }
}

static void read_status(nsp__json_reader *json, span_notes *out)
{
    slice name, value;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "message") && nsp__json_scalar(json, &value))
            trace_notes_plain(&add_note(out, NOTE_STATUS)->text, value);
        else
            nsp__json_skip(json);
}

static void read_dropped(nsp__json_reader *json, span_notes *out, const char *what)
{
    uint64_t count = nsp__json_number(json);
    if (count)
        text_format(&add_note(out, NOTE_DROPPED)->text, "%" PRIu64 " %s dropped", count, what);
}

void trace_notes_read(nsp__json_reader *json, span_notes *out)
{
    slice name;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "attributes"))
            read_notes(json, out, NOTE_ATTRIBUTE);
        else if (nsp__slice_is(name, "events"))
            read_notes(json, out, NOTE_EVENT);
        else if (nsp__slice_is(name, "links"))
            read_notes(json, out, NOTE_LINK);
        else if (nsp__slice_is(name, "status"))
            read_status(json, out);
        else if (nsp__slice_is(name, "droppedAttributesCount"))
            read_dropped(json, out, "attributes");
        else if (nsp__slice_is(name, "droppedEventsCount"))
            read_dropped(json, out, "events");
        else if (nsp__slice_is(name, "droppedLinksCount"))
            read_dropped(json, out, "links");
        else
            nsp__json_skip(json);
}
