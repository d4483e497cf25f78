// SPDX-License-Identifier: Apache-2.0
#include "collected.h"

#include "proto.h"
#include "schema.h"
#include "support/span_tree.h"
#include <stdio.h>
#include <stdlib.h>

// Perfetto's times are signed.
static uint64_t shown_time(uint64_t time)
{
    return time < INT64_MAX ? time : INT64_MAX;
}

static slice word_of(const char *const *words, size_t count, uint8_t value, char room[8])
{
    if (value < count)
        return nsp__slice_of(words[value]);
    snprintf(room, 8, "%u", value);
    return nsp__slice_of(room);
}

// The ids, and what of the row is no slice: what was not said is left out.
static void encode_row(collected *c, const span_row *row, slice message)
{
    static const char *const KINDS[] = {"", "internal", "server", "client", "producer", "consumer"};
    static const char *const STATUSES[] = {"", "ok", "error"};
    text *out = &c->scratch;
    char room[8];
    const uint64_t trace_number = row->trace + UINT64_C(1), end = row->start + row->duration;
    annotate_name(out, &c->names, c->store->strings[row->name]);
    proto_number(out, EVENT_CORRELATION_IID, trace_number);
    annotate_known_text(out, EVENT_ANNOTATIONS, &c->names, "trace_id", trace_number);
    annotate_span_id(out, EVENT_ANNOTATIONS, &c->names, "span_id", row->id);
    if (row->parent)
        annotate_span_id(out, EVENT_ANNOTATIONS, &c->names, "parent_span_id", row->parent);
    if (row->kind)
        annotate_text(out, EVENT_ANNOTATIONS, &c->names, nsp__slice_of("kind"),
                      word_of(KINDS, sizeof KINDS / sizeof *KINDS, row->kind, room));
    if (row->status)
        annotate_text(out, EVENT_ANNOTATIONS, &c->names, nsp__slice_of("status"),
                      word_of(STATUSES, sizeof STATUSES / sizeof *STATUSES, row->status, room));
    if (message.length)
        annotate_text(out, EVENT_ANNOTATIONS, &c->names, nsp__slice_of("status_message"), message);
    if (row->start != shown_time(row->start))
        annotate_count(out, EVENT_ANNOTATIONS, &c->names, "start_time_unix_nano", row->start);
    if (end != shown_time(end))
        annotate_count(out, EVENT_ANNOTATIONS, &c->names, "end_time_unix_nano", end);
}

static void encode_dropped(collected *c, const span_details *details)
{
    const struct {
        const char *key;
        uint64_t count;
    } dropped[] = {{"dropped_attributes_count", details->dropped_attributes},
                   {"dropped_events_count", details->dropped_events},
                   {"dropped_links_count", details->dropped_links}};
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        if (dropped[i].count)
            annotate_count(&c->scratch, EVENT_ANNOTATIONS, &c->names, dropped[i].key, dropped[i].count);
}

static spool_place keep_body(collected *c)
{
    const spool_place place = spool_add(&c->bodies, &c->scratch);
    c->scratch.length = 0;
    return place;
}

// An event may lie outside its span, so it says whose it is.
static void collect_event(collected *c, uint32_t row, uint32_t number, const span_details *details)
{
    const span_event *event = &details->events[number];
    text *out = &c->scratch;
    annotate_name(out, &c->names, event->name);
    annotate_span_id(out, EVENT_ANNOTATIONS, &c->names, "span_id", c->store->rows[row].id);
    if (event->time != shown_time(event->time))
        annotate_count(out, EVENT_ANNOTATIONS, &c->names, "time_unix_nano", event->time);
    for (uint32_t i = 0; i < event->attribute_count; i++)
        annotate_attribute(out, EVENT_ANNOTATIONS, &c->names,
                           &details->attributes[event->first_attribute + i]);
    c->instants = need_room(c->instants, c->instant_count, &c->instant_capacity, sizeof *c->instants);
    c->instants[c->instant_count++] = (span_instant){shown_time(event->time), row, number + 1, keep_body(c)};
}

static void collect_thread(collected *c, uint32_t row, const span_details *details)
{
    thread_mark mark = {.row = row, .process = c->spans[row].group};
    for (uint32_t i = 0; i < details->own_count; i++) {
        const attribute *a = &details->attributes[i];
        if (a->type == VALUE_INT && nsp__slice_is(a->key, "thread.id"))
            mark.id = a->integer;
        else if (a->type == VALUE_STRING && nsp__slice_is(a->key, "thread.name"))
            mark.name = interning_add(&c->thread_names, a->text, NULL) + 1;
    }
    if (mark.id <= 0)
        return;
    c->threads = need_room(c->threads, c->thread_count, &c->thread_capacity, sizeof *c->threads);
    c->threads[c->thread_count++] = mark;
}

static void collect_links(collected *c, uint32_t row, const span_details *details)
{
    for (uint32_t i = 0; i < details->link_count; i++) {
        const span_link *link = &details->links[i];
        c->links = need_room(c->links, c->link_count, &c->link_capacity, sizeof *c->links);
        c->links[c->link_count++] = (found_link){{link->trace[0], link->trace[1]}, link->span, row};
    }
}

static void collect_span(void *context, uint32_t row, uint32_t resource, const span_details *details)
{
    collected *c = context;
    c->spans[row].group = resource;
    encode_row(c, &c->store->rows[row], details->message);
    for (uint32_t i = 0; i < details->own_count; i++)
        annotate_attribute(&c->scratch, EVENT_ANNOTATIONS, &c->names, &details->attributes[i]);
    if (details->link_count)
        annotate_links(&c->scratch, EVENT_ANNOTATIONS, &c->names, details);
    encode_dropped(c, details);
    c->encoded[row] = keep_body(c);
    for (uint32_t i = 0; i < details->event_count; i++)
        collect_event(c, row, i, details);
    collect_links(c, row, details);
    collect_thread(c, row, details);
}

static void add_label(found_process *process, text *scratch, const attribute *a)
{
    scratch->length = 0;
    text_slice(scratch, a->key);
    text_char(scratch, '=');
    attribute_show(scratch, a);
    proto_string(&process->labels, PROCESS_LABELS, (slice){scratch->data, scratch->length});
    scratch->length = 0;
}

static void collect_resource(void *context, uint32_t number, const span_details *resource)
{
    collected *c = context;
    while (c->process_count <= number) {
        c->processes = need_room(c->processes, c->process_count, &c->process_capacity, sizeof *c->processes);
        c->processes[c->process_count++] = (found_process){.pid = 0};
    }
    found_process *process = &c->processes[number];
    for (uint32_t i = 0; i < resource->own_count; i++) {
        const attribute *a = &resource->attributes[i];
        if (a->type == VALUE_STRING && nsp__slice_is(a->key, "service.name")) {
            process->name.length = 0;
            text_slice(&process->name, a->text);
        } else if (a->type == VALUE_INT && nsp__slice_is(a->key, "process.pid")) {
            process->pid = a->integer;
        } else {
            add_label(process, &c->scratch, a);
        }
    }
    if (!process->name.length)
        text_put(&process->name, "unknown_service");
}

// Who is whose parent, and the times of all spans. Returns the rows, which the caller frees.
static uint32_t *choose_rows(collected *c, const perfetto_input *in)
{
    uint32_t *rows = need_memory((c->store->row_count + 1) * sizeof *rows);
    for (size_t i = 0; i < c->store->row_count; i++)
        c->spans[i].group = c->spans[i].parent = LANES_NONE;
    for (size_t i = 0; i < in->trace_count; i++) {
        const uint32_t first = in->traces[i]->first;
        span_tree tree;
        span_tree_build(&tree, c->store, in->traces[i]);
        for (uint32_t k = 0; k < tree.count; k++) {
            const span_row *row = &tree.rows[k];
            placed_span *span = &c->spans[first + k];
            span->start = shown_time(row->start);
            span->end = shown_time(row->start + row->duration);
            span->depth = tree.nodes[k].depth;
            if (tree.nodes[k].parent != NOBODY)
                span->parent = first + tree.nodes[k].parent;
            rows[c->span_count++] = first + k;
        }
        span_tree_free(&tree);
    }
    return rows;
}

bool collect(collected *c, const perfetto_input *in)
{
    const trace_store *store = in->store;
    *c = (collected){.store = store,
                     .spans = need_zeroes(store->row_count + 1, sizeof *c->spans),
                     .encoded = need_zeroes(store->row_count + 1, sizeof *c->encoded)};
    if (!spool_open(&c->bodies))
        return false;
    uint32_t *rows = choose_rows(c, in);
    const details_calls calls = {c, collect_resource, collect_span};
    const bool sound = trace_files_details(in->files, in->file_count, store, rows, c->span_count, &calls);
    free(rows);
    return sound && spool_map(&c->bodies);
}

void collected_free(collected *c)
{
    for (size_t i = 0; i < c->process_count; i++) {
        text_free(&c->processes[i].name);
        text_free(&c->processes[i].labels);
    }
    free(c->processes);
    free(c->threads);
    free(c->links);
    free(c->instants);
    free(c->encoded);
    free(c->spans);
    spool_close(&c->bodies);
    interning_free(&c->thread_names);
    interned_names_free(&c->names);
    text_free(&c->scratch);
}
