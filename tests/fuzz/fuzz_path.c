// SPDX-License-Identifier: Apache-2.0
//
// Input: a declaration of a path (phases, fields, two bytes of its size; of each field the type, the phase, and two bytes
// each of its offset and its size), the flags of a record, and what lies behind its fixed part. A declaration that is
// taken for sane has its fields within the body; from any record come as many spans as its head says, or its own
// alone; and their items are whole.
//
// Parsers: core/drain/path_plan.c core/drain/path_expand.c
#include "fuzz.h"

#include <nanospan/exporter.h>

#include "drain/path_expand.h"

enum { BEHIND_MAX = 4096 };

static nsp__paths table;

static uint8_t next(const uint8_t **at, const uint8_t *end)
{
    return *at != end ? *(*at)++ : 0;
}

static uint16_t next_two(const uint8_t **at, const uint8_t *end)
{
    const uint16_t low = next(at, end);
    return (uint16_t)(low | next(at, end) << 8);
}

static void read_layout(const uint8_t **at, const uint8_t *end)
{
    nsp__path_layout *layout = &table.path[0];
    memset(layout, 0, sizeof *layout);
    layout->phases = next(at, end);
    layout->fields = next(at, end);
    layout->bytes = next_two(at, end);
    for (uint32_t i = 0; i < layout->fields && i < NSP_PATH_FIELDS_MAX; i++) {
        nsp__path_field *field = &layout->field[i];
        field->key = 100 + i;
        field->type = next(at, end);
        field->phase = next(at, end);
        field->offset = next_two(at, end);
        field->size = next_two(at, end);
        field->unset = 2;
    }
    layout->checksum = nsp__path_layout_checksum(layout);
}

static void check_span(const nsp__record *span, bool own)
{
    MUST(!nsp__record_is_path(span) && span->bytes >= sizeof *span && span->bytes <= NSP__PATH_ROOM);
    nsp_item_cursor cursor = {(const uint8_t *)(span + 1), (const uint8_t *)span + span->bytes};
    nsp_item item;
    uint64_t sum = 0; // reads all of it
    while (nsp_item_next(&cursor, &item))
        for (uint32_t i = 0; i < item.length; i++)
            sum += item.payload[i];
    MUST(sum != UINT64_MAX && (own || cursor.at == cursor.end));
}

static void check_record(nsp__path_plans *plans, const nsp__record *record, nsp_name unfinished)
{
    nsp__path_walk walk;
    uint32_t count = 0;
    nsp__path_walk_begin(&walk, plans, record);
    walk.unfinished = unfinished;
    MUST(walk.spans + walk.left_out == nsp__record_spans(record));
    for (const nsp__record *span; (span = nsp__path_walk_next(&walk)) != NULL; count++)
        check_span(span, count + 1 == walk.spans);
    MUST(count == walk.spans);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint8_t *at = bytes, *end = bytes + size;
    nsp__path_plans plans;
    read_layout(&at, end);
    const uint8_t flags = next(&at, end);
    size_t behind = (size_t)(end - at) & ~(size_t)7;
    behind = behind < BEHIND_MAX ? behind : BEHIND_MAX;
    uint8_t *record = malloc(sizeof(nsp__record) + behind);
    MUST(record != NULL && nsp__path_plans_init(&plans, &table));
    const nsp__record fixed = {.bytes = (uint32_t)(sizeof fixed + behind),
                               .flags = flags,
                               .kind = NSP__KIND_PATH,
                               .span_id = 1,
                               .local_root_id = 1,
                               .end = 1000};
    memcpy(record, &fixed, sizeof fixed);
    if (behind != 0)
        memcpy(record + sizeof fixed, at, behind);
    for (nsp_name unfinished = 0; unfinished < 2; unfinished++) {
        plans.left_out = unfinished;
        check_record(&plans, (const nsp__record *)(const void *)record, unfinished);
    }
    nsp__path_plans_free(&plans);
    free(record);
    return 0;
}
