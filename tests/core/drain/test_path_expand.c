// SPDX-License-Identifier: Apache-2.0
//
// The spans that come out of a path's record: of declarations and records that are made by hand, as they should be and
// as nobody should make them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/exporter.h>

#include "common/seed.h"
#include "drain/path_expand.h"

#define UNSET_I64 ((uint64_t)INT64_MIN)
#define UNSET_F64 UINT64_C(0x7ff800006e616e6f)

// order { STR symbol, I64 quantity; decode; check { F64 available }; submit { BOOL ok } }
typedef struct order_body {
    nsp__path_head head;
    uint64_t decode, check, submit;
    struct {
        uint16_t length;
        char bytes[16];
    } symbol;
    int64_t quantity;
    double available;
    uint8_t ok;
} __attribute__((aligned(16))) order_body;

enum {
    SYMBOL = 100,
    QUANTITY,
    AVAILABLE,
    OK,
    DECODE = 200,
    CHECK,
    SUBMIT,
    ORDER = 300,
    LEFT_OUT = 400,
    UNFINISHED
};

static nsp__paths table;
static nsp__path_plans plans;

static nsp__path_field field(nsp_name key, uint8_t type, size_t offset, size_t size, uint8_t phase,
                             uint64_t unset)
{
    return (nsp__path_field){.key = key,
                             .offset = (uint16_t)offset,
                             .size = (uint16_t)size,
                             .type = type,
                             .phase = phase,
                             .unset = unset};
}

static void seal(nsp__path_layout *layout)
{
    layout->checksum = nsp__path_layout_checksum(layout);
}

static int set_up(void **state)
{
    (void)state;
    nsp__path_layout *order = &table.path[2]; // number 3
    memset(&table, 0, sizeof table);
    table.count = 3;
    *order = (nsp__path_layout){.name = ORDER, .bytes = sizeof(order_body), .phases = 3, .fields = 4};
    order->phase_names[0] = DECODE;
    order->phase_names[1] = CHECK;
    order->phase_names[2] = SUBMIT;
    order->field[0] = field(SYMBOL, NSP_TYPE_STR, offsetof(order_body, symbol), 16, 0, UINT16_MAX);
    order->field[1] = field(QUANTITY, NSP_TYPE_I64, offsetof(order_body, quantity), 8, 0, UNSET_I64);
    order->field[2] = field(AVAILABLE, NSP_TYPE_F64, offsetof(order_body, available), 8, 2, UNSET_F64);
    order->field[3] = field(OK, NSP_TYPE_BOOL, offsetof(order_body, ok), 1, 3, 2);
    seal(order);
    if (!nsp__path_plans_init(&plans, &table))
        return -1;
    plans.left_out = LEFT_OUT;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    nsp__path_plans_free(&plans);
    return 0;
}

// ---- records ----

static union {
    nsp__record record;
    uint8_t bytes[8192];
} room;

static order_body *body(void)
{
    return (order_body *)(void *)(room.bytes + sizeof(nsp__record));
}

static void add_item(nsp_name key, uint32_t type, const void *payload, size_t length)
{
    uint8_t *at = room.bytes + room.record.bytes;
    const uint64_t tag = nsp__item_tag(key, type, 0, length);
    memset(at, 0, NSP__ITEM_BYTES(length));
    memcpy(at, &tag, sizeof tag);
    memcpy(at + 8, payload, length);
    room.record.bytes += NSP__ITEM_BYTES(length);
}

// A path of which nothing is set and no phase happened. As in a ring it lies at a multiple of 8.
static void begin_record(void)
{
    memset(&room, 0, sizeof room);
    room.record = (nsp__record){
        .bytes = sizeof(nsp__record) + sizeof(order_body),
        .name = ORDER,
        .start = 1000,
        .end = 2000,
        .flags = NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT | NSP__RECORD_ROOT |
                 NSP__RECORD_PARENT_REMOTE | NSP__RECORD_DECIDED,
        .kind = NSP_KIND_SERVER | NSP__KIND_PATH,
        .status = NSP_SPAN_STATUS_ERROR,
        .detached = 1,
        .threshold = 7,
        .trace_id = {11, 12},
        .span_id = 13,
        .parent_id = 14,
        .local_root_id = 13,
    };
    order_body unset = {.head = {.declaration = 3, .bytes = sizeof(order_body), .phases = 3},
                        .symbol.length = UINT16_MAX,
                        .quantity = INT64_MIN,
                        .ok = 2};
    const uint64_t nothing = UNSET_F64;
    memcpy(&unset.available, &nothing, sizeof nothing);
    memcpy(body(), &unset, sizeof unset);
}

static void put_bytes(size_t offset, const void *value, size_t size)
{
    memcpy((uint8_t *)body() + offset, value, size);
}

// Marks a phase, from 1.
static void mark(uint32_t phase, uint64_t at)
{
    nsp__path_head *head = (nsp__path_head *)(void *)body();
    put_bytes(sizeof *head + 8 * (phase - 1), &at, sizeof at);
    head->skipped = (uint8_t)(head->skipped + phase - 1 - head->open);
    head->open = (uint8_t)phase;
}

#define PUT(member, value)                                                                                   \
    do {                                                                                                     \
        __typeof__(((order_body *)0)->member) value_ = (value);                                              \
        put_bytes(offsetof(order_body, member), &value_, sizeof value_);                                     \
    } while (0)

static void put_symbol(const char *text)
{
    PUT(symbol.length, (uint16_t)strlen(text));
    put_bytes(offsetof(order_body, symbol.bytes), text, strlen(text));
}

// ---- what comes out ----

typedef struct expanded {
    nsp__record span;
    uint8_t items[4096];
} expanded;

static expanded out[80];
static uint32_t out_count;
static nsp__path_walk walk;

static void expand_with(nsp_name unfinished)
{
    out_count = 0;
    nsp__path_walk_begin(&walk, &plans, &room.record);
    walk.unfinished = unfinished;
    for (const nsp__record *span; (span = nsp__path_walk_next(&walk)) != NULL; out_count++) {
        assert_true(out_count < 80);
        assert_true(span->bytes >= sizeof *span && span->bytes <= sizeof(expanded));
        memcpy(&out[out_count], span, span->bytes);
    }
    assert_null(nsp__path_walk_next(&walk));
}

static void expand(void)
{
    expand_with(0);
}

static nsp_item_cursor items_of(const expanded *span)
{
    return (nsp_item_cursor){span->items, (const uint8_t *)span + span->span.bytes};
}

static nsp_item next(nsp_item_cursor *cursor, nsp_name key, uint8_t type)
{
    nsp_item item;
    assert_true(nsp_item_next(cursor, &item));
    assert_int_equal(item.key, key);
    assert_int_equal(item.type, type);
    return item;
}

static void assert_end(nsp_item_cursor cursor)
{
    assert_ptr_equal(cursor.at, cursor.end);
}

static uint64_t word_of(const nsp_item *item)
{
    uint64_t word;
    assert_int_equal(item->length, sizeof word);
    memcpy(&word, item->payload, sizeof word);
    return word;
}

static void assert_phase(const expanded *span, nsp_name name, uint32_t phase, uint64_t start, uint64_t end)
{
    const nsp__record *record = &span->span;
    assert_int_equal(record->name, name);
    assert_int_equal(record->start, start);
    assert_int_equal(record->end, end);
    assert_int_equal(record->flags & ~NSP__RECORD_TRACESTATE,
                     NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT);
    assert_int_equal(record->kind, NSP_KIND_INTERNAL);
    assert_int_equal(record->status, NSP_SPAN_STATUS_UNSET);
    assert_int_equal(record->detached, 1);
    assert_int_equal(record->threshold, 7);
    assert_int_equal(record->trace_id[0], 11);
    assert_int_equal(record->trace_id[1], 12);
    assert_int_equal(record->span_id, nsp__path_phase_id(13, phase));
    assert_int_equal(record->parent_id, 13);
    assert_int_equal(record->local_root_id, 13);
}

static void assert_root(const expanded *span)
{
    nsp__record expected = room.record;
    expected.kind = NSP_KIND_SERVER;
    expected.bytes = span->span.bytes;
    assert_memory_equal(&span->span, &expected, sizeof expected);
}

// The path's span alone, which says that so many phases were left out.
static void assert_alone(uint64_t left_out)
{
    assert_int_equal(out_count, 1);
    assert_int_equal(walk.spans, 1);
    assert_int_equal(walk.left_out, left_out);
    assert_root(&out[0]);
    nsp_item_cursor cursor = items_of(&out[0]);
    if (left_out != 0) {
        const nsp_item item = next(&cursor, LEFT_OUT, NSP_TYPE_I64);
        assert_int_equal(word_of(&item), left_out);
    }
    assert_end(cursor);
}

// ---- tests ----

static void phases_and_fields(void **state)
{
    (void)state;
    begin_record();
    put_symbol("AAPL");
    PUT(quantity, -5);
    PUT(available, 2.5);
    PUT(ok, 1);
    mark(1, 1000);
    mark(2, 1100);
    mark(3, 1200);
    const int64_t setter = 77;
    add_item(500, NSP_TYPE_I64, &setter, sizeof setter);
    expand();
    assert_int_equal(out_count, 4);
    assert_int_equal(walk.spans, 4);
    assert_int_equal(walk.left_out, 0);
    assert_int_equal(nsp__record_spans(&room.record), 4);

    assert_phase(&out[0], DECODE, 1, 1000, 1100);
    assert_end(items_of(&out[0]));

    assert_phase(&out[1], CHECK, 2, 1100, 1200);
    nsp_item_cursor cursor = items_of(&out[1]);
    nsp_item item = next(&cursor, AVAILABLE, NSP_TYPE_F64);
    const double available = 2.5;
    assert_memory_equal(item.payload, &available, 8);
    assert_end(cursor);

    assert_phase(&out[2], SUBMIT, 3, 1200, 2000);
    cursor = items_of(&out[2]);
    item = next(&cursor, OK, NSP_TYPE_BOOL);
    assert_int_equal(item.small, 1);
    assert_int_equal(item.length, 0);
    assert_end(cursor);

    assert_root(&out[3]);
    cursor = items_of(&out[3]);
    item = next(&cursor, SYMBOL, NSP_TYPE_STR);
    assert_int_equal(item.length, 4);
    assert_memory_equal(item.payload, "AAPL", 4);
    item = next(&cursor, QUANTITY, NSP_TYPE_I64);
    assert_int_equal((int64_t)word_of(&item), -5);
    item = next(&cursor, 500, NSP_TYPE_I64); // behind the fields
    assert_int_equal(word_of(&item), 77);
    assert_end(cursor);
}

static void what_is_not_set_is_not_sent(void **state)
{
    (void)state;
    begin_record();
    mark(3, 1300);
    expand();
    assert_int_equal(out_count, 2);
    assert_phase(&out[0], SUBMIT, 3, 1300, 2000);
    assert_end(items_of(&out[0]));
    assert_root(&out[1]);
    assert_end(items_of(&out[1]));

    begin_record(); // no phase happened
    expand();
    assert_int_equal(out_count, 1);
    assert_root(&out[0]);
    assert_end(items_of(&out[0]));
}

// An empty text, a false BOOL and a NaN of another kind are values. A declaration may say what stands for "not set".
static void what_looks_unset(void **state)
{
    (void)state;
    begin_record();
    put_symbol("");
    PUT(quantity, 0);
    PUT(available, (double)NAN);
    PUT(ok, 0);
    mark(2, 1100);
    mark(3, 1200);
    expand();
    assert_int_equal(out_count, 3);
    nsp_item_cursor cursor = items_of(&out[0]);
    nsp_item item = next(&cursor, AVAILABLE, NSP_TYPE_F64);
    cursor = items_of(&out[1]);
    item = next(&cursor, OK, NSP_TYPE_BOOL);
    assert_int_equal(item.small, 0);
    cursor = items_of(&out[2]);
    item = next(&cursor, SYMBOL, NSP_TYPE_STR);
    assert_int_equal(item.length, 0);
    item = next(&cursor, QUANTITY, NSP_TYPE_I64);
    assert_int_equal(word_of(&item), 0);

    table.path[2].field[1].unset = 0;
    table.path[2].field[3].unset = 0;
    seal(&table.path[2]);
    nsp__path_plans_free(&plans);
    assert_true(nsp__path_plans_init(&plans, &table));
    expand();
    assert_end(items_of(&out[1]));
    cursor = items_of(&out[2]);
    next(&cursor, SYMBOL, NSP_TYPE_STR);
    assert_end(cursor);
}

static void phases_inherit_the_tracestate(void **state)
{
    (void)state;
    static const char tracestate[] = "vendor=1,ot=th:8";
    begin_record();
    mark(1, 1000);
    mark(2, 1100);
    PUT(available, 1.0);
    const int64_t setter = 1;
    add_item(500, NSP_TYPE_I64, &setter, sizeof setter);
    add_item(0, NSP_ITEM_TRACESTATE, tracestate, sizeof tracestate - 1);
    room.record.flags |= NSP__RECORD_TRACESTATE;
    expand();
    assert_int_equal(out_count, 3);
    for (int i = 0; i < 2; i++) {
        nsp_item_cursor cursor = items_of(&out[i]);
        const nsp_item item = next(&cursor, 0, NSP_ITEM_TRACESTATE);
        assert_int_equal(item.length, sizeof tracestate - 1);
        assert_memory_equal(item.payload, tracestate, sizeof tracestate - 1);
        assert_true((out[i].span.flags & NSP__RECORD_TRACESTATE) != 0);
        if (i == 1)
            next(&cursor, AVAILABLE, NSP_TYPE_F64);
        assert_end(cursor);
    }
    nsp_item_cursor cursor = items_of(&out[2]);
    next(&cursor, 500, NSP_TYPE_I64);
    next(&cursor, 0, NSP_ITEM_TRACESTATE);
    assert_end(cursor);
}

static void the_last_phase_of_an_open_path_is_unfinished(void **state)
{
    (void)state;
    begin_record();
    mark(1, 1000);
    mark(2, 1100);
    expand_with(UNFINISHED);
    assert_int_equal(out_count, 3);
    assert_phase(&out[0], DECODE, 1, 1000, 1100);
    assert_end(items_of(&out[0]));
    assert_phase(&out[1], CHECK, 2, 1100, 2000);
    nsp_item_cursor cursor = items_of(&out[1]);
    const nsp_item item = next(&cursor, UNFINISHED, NSP_TYPE_BOOL);
    assert_int_equal(item.small, 1);
    assert_end(cursor);
    assert_end(items_of(&out[2])); // its caller marks the path's own
}

static void unknown_declarations(void **state)
{
    (void)state;
    static const uint16_t numbers[] = {0, 1, 2, 4, 64, 65, UINT16_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        begin_record();
        mark(1, 1000);
        mark(2, 1100);
        PUT(head.declaration, numbers[i]);
        expand();
        assert_alone(2);
    }
    plans.table = NULL; // the session has none
    begin_record();
    mark(1, 1000);
    plans.left_out = 0; // nor that name
    expand();
    assert_int_equal(out_count, 1);
    assert_end(items_of(&out[0])); // it was known before
    assert_int_equal(walk.left_out, 1);
}

static void records_that_do_not_agree(void **state)
{
    (void)state;
    begin_record();
    mark(1, 1000);
    PUT(head.phases, 2);
    expand();
    assert_alone(1);

    begin_record(); // a phase is counted that did not happen
    mark(1, 1000);
    PUT(head.open, 2);
    expand();
    assert_alone(2);

    begin_record(); // or is not counted
    mark(2, 1000);
    put_bytes(sizeof(nsp__path_head), &(uint64_t){900}, 8);
    expand();
    assert_alone(1);

    PUT(head.skipped, 9);
    expand();
    assert_alone(0);

    begin_record();
    mark(1, 1000);
    PUT(head.bytes, sizeof(order_body) - 16);
    room.record.bytes -= 16;
    expand();
    assert_alone(1);

    begin_record();
    mark(1, 1000);
    PUT(symbol.length, 17); // longer than its room
    expand();
    assert_alone(1);

    PUT(symbol.length, UINT16_MAX - 1);
    expand();
    assert_alone(1);

    begin_record(); // a body that reaches out of the record: nothing tells where items begin
    mark(1, 1000);
    PUT(head.bytes, sizeof(order_body) + 16);
    expand();
    assert_alone(0);

    begin_record();
    PUT(head.bytes, 0);
    expand();
    assert_alone(0);

    begin_record(); // no body at all
    room.record.bytes = sizeof(nsp__record);
    expand();
    assert_alone(0);
}

static const char *problem_of(const nsp__path_layout *layout)
{
    nsp__path_layout copy = *layout;
    seal(&copy);
    return nsp__path_layout_problem(&copy);
}

static void damaged_declarations(void **state)
{
    (void)state;
    const nsp__path_layout order = table.path[2];
    assert_null(problem_of(&order));
#define DAMAGED(change)                                                                                      \
    do {                                                                                                     \
        nsp__path_layout it = order;                                                                         \
        change;                                                                                              \
        assert_non_null(problem_of(&it));                                                                    \
    } while (0)
    DAMAGED(it.bytes -= 8);
    DAMAGED(it.bytes = NSP_PATH_BYTES_MAX + 16);
    DAMAGED(it.bytes = 16);
    DAMAGED(it.bytes = 0; it.fields = 0);
    DAMAGED(it.phases = NSP_PATH_PHASES_MAX + 1);
    DAMAGED(it.fields = NSP_PATH_FIELDS_MAX + 1);
    DAMAGED(it.phases = 2);         // a field of the third
    DAMAGED(it.field[1].phase = 3); // and the next of the second
    DAMAGED(it.field[0].type = NSP_TYPE_BYTES);
    DAMAGED(it.field[0].type = 0);
    DAMAGED(it.field[0].offset = 8); // over a reading
    DAMAGED(it.field[0].offset++);   // not aligned
    DAMAGED(it.field[1].offset += 4);
    DAMAGED(it.field[1].size = 4);
    DAMAGED(it.field[3].size = 2);
    DAMAGED(it.field[3].offset = it.bytes); // behind it
    DAMAGED(it.field[0].size = it.bytes);
    DAMAGED(it.field[0].offset = UINT16_MAX - 1);
#undef DAMAGED

    table.path[2].phase_names[0]++; // without a new checksum
    begin_record();
    mark(1, 1000);
    expand();
    assert_alone(1);
    assert_non_null(strstr(plans.untold, "(number 3) is damaged: its checksum is wrong"));
    plans.untold[0] = 0;
    expand();
    assert_alone(1);
    assert_string_equal(plans.untold, ""); // said once
}

// ---- anything ----

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    return nsp__random_splitmix(&seed) % below;
}

// A declaration of any shape.
static void draw_layout(nsp__path_layout *layout)
{
    const uint32_t phases = (uint32_t)draw(NSP_PATH_PHASES_MAX + 1),
                   most = (uint32_t)draw(NSP_PATH_FIELDS_MAX + 1);
    uint32_t at = 8 + 8 * phases, phase = 0;
    memset(layout, 0, sizeof *layout);
    layout->phases = (uint8_t)phases;
    for (uint32_t i = 0; i < phases; i++)
        layout->phase_names[i] = 1000 + i;
    for (uint32_t i = 0; i < most; i++) {
        static const uint8_t types[] = {NSP_TYPE_I64, NSP_TYPE_F64, NSP_TYPE_BOOL, NSP_TYPE_STR};
        const uint8_t type = types[draw(4)];
        const uint32_t size = type == NSP_TYPE_BOOL ? 1 : type == NSP_TYPE_STR ? (uint32_t)draw(40) + 1 : 8;
        const uint32_t alignment = type == NSP_TYPE_BOOL ? 1 : type == NSP_TYPE_STR ? 2 : 8;
        at = (at + alignment - 1) & ~(alignment - 1);
        if (at + size + 2 > NSP_PATH_BYTES_MAX)
            break;
        phase += draw(2) != 0 && phase < phases;
        layout->field[i] = field(2000 + i, type, at, size, (uint8_t)phase,
                                 type == NSP_TYPE_I64    ? UNSET_I64
                                 : type == NSP_TYPE_F64  ? UNSET_F64
                                 : type == NSP_TYPE_BOOL ? 2
                                                         : UINT16_MAX);
        layout->fields++;
        at += size + (type == NSP_TYPE_STR ? 2 : 0);
    }
    layout->bytes = (uint16_t)((at + 15) & ~15u);
    seal(layout);
}

static uint64_t words_in(const nsp__record *span)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < span->bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, (const uint8_t *)span + 8 * i, sizeof word);
        sum += word;
    }
    return sum;
}

// The record lies at the end of memory of its own, so that a sanitizer sees a read behind it.
static uint64_t expand_anything(const nsp__record *record)
{
    uint8_t *alone = malloc(record->bytes);
    assert_non_null(alone);
    memcpy(alone, record, record->bytes);
    nsp__path_walk_begin(&walk, &plans, (const nsp__record *)(const void *)alone);
    assert_int_equal(walk.spans + walk.left_out, nsp__record_spans(record));
    uint32_t count = 0;
    uint64_t sum = 0;
    for (const nsp__record *span; (span = nsp__path_walk_next(&walk)) != NULL; count++) {
        assert_true(span->bytes % 8 == 0 && span->bytes >= sizeof *span && span->bytes <= NSP__PATH_ROOM);
        assert_false(nsp__record_is_path(span));
        sum += words_in(span);
    }
    assert_int_equal(count, walk.spans);
    free(alone);
    return sum;
}

static void anything(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 3000; round++) {
        seed = round;
        nsp__path_plans_free(&plans);
        assert_true(nsp__path_plans_init(&plans, &table));
        draw_layout(&table.path[0]);
        assert_null(nsp__path_layout_problem(&table.path[0]));
        memset(&room, 0, sizeof room);
        room.record = (nsp__record){.kind = NSP__KIND_PATH, .end = 50};
        const nsp__path_layout *layout = &table.path[0];
        room.record.bytes = (uint32_t)sizeof(nsp__record) + layout->bytes;
        for (uint32_t i = 0; i < layout->bytes; i++)
            ((uint8_t *)body())[i] = draw(3) == 0 ? (uint8_t)draw(256) : 0;
        const nsp__path_head head = {.declaration = 1, .bytes = layout->bytes, .phases = layout->phases};
        put_bytes(0, &head, sizeof head);
        for (uint32_t i = 1; i <= head.phases; i++) {
            put_bytes(8 * i, &(uint64_t){0}, 8);
            if (draw(2) != 0)
                mark(i, draw(100) + 1);
        }
        for (uint32_t i = 0; i < layout->fields; i++)
            if (layout->field[i].type == NSP_TYPE_STR) {
                uint16_t length = (uint16_t)draw(layout->field[i].size + 1u);
                length = draw(3) == 0 ? UINT16_MAX : length;
                put_bytes(layout->field[i].offset, &length, sizeof length);
            }
        add_item(9, NSP_ITEM_TRACESTATE, "a=b", draw(4));
        room.record.flags = (uint8_t)draw(256);
        expand_anything(&room.record);
        assert_int_equal(walk.left_out, 0);
        for (int i = 0; i < 20; i++) { // and damaged
            const size_t at = sizeof room.record.bytes + draw(room.record.bytes - sizeof room.record.bytes);
            room.bytes[at] = (uint8_t)draw(256);
            room.record.kind |= NSP__KIND_PATH;
            expand_anything(&room.record);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(phases_and_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_set_is_not_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_looks_unset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(phases_inherit_the_tracestate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_phase_of_an_open_path_is_unfinished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_declarations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_that_do_not_agree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_declarations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(anything, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
