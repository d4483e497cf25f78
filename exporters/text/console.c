// SPDX-License-Identifier: Apache-2.0
//
// The exporter "console": spans as text on standard output, for people. One line for each span, with its
// events and links indented below it. Times are UTC. Nothing in a span can control the terminal.
//
//     17:04:03.120345678 place_order 12.345us server trace=... span=... parent=... symbol="AAPL" quantity=100
//         +3.021us fill price=101.25
#include <stdlib.h>
#include <unistd.h>

#include "builtin.h"
#include "encode/names.h"
#include "common/text.h"
#include "encode/walk.h"
#include "text/output.h"

typedef struct console_exporter {
    nsp__names *names; // quoted; the quotes are not printed
    nsp__output output;
    nsp__keys keys;
} console_exporter;

static void console_destroy(void *state)
{
    console_exporter *console = state;
    if (console == NULL)
        return;
    nsp__names_destroy(console->names);
    free(console);
}

static nsp_status console_create(void **state, const nsp_exporter_context *context)
{
    console_exporter *console = calloc(1, sizeof *console);
    if (console == NULL)
        return NSP_ERR_NO_MEMORY;
    console->output =
        (nsp__output){.fd = STDOUT_FILENO, .cancel = context->cancel, .label = "standard output"};
    console->keys.table = nsp__name_table_of(context);
    console->names = nsp__names_create(context, nsp__quoted_form, NSP__QUOTED_GROWTH, 2);
    if (console->names == NULL) {
        console_destroy(console);
        return NSP_ERR_NO_MEMORY;
    }
    *state = console;
    return NSP_OK;
}

static void put_name(console_exporter *console, nsp__text *out, nsp_name name)
{
    nsp__form form = nsp__names_get(console->names, name);
    nsp__text_bytes(out, form.bytes + 1, form.size - 2);
}

// The time of day.
static void put_time(nsp__text *out, uint64_t unix_ns)
{
    uint64_t seconds = unix_ns / 1000000000u;
    nsp__text_digits(out, seconds / 3600 % 24, 2);
    nsp__text_put(out, ":");
    nsp__text_digits(out, seconds / 60 % 60, 2);
    nsp__text_put(out, ":");
    nsp__text_digits(out, seconds % 60, 2);
    nsp__text_put(out, ".");
    nsp__text_digits(out, unix_ns % 1000000000u, 9);
}

// Exact to the nanosecond, in the largest unit that gives at least 1.
static void put_duration(nsp__text *out, uint64_t ns)
{
    static const struct {
        uint64_t ns;
        unsigned places;
        const char *name;
    } units[] = {{1000000000u, 9, "s"}, {1000000u, 6, "ms"}, {1000u, 3, "us"}, {1, 0, "ns"}};
    size_t i = 0;
    while (units[i].ns > 1 && ns < units[i].ns)
        i++;
    nsp__text_u64(out, ns / units[i].ns);
    if (units[i].places) {
        nsp__text_put(out, ".");
        nsp__text_digits(out, ns % units[i].ns, units[i].places);
    }
    nsp__text_put(out, units[i].name);
}

static void put_scalar(nsp__text *out, const nsp__element *element)
{
    uint64_t word;
    double number;
    switch (element->type) {
    case NSP_TYPE_STR: nsp__text_quoted(out, element->bytes, element->length); break;
    case NSP_TYPE_BOOL: nsp__text_put(out, *element->bytes ? "true" : "false"); break;
    case NSP_TYPE_I64:
        memcpy(&word, element->bytes, sizeof word);
        nsp__text_i64(out, (int64_t)word);
        break;
    case NSP_TYPE_F64:
        memcpy(&number, element->bytes, sizeof number);
        nsp__text_f64(out, number);
        break;
    default: // BYTES
        nsp__text_put(out, "0x");
        nsp__text_hex(out, element->bytes, element->length);
    }
}

static void put_attributes(console_exporter *console, nsp__text *out, nsp__scope scope, uint32_t dropped)
{
    nsp_item item;
    dropped += scope.unnamed;
    while (nsp__scope_next(&scope, &item)) {
        if (item.type < NSP_TYPE_STR || item.type > NSP_TYPE_F64S)
            continue;
        nsp__text_put(out, " ");
        put_name(console, out, item.key);
        nsp__text_put(out, "=");
        if (item.type < NSP_TYPE_STRS) {
            nsp__element scalar = {(nsp_type)item.type, item.payload, item.length};
            if (item.type == NSP_TYPE_BOOL)
                scalar.bytes = &item.small;
            put_scalar(out, &scalar);
            continue;
        }
        const uint8_t *from = item.payload;
        nsp__element element;
        const char *before = "[";
        for (; nsp__element_next(&item, &from, &element); before = ", ") {
            nsp__text_put(out, before);
            put_scalar(out, &element);
        }
        nsp__text_put(out, *before == '[' ? "[]" : "]");
    }
    if (dropped) {
        nsp__text_put(out, " dropped_attributes=");
        nsp__text_u64(out, dropped);
    }
    nsp__text_put(out, "\n");
}

static void put_id(nsp__text *out, const char *label, const uint8_t *id, size_t size)
{
    nsp__text_put(out, label);
    nsp__text_hex(out, id, size);
}

static void put_event(console_exporter *console, nsp__text *out, const nsp_span_view *view,
                      nsp_item_cursor *cursor, const nsp_item *item)
{
    nsp_item_event event;
    memcpy(&event, item->payload, sizeof event);
    uint64_t at = nsp_span_view_ns(view, event.ticks);
    bool early = at < view->start_ns;
    nsp__text_put(out, early ? "    -" : "    +");
    put_duration(out, early ? view->start_ns - at : at - view->start_ns);
    nsp__text_put(out, " ");
    put_name(console, out, item->key);
    put_attributes(console, out, nsp__scope_enter(&console->keys, cursor, item), event.dropped_attributes);
}

static void put_link(console_exporter *console, nsp__text *out, nsp_item_cursor *cursor, const nsp_item *item)
{
    nsp_item_link link;
    memcpy(&link, item->payload, sizeof link);
    nsp__text_put(out, "    link");
    put_id(out, " trace=", link.trace_id, NSP_TRACE_ID_SIZE);
    put_id(out, " span=", link.span_id, NSP_SPAN_ID_SIZE);
    put_attributes(console, out, nsp__scope_enter(&console->keys, cursor, item), link.dropped_attributes);
}

static void put_status(nsp__text *out, const nsp_span_view *view, const nsp__parts *parts)
{
    nsp__text_put(out, view->status == NSP_SPAN_STATUS_ERROR ? " ERROR"
                       : view->status == NSP_SPAN_STATUS_OK  ? " OK"
                                                             : "");
    if (view->status == NSP_SPAN_STATUS_ERROR && parts->message_length) {
        nsp__text_put(out, " ");
        nsp__text_quoted(out, parts->message, parts->message_length);
    }
}

static bool console_append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    static const char *const kinds[] = {"", " server", " client", " producer", " consumer"};
    console_exporter *console = state;
    nsp__parts parts;
    nsp__parts_find(&console->keys, view, &parts);
    nsp__text text = {batch->data + batch->length, batch->data + batch->capacity, false};
    nsp__text *out = &text;

    put_time(out, view->start_ns);
    nsp__text_put(out, " ");
    put_name(console, out, view->name);
    nsp__text_put(out, " ");
    put_duration(out, view->end_ns - view->start_ns);
    nsp__text_put(out, view->kind < sizeof kinds / sizeof *kinds ? kinds[view->kind] : "");
    put_status(out, view, &parts);
    put_id(out, " trace=", view->trace_id, NSP_TRACE_ID_SIZE);
    put_id(out, " span=", view->span_id, NSP_SPAN_ID_SIZE);
    if (!nsp__id_zero(view->parent_id))
        put_id(out, view->parent_remote ? " remote_parent=" : " parent=", view->parent_id, NSP_SPAN_ID_SIZE);
    put_attributes(console, out, parts.attributes, view->dropped_attributes);

    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    while (nsp__item_next(&cursor, &item)) {
        if (item.type == NSP_ITEM_EVENT)
            put_event(console, out, view, &cursor, &item);
        else if (item.type == NSP_ITEM_LINK)
            put_link(console, out, &cursor, &item);
    }
    if (out->full)
        return false;
    batch->length = (size_t)(out->at - batch->data);
    return true;
}

static nsp_send_result console_send(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                    nsp_send_report *report)
{
    return nsp__output_send(&((console_exporter *)state)->output, batch, deadline_ns, report);
}

const nsp_exporter nsp__exporter_console = {
    .size = sizeof(nsp_exporter),
    .name = "console",
    .create = console_create,
    .destroy = console_destroy,
    .append = console_append,
    .send = console_send,
};
