// SPDX-License-Identifier: Apache-2.0
//
// The header and the columns of a pack. Each column has a function that gives its values one by one.
#include "pack_content.h"

#include "support/json_text.h"
#include <endian.h>
#include <inttypes.h>
#include <nanospan/version.h>
#include <stdlib.h>

// A function that gives the value of row i.
#define COLUMN(name, value)                                                                                  \
    static uint64_t name(const pack *p, size_t i)                                                            \
    {                                                                                                        \
        return (value);                                                                                      \
    }

COLUMN(string_byte, (uint8_t)p->strings.bytes.data[i])
COLUMN(string_end, p->strings.ends[i])

COLUMN(trace_id_high, p->traces[i]->id[0])
COLUMN(trace_id_low, p->traces[i]->id[1])
COLUMN(trace_first, p->firsts[i])
COLUMN(trace_spans, p->traces[i]->count)
COLUMN(trace_root, p->places[p->traces[i]->root])
COLUMN(trace_start, p->traces[i]->start - p->base)
COLUMN(trace_duration, p->traces[i]->duration)
COLUMN(trace_errors, p->traces[i]->errors)
COLUMN(trace_rooted, p->traces[i]->rooted)
COLUMN(trace_kept, p->traces[i]->kept)
COLUMN(trace_preempted, p->traces[i]->preempted)
COLUMN(trace_waited, p->traces[i]->waited)
COLUMN(trace_source, p->traces[i]->source)

// Of the trace to which the row belongs.
static uint64_t start_of_trace(const pack *p, size_t row)
{
    return p->content->store->traces[p->spans[row].row->trace].start;
}

COLUMN(span_id, p->spans[i].row->id)
COLUMN(span_parent, p->spans[i].parent)
COLUMN(span_start, p->spans[i].row->start - start_of_trace(p, i))
COLUMN(span_duration, p->spans[i].row->duration)
COLUMN(span_name, p->spans[i].name)
COLUMN(span_kind, p->spans[i].row->kind)
COLUMN(span_status, p->spans[i].row->status)
COLUMN(span_message, p->spans[i].message)
COLUMN(span_resource, p->spans[i].resource)
COLUMN(span_shape, p->spans[i].holder.shape)

COLUMN(orphan_row, p->orphans[i])
COLUMN(orphan_parent, p->spans[p->orphans[i]].row->parent)

COLUMN(resource_service, p->resources[i].service)
COLUMN(resource_shape, p->resources[i].holder.shape)

COLUMN(event_row, p->events[i].row)
COLUMN(event_time, p->events[i].time - start_of_trace(p, p->events[i].row))
COLUMN(event_name, p->events[i].name)
COLUMN(event_shape, p->events[i].holder.shape)

COLUMN(link_row, p->links[i].row)
COLUMN(link_id_high, p->links[i].trace[0])
COLUMN(link_id_low, p->links[i].trace[1])
COLUMN(link_span, p->links[i].span)
static uint64_t link_trace(const pack *p, size_t i)
{
    const uint32_t found = trace_store_find(p->content->store, p->links[i].trace[0], p->links[i].trace[1]);
    return found != UINT32_MAX ? p->indices[found] : PACK_NONE;
}
COLUMN(link_shape, p->links[i].holder.shape)

COLUMN(pause_row, p->pauses[i].row)
COLUMN(pause_start, p->pauses[i].pause->start - start_of_trace(p, p->pauses[i].row))
COLUMN(pause_duration, p->pauses[i].pause->duration)
COLUMN(pause_preempted, p->pauses[i].pause->preempted)

COLUMN(dropped_row, p->dropped[i].row)
COLUMN(dropped_attributes, p->dropped[i].attributes)
COLUMN(dropped_events, p->dropped[i].events)
COLUMN(dropped_links, p->dropped[i].links)

COLUMN(shape_first, i != 0 ? p->shapes.ends[i - 1] / PACK_ITEM : 0)
COLUMN(shape_count, pack_shape_count(p, (uint32_t)i))
static uint64_t item_key(const pack *p, size_t i)
{
    uint32_t key;
    memcpy(&key, p->shapes.bytes.data + i * PACK_ITEM, sizeof key);
    return le32toh(key);
}
COLUMN(item_type, (uint8_t)p->shapes.bytes.data[i * PACK_ITEM + PACK_ITEM - 1])

COLUMN(value_low, (uint32_t)p->values[i])
COLUMN(value_high, p->values[i] >> 32)

typedef enum kind {
    TEXT,
    STRINGS,
    TRACES,
    SPANS,
    ORPHANS,
    RESOURCES,
    EVENTS,
    LINKS,
    PAUSES,
    DROPPED,
    SHAPES,
    ITEMS,
    VALUES
} kind;

static size_t count_of(const pack *p, kind what)
{
    switch (what) {
    case TEXT: return p->strings.bytes.length;
    case STRINGS: return p->strings.count;
    case TRACES: return p->trace_count;
    case SPANS: return p->span_count;
    case ORPHANS: return p->orphan_count;
    case RESOURCES: return p->resource_count;
    case EVENTS: return p->event_count;
    case LINKS: return p->link_count;
    case PAUSES: return p->pause_count;
    case DROPPED: return p->dropped_count;
    case SHAPES: return p->shapes.count;
    case ITEMS: return p->shapes.bytes.length / PACK_ITEM;
    case VALUES: return p->value_count;
    default: return 0;
    }
}

static const struct column {
    const char *name;
    kind of;
    unsigned bytes; // of each value
    uint64_t (*value)(const pack *p, size_t i);
} COLUMNS[] = {
    {"strings.bytes", TEXT, 1, string_byte},
    {"strings.end", STRINGS, 4, string_end},
    {"trace.id_high", TRACES, 8, trace_id_high},
    {"trace.id_low", TRACES, 8, trace_id_low},
    {"trace.first", TRACES, 4, trace_first},
    {"trace.count", TRACES, 4, trace_spans},
    {"trace.root", TRACES, 4, trace_root},
    {"trace.start", TRACES, 8, trace_start},
    {"trace.duration", TRACES, 8, trace_duration},
    {"trace.errors", TRACES, 4, trace_errors},
    {"trace.rooted", TRACES, 1, trace_rooted},
    {"trace.kept", TRACES, 1, trace_kept},
    {"trace.preempted", TRACES, 8, trace_preempted},
    {"trace.waited", TRACES, 8, trace_waited},
    {"trace.source", TRACES, 2, trace_source},
    {"span.id", SPANS, 8, span_id},
    {"span.parent", SPANS, 4, span_parent},
    {"span.start", SPANS, 8, span_start},
    {"span.duration", SPANS, 8, span_duration},
    {"span.name", SPANS, 4, span_name},
    {"span.kind", SPANS, 1, span_kind},
    {"span.status", SPANS, 1, span_status},
    {"span.message", SPANS, 4, span_message},
    {"span.resource", SPANS, 4, span_resource},
    {"span.shape", SPANS, 4, span_shape},
    {"orphan.row", ORPHANS, 4, orphan_row},
    {"orphan.parent", ORPHANS, 8, orphan_parent},
    {"resource.service", RESOURCES, 4, resource_service},
    {"resource.shape", RESOURCES, 4, resource_shape},
    {"event.row", EVENTS, 4, event_row},
    {"event.time", EVENTS, 8, event_time},
    {"event.name", EVENTS, 4, event_name},
    {"event.shape", EVENTS, 4, event_shape},
    {"link.row", LINKS, 4, link_row},
    {"link.id_high", LINKS, 8, link_id_high},
    {"link.id_low", LINKS, 8, link_id_low},
    {"link.span", LINKS, 8, link_span},
    {"link.trace", LINKS, 4, link_trace},
    {"link.shape", LINKS, 4, link_shape},
    {"pause.row", PAUSES, 4, pause_row},
    {"pause.start", PAUSES, 8, pause_start},
    {"pause.duration", PAUSES, 8, pause_duration},
    {"pause.preempted", PAUSES, 1, pause_preempted},
    {"dropped.row", DROPPED, 4, dropped_row},
    {"dropped.attributes", DROPPED, 4, dropped_attributes},
    {"dropped.events", DROPPED, 4, dropped_events},
    {"dropped.links", DROPPED, 4, dropped_links},
    {"shape.first", SHAPES, 4, shape_first},
    {"shape.count", SHAPES, 4, shape_count},
    {"item.key", ITEMS, 4, item_key},
    {"item.type", ITEMS, 1, item_type},
    {"value.low", VALUES, 4, value_low},
    {"value.high", VALUES, 4, value_high},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof *COLUMNS };

static void add_column(const pack *p, const struct column *column, text *out)
{
    const size_t count = count_of(p, column->of);
    char *to = text_room(out, count * column->bytes);
    for (size_t i = 0; i < count; i++) {
        const uint64_t value = column->value(p, i);
        for (unsigned plane = 0; plane < column->bytes; plane++)
            to[plane * count + i] = (char)(uint8_t)(value >> 8 * plane);
    }
    out->length += count * column->bytes;
}

static void add_sources(const pack *p, text *out)
{
    const pack_content *c = p->content;
    uint64_t *spans = need_zeroes(c->file_count + 1, sizeof *spans),
             *traces = need_zeroes(c->file_count + 1, sizeof *traces);
    for (size_t i = 0; i < p->span_count; i++)
        spans[trace_store_source(c->store, p->spans[i].row->line)]++;
    for (size_t i = 0; i < p->trace_count; i++)
        traces[p->traces[i]->source]++;
    text_put(out, ",\"sources\":[");
    for (size_t i = 0; i < c->file_count; i++) {
        text_put(out, i != 0 ? ",{\"name\":" : "{\"name\":");
        json_string(out, nsp__slice_of(c->files[i].name));
        text_format(out, ",\"spans\":%" PRIu64 ",\"traces\":%" PRIu64 "}", spans[i], traces[i]);
    }
    text_char(out, ']');
    free(spans);
    free(traces);
}

static void add_left_out(const pack *p, text *out)
{
    const pack_content *c = p->content;
    uint64_t lines = 0, spans = 0;
    for (size_t i = 0; i < c->file_count; i++) {
        lines += c->files[i].bad_lines;
        spans += c->files[i].bad_spans;
    }
    text_format(out,
                ",\"left_out\":{\"repeated\":%" PRIu64 ",\"malformed_lines\":%" PRIu64
                ",\"without_id\":%" PRIu64 ",\"traces_not_chosen\":%zu}",
                c->store->duplicates, lines, spans, c->store->seen_traces - p->trace_count);
}

static void add_header(const pack *p, text *out)
{
    text_format(out, "{\"format\":1,\"base\":\"%" PRIu64 "\",\"traces\":%zu,\"spans\":%zu,\"strings\":%zu",
                p->base, p->trace_count, p->span_count, p->strings.count);
    add_sources(p, out);
    text_put(out, ",\"kept\":[");
    for (kept_why why = KEPT_NOT; why < KEPT_WORDS; why++)
        text_format(out, "%s\"%s\"", why != KEPT_NOT ? "," : "", kept_word(why));
    text_char(out, ']');
    add_left_out(p, out);
    text_put(out, ",\"title\":");
    json_string(out, nsp__slice_of(p->content->title));
    text_put(out, ",\"version\":\"" NSP_VERSION "\",\"columns\":[");
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        text_format(out, "%s{\"name\":\"%s\",\"type\":\"u%u\",\"count\":%zu}", i != 0 ? "," : "",
                    COLUMNS[i].name, COLUMNS[i].bytes * 8, count_of(p, COLUMNS[i].of));
    text_put(out, "]}");
}

void pack_columns(const pack *p, text *out)
{
    text header = {0};
    add_header(p, &header);
    const uint32_t length = htole32((uint32_t)header.length);
    size_t whole = out->length + header.length + 12;
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        whole += count_of(p, COLUMNS[i].of) * COLUMNS[i].bytes;
    text_room(out, whole); // at once, since it may be large
    text_add(out, "nspage\0\1", 8);
    text_add(out, &length, sizeof length);
    text_add(out, header.data, header.length);
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        add_column(p, &COLUMNS[i], out);
    text_free(&header);
}
