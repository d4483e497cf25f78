// SPDX-License-Identifier: Apache-2.0
#include "pack_content.h"

#include "common/utf8.h"
#include "support/trace_details.h"
#include <stdlib.h>

uint32_t pack_string(pack *p, slice value)
{
    const uint8_t *bytes = (const uint8_t *)value.text;
    if (value.length == 0 || nsp__utf8_valid(bytes, value.length))
        return interning_add(&p->strings, value, NULL);
    const size_t length = nsp__utf8_repaired_size(bytes, value.length);
    p->scratch.length = 0;
    nsp__utf8_repair((uint8_t *)text_room(&p->scratch, length), bytes, value.length);
    return interning_add(&p->strings, (slice){p->scratch.data, length}, NULL);
}

uint32_t pack_shape_count(const pack *p, uint32_t shape)
{
    return (uint32_t)(interning_at(&p->shapes, shape).length / PACK_ITEM);
}

static uint64_t value_of(pack *p, const attribute *a)
{
    uint64_t bits;
    switch (a->type) {
    case VALUE_INT:
    case VALUE_BOOL: return (uint64_t)a->integer;
    case VALUE_DOUBLE: memcpy(&bits, &a->real, sizeof bits); return bits;
    default: return pack_string(p, a->text);
    }
}

static void add_value(pack *p, uint64_t value)
{
    p->values = need_room(p->values, p->value_count, &p->value_capacity, sizeof *p->values);
    p->values[p->value_count++] = value;
}

static packed_holder add_attributes(pack *p, const attribute *attributes, uint32_t count)
{
    packed_holder holder = {.first_value = (uint32_t)p->value_count};
    text shape = {0};
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t key = pack_string(p, attributes[i].key);
        for (unsigned shift = 0; shift < 32; shift += 8)
            text_char(&shape, (char)(uint8_t)(key >> shift));
        text_char(&shape, (char)attributes[i].type);
        add_value(p, value_of(p, &attributes[i]));
    }
    holder.shape = interning_add(&p->shapes, (slice){shape.data, shape.length}, NULL);
    text_free(&shape);
    return holder;
}

// Whether there is room for what the details hold. One string of them may exceed the bound of all texts.
static bool fits(pack *p, const span_details *details)
{
    const size_t items = p->value_count + p->event_count + p->link_count + p->pause_count +
                         details->attribute_count + details->event_count + details->link_count;
    p->too_much = p->too_much || items > PACK_MOST_ITEMS || p->strings.bytes.length > PACK_MOST_TEXT;
    return !p->too_much;
}

static void add_resource(void *context, uint32_t number, const span_details *resource)
{
    pack *p = context;
    (void)number; // they come in the order of their numbers
    if (!fits(p, resource))
        return;
    packed_resource added = {.holder = add_attributes(p, resource->attributes, resource->own_count)};
    for (uint32_t i = 0; i < resource->own_count; i++)
        if (nsp__slice_is(resource->attributes[i].key, "service.name") &&
            resource->attributes[i].type == VALUE_STRING)
            added.service = pack_string(p, resource->attributes[i].text);
    p->resources = need_room(p->resources, p->resource_count, &p->resource_capacity, sizeof added);
    p->resources[p->resource_count++] = added;
}

static uint32_t bounded(uint64_t count)
{
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static void add_dropped(pack *p, uint32_t row, const span_details *details)
{
    if ((details->dropped_attributes | details->dropped_events | details->dropped_links) == 0)
        return;
    p->dropped = need_room(p->dropped, p->dropped_count, &p->dropped_capacity, sizeof *p->dropped);
    p->dropped[p->dropped_count++] = (packed_dropped){.row = row,
                                                      .attributes = bounded(details->dropped_attributes),
                                                      .events = bounded(details->dropped_events),
                                                      .links = bounded(details->dropped_links)};
}

static void add_events(pack *p, uint32_t row, const span_details *details)
{
    p->spans[row].first_event = (uint32_t)p->event_count;
    p->spans[row].event_count = details->event_count;
    for (uint32_t i = 0; i < details->event_count; i++) {
        const span_event *from = &details->events[i];
        p->events = need_room(p->events, p->event_count, &p->event_capacity, sizeof *p->events);
        p->events[p->event_count++] = (packed_event){
            .time = from->time,
            .row = row,
            .name = pack_string(p, from->name),
            .holder = add_attributes(p, details->attributes + from->first_attribute, from->attribute_count)};
    }
}

static void add_links(pack *p, uint32_t row, const span_details *details)
{
    p->spans[row].first_link = (uint32_t)p->link_count;
    p->spans[row].link_count = details->link_count;
    for (uint32_t i = 0; i < details->link_count; i++) {
        const span_link *from = &details->links[i];
        p->links = need_room(p->links, p->link_count, &p->link_capacity, sizeof *p->links);
        p->links[p->link_count++] = (packed_link){
            .trace = {from->trace[0], from->trace[1]},
            .span = from->span,
            .row = row,
            .holder = add_attributes(p, details->attributes + from->first_attribute, from->attribute_count)};
    }
}

static void add_span(void *context, uint32_t store_row, uint32_t resource, const span_details *details)
{
    pack *p = context;
    const uint32_t row = p->places[store_row];
    p->spans[row].resource = resource;
    if (!fits(p, details))
        return;
    p->spans[row].message = pack_string(p, details->message);
    p->spans[row].holder = add_attributes(p, details->attributes, details->own_count);
    add_events(p, row, details);
    add_links(p, row, details);
    add_dropped(p, row, details);
}

bool pack_details(pack *p)
{
    const pack_content *c = p->content;
    const details_calls calls = {.context = p, .resource = add_resource, .span = add_span};
    uint32_t *wanted = need_memory((p->span_count + 1) * sizeof *wanted);
    for (size_t i = 0; i < p->span_count; i++)
        wanted[i] = (uint32_t)(p->spans[i].row - c->store->rows);
    const bool sound = trace_files_details(c->files, c->file_count, c->store, wanted, p->span_count, &calls);
    free(wanted);
    return sound;
}

static int by_row(const void *a, const void *b)
{
    const packed_dropped *left = a, *right = b;
    return left->row < right->row ? -1 : left->row > right->row;
}

static size_t move_values(uint64_t *to, size_t at, const pack *p, packed_holder *holder)
{
    const uint32_t count = pack_shape_count(p, holder->shape);
    if (count != 0)
        memcpy(to + at, p->values + holder->first_value, count * sizeof *to);
    holder->first_value = (uint32_t)at;
    return at + count;
}

void pack_arrange(pack *p)
{
    packed_event *events = need_memory((p->event_count + 1) * sizeof *events);
    packed_link *links = need_memory((p->link_count + 1) * sizeof *links);
    uint64_t *values = need_memory((p->value_count + 1) * sizeof *values);
    size_t event = 0, link = 0, value = 0;
    for (size_t i = 0; i < p->span_count; i++) {
        packed_span *span = &p->spans[i];
        for (uint32_t k = 0; k < span->event_count; k++)
            events[event++] = p->events[span->first_event + k];
        for (uint32_t k = 0; k < span->link_count; k++)
            links[link++] = p->links[span->first_link + k];
    }
    for (size_t i = 0; i < p->resource_count; i++)
        value = move_values(values, value, p, &p->resources[i].holder);
    for (size_t i = 0; i < p->span_count; i++)
        value = move_values(values, value, p, &p->spans[i].holder);
    for (size_t i = 0; i < event; i++)
        value = move_values(values, value, p, &events[i].holder);
    for (size_t i = 0; i < link; i++)
        value = move_values(values, value, p, &links[i].holder);
    free(p->events);
    free(p->links);
    free(p->values);
    p->events = events;
    p->links = links;
    p->values = values;
    if (p->dropped_count != 0)
        qsort(p->dropped, p->dropped_count, sizeof *p->dropped, by_row);
}
