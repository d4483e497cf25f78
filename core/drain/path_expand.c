// SPDX-License-Identifier: Apache-2.0
#include "drain/path_expand.h"

#include <nanospan/exporter.h>
#include <string.h>

// What a phase has in common with the path's own span.
enum { PHASE_FLAGS = NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT | NSP__RECORD_TRACESTATE };

// ---- items ----

static uint8_t *put_item(uint8_t *at, uint64_t tag, const void *payload, size_t length)
{
    const uint32_t bytes = NSP__ITEM_BYTES(length);
    memset(at + bytes - 8, 0, 8);
    memcpy(at, &tag, sizeof tag);
    if (length != 0)
        memcpy(at + sizeof tag, payload, length);
    return at + bytes;
}

// A field as the item that its setter would have made; nothing if it was not set.
static inline uint8_t *put_field(uint8_t *at, const nsp__path_field *field, const uint8_t *body)
{
    const uint8_t *value = body + field->offset;
    uint64_t word = 0;
    if (field->type == NSP_TYPE_STR) {
        uint16_t length;
        memcpy(&length, value, sizeof length);
        if (length > field->size) // not set: plan_of has seen all lengths
            return at;
        return put_item(at, nsp__item_tag(field->key, NSP_TYPE_STR, 0, length), value + sizeof length,
                        length);
    }
    if (field->type == NSP_TYPE_BOOL) {
        if (*value == field->unset)
            return at;
        return put_item(at, nsp__item_tag(field->key, NSP_TYPE_BOOL, *value != 0, 0), NULL, 0);
    }
    memcpy(&word, value, sizeof word);
    if (word == field->unset)
        return at;
    const uint64_t tag = nsp__item_tag(field->key, field->type, 0, sizeof word);
    memcpy(at, &tag, sizeof tag);
    memcpy(at + sizeof tag, &word, sizeof word);
    return at + sizeof tag + sizeof word;
}

static uint8_t *put_fields(uint8_t *at, const nsp__path_walk *walk, uint32_t phase)
{
    const nsp__path_plan *plan = walk->plan;
    const uint8_t *body = (const uint8_t *)nsp__record_path(walk->record);
    for (uint32_t i = plan->first[phase]; i < plan->first[phase + 1]; i++)
        at = put_field(at, &plan->layout.field[i], body);
    return at;
}

// ---- begin ----

// What is counted as phases are those that there are.
static bool phases_agree(const nsp__path_head *head)
{
    const uint32_t open = nsp__path_open(head);
    uint32_t marked = 0;
    for (uint32_t i = 0; i < open; i++)
        marked += nsp__path_readings(head)[i] != 0;
    return marked == nsp__path_phases(head);
}

// The plan of this record; NULL: there is none, or it does not agree with it.
static const nsp__path_plan *plan_of(nsp__path_plans *plans, const nsp__record *record)
{
    const uint32_t body = nsp__record_body_bytes(record, record->bytes);
    if (NSP__UNLIKELY(body == 0))
        return NULL;
    const nsp__path_head *head = nsp__record_path(record);
    const nsp__path_plan *plan = nsp__path_plan_find(plans, head->declaration);
    if (NSP__UNLIKELY(plan == NULL || plan->layout.bytes != head->bytes ||
                      plan->layout.phases != head->phases || !phases_agree(head) ||
                      !nsp__path_texts_fit(plan, head)))
        return NULL;
    return plan;
}

// A child inherits its parent's tracestate, as its first item.
static uint32_t copy_tracestate(const nsp__path_walk *walk)
{
    nsp_item_cursor cursor = {walk->items, walk->items + walk->items_bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        if (item.type == NSP_ITEM_TRACESTATE)
            return (uint32_t)(put_item((uint8_t *)(walk->span + 1),
                                       nsp__item_tag(0, NSP_ITEM_TRACESTATE, 0, item.length), item.payload,
                                       item.length) -
                              (uint8_t *)(walk->span + 1));
    return 0;
}

void nsp__path_walk_begin(nsp__path_walk *walk, nsp__path_plans *plans, const nsp__record *record)
{
    const uint32_t body = nsp__record_body_bytes(record, record->bytes);
    const uint32_t phases = nsp__record_phases(record, record->bytes);
    const bool told = body != 0;
    *walk = (nsp__path_walk){
        .plan = plan_of(plans, record),
        .record = record,
        .items = (const uint8_t *)(record + 1) + body,
        // Where the body's size is not known, nothing tells where the items begin.
        .items_bytes = told ? record->bytes - (uint32_t)sizeof *record - body : 0,
        .spans = 1,
        .phase = 1,
        .span = (nsp__record *)(void *)plans->room,
    };
    if (walk->items_bytes > NSP__PATH_ROOM - sizeof *record - NSP__PATH_ITEMS_MAX)
        walk->items_bytes = 0; // no record is as large
    if (walk->plan == NULL) {
        walk->left_out = phases;
        walk->left_out_key = plans->left_out;
        return;
    }
    walk->spans += phases;
    walk->open = nsp__path_open(nsp__record_path(record));
    if (NSP__UNLIKELY(phases != 0 && (record->flags & NSP__RECORD_TRACESTATE) != 0))
        walk->inherited = copy_tracestate(walk);
}

// ---- next ----

static const nsp__record *put_phase(nsp__path_walk *walk)
{
    const nsp__record *record = walk->record;
    const nsp__path_head *head = nsp__record_path(record);
    const uint64_t *readings = nsp__path_readings(head);
    const uint32_t phase = walk->phase, next = nsp__path_next_marked(head, walk->open, phase + 1);
    nsp__record *span = walk->span;
    *span = (nsp__record){
        .name = walk->plan->layout.phase_names[phase - 1],
        .start = readings[phase - 1],
        .end = next <= walk->open ? readings[next - 1] : record->end,
        .flags = record->flags & PHASE_FLAGS,
        .kind = NSP_KIND_INTERNAL,
        .status = NSP_SPAN_STATUS_UNSET,
        .detached = record->detached,
        .threshold = record->threshold,
        .trace_id = {record->trace_id[0], record->trace_id[1]},
        .span_id = nsp__path_phase_id(record->span_id, phase),
        .parent_id = record->span_id,
        .local_root_id = record->local_root_id,
    };
    uint8_t *at = put_fields((uint8_t *)(span + 1) + walk->inherited, walk, phase);
    if (NSP__UNLIKELY(walk->unfinished != 0 && next > walk->open))
        at = put_item(at, nsp__item_tag(walk->unfinished, NSP_TYPE_BOOL, 1, 0), NULL, 0);
    span->bytes = (uint32_t)(at - (uint8_t *)span);
    walk->phase = next;
    return span;
}

static const nsp__record *put_root(nsp__path_walk *walk)
{
    nsp__record *span = walk->span;
    uint8_t *at = (uint8_t *)(span + 1);
    *span = *walk->record;
    span->kind &= (uint8_t)~NSP__KIND_PATH;
    if (walk->plan != NULL)
        at = put_fields(at, walk, 0);
    if (walk->items_bytes != 0)
        memcpy(at, walk->items, walk->items_bytes);
    at += walk->items_bytes;
    if (walk->left_out != 0 && walk->left_out_key != 0) {
        const uint64_t left_out = walk->left_out;
        at = put_item(at, nsp__item_tag(walk->left_out_key, NSP_TYPE_I64, 0, sizeof left_out), &left_out,
                      sizeof left_out);
    }
    span->bytes = (uint32_t)(at - (uint8_t *)span);
    walk->ended = true;
    return span;
}

const nsp__record *nsp__path_walk_next(nsp__path_walk *walk)
{
    if (walk->ended)
        return NULL;
    if (walk->plan == NULL)
        return put_root(walk);
    if (walk->phase == 1)
        walk->phase = nsp__path_next_marked(nsp__record_path(walk->record), walk->open, 1);
    return walk->phase <= walk->open ? put_phase(walk) : put_root(walk);
}
