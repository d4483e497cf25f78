// SPDX-License-Identifier: Apache-2.0
//
// Paths in batches: all spans of one or none, whatever the exporter; and an exporter that takes whole paths writes what
// it writes for their spans one by one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/exporters.h>

#include "clock/clock_share.h"
#include "config/exporter_list.h"
#include "drain/path_append.h"
#include "drain/span_view.h"
#include "otlp/encoding.h"
#include "shm/batches.h"
#include "support/path_generator.h"
#include "support/span_generator.h"

enum { NOW = 1000000, ROOM = 1 << 20, DECLARED = 40 };

static nsp__paths table;
static nsp_config config = {.size = sizeof(nsp_config), .batch_bytes = ROOM, .batch_spans = 8192};

// ---- exporters ----

static bool protobuf_append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    return nsp__otlp_protobuf.append(state, batch, view);
}

static bool json_append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    return nsp__otlp_json.append(state, batch, view);
}

static nsp_send_result send_nothing(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                    nsp_send_report *report)
{
    (void)state, (void)batch, (void)deadline_ns, (void)report;
    return NSP_SEND_EXPORTED;
}

static nsp_status protobuf_create(void **state, const nsp_exporter_context *context)
{
    return nsp__otlp_protobuf.create(state, context);
}

static nsp_status json_create(void **state, const nsp_exporter_context *context)
{
    return nsp__otlp_json.create(state, context);
}

static void protobuf_destroy(void *state)
{
    nsp__otlp_protobuf.destroy(state);
}

static void json_destroy(void *state)
{
    nsp__otlp_json.destroy(state);
}

static void protobuf_open(void *state, nsp_batch *batch)
{
    nsp__otlp_protobuf.open(state, batch);
}

static void json_open(void *state, nsp_batch *batch)
{
    nsp__otlp_json.open(state, batch);
}

static void protobuf_close(void *state, nsp_batch *batch)
{
    nsp__otlp_protobuf.close(state, batch);
}

static void json_close(void *state, nsp_batch *batch)
{
    nsp__otlp_json.close(state, batch);
}

static nsp_path_result protobuf_append_path(void *state, nsp_batch *batch, const nsp_path_view *view)
{
    return nsp__otlp_protobuf.append_path(state, batch, view);
}

static const nsp_exporter protobuf = {.size = sizeof protobuf,
                                      .name = "protobuf",
                                      .create = protobuf_create,
                                      .destroy = protobuf_destroy,
                                      .open = protobuf_open,
                                      .append = protobuf_append,
                                      .close = protobuf_close,
                                      .send = send_nothing,
                                      .append_path = protobuf_append_path};
static const nsp_exporter json = {.size = sizeof json,
                                  .name = "json",
                                  .create = json_create,
                                  .destroy = json_destroy,
                                  .open = json_open,
                                  .append = json_append,
                                  .close = json_close,
                                  .send = send_nothing};

// ---- a collector that has only what an append needs ----

typedef struct filler {
    nsp__collector collector;
    nsp__batch batch;
    struct nsp__clock_segment segment;
} filler;

static filler *filler_open(const nsp_exporter *exporter, bool whole)
{
    nsp_exporter_context context = *generated_context();
    filler *me = calloc(1, sizeof *me);
    assert_non_null(me);
    context.config = &config;
    me->collector.options =
        (nsp__collector_options){.config = &config,
                                 .clock = (nsp__clock *)(uintptr_t)&nsp__clock_of_nanoseconds,
                                 .exporter = exporter};
    assert_int_equal(exporter->create(&me->collector.options.exporter_state, &context), NSP_OK);
    assert_true(nsp__path_plans_init(&me->collector.paths, &table));
    me->collector.takes_paths = whole;
    nsp__clock_segment_at(&nsp__clock_of_nanoseconds, NOW, &me->segment);
    me->batch.exported.data = malloc(ROOM);
    assert_non_null(me->batch.exported.data);
    return me;
}

static void filler_begin(filler *me, size_t capacity)
{
    nsp_batch *batch = &me->batch.exported;
    *batch = (nsp_batch){.data = batch->data, .capacity = capacity};
    memset(batch->data, 0xA5, ROOM);
    me->collector.current = &me->batch;
    if (me->collector.options.exporter->open != NULL)
        me->collector.options.exporter->open(me->collector.options.exporter_state, batch);
}

static void filler_end(filler *me)
{
    if (me->collector.options.exporter->close != NULL)
        me->collector.options.exporter->close(me->collector.options.exporter_state, &me->batch.exported);
}

static void filler_close(filler *me)
{
    me->collector.options.exporter->destroy(me->collector.options.exporter_state);
    nsp__path_plans_free(&me->collector.paths);
    free(me->batch.exported.data);
    free(me);
}

static bool put_path(filler *me, const nsp__record *record)
{
    nsp__path_appended path;
    return nsp__path_append(&me->collector, record, &me->segment, UINT32_MAX, &path);
}

// True if it fits.
static bool put_span(filler *me, uint64_t number)
{
    const nsp__record record = {.bytes = sizeof record,
                                .name = nsp_intern("span", 4),
                                .start = NOW,
                                .end = NOW + number,
                                .trace_id = {1, number},
                                .span_id = number,
                                .local_root_id = number};
    nsp_span_view view;
    nsp__span_view_make(&view, &record, &nsp__clock_of_nanoseconds, &me->segment);
    const bool put = me->collector.options.exporter->append(me->collector.options.exporter_state,
                                                            &me->batch.exported, &view);
    me->batch.exported.spans += put;
    return put;
}

// ---- the same bytes ----

static size_t equal_bytes(const nsp_batch *left, const nsp_batch *right)
{
    size_t at = left->head;
    while (at < left->length && at < right->length && left->data[at] == right->data[at])
        at++;
    return at;
}

static void same_bytes(const filler *a, const filler *b, uint64_t round)
{
    const nsp_batch *left = &a->batch.exported, *right = &b->batch.exported;
    if (left->spans != right->spans || left->length != right->length || left->head != right->head ||
        memcmp(left->data + left->head, right->data + right->head, left->length - left->head) != 0)
        fail_msg("round %llu: %u and %u spans, %zu and %zu bytes, equal up to %zu", (unsigned long long)round,
                 left->spans, right->spans, left->length, right->length, equal_bytes(left, right));
}

static void whole_and_one_by_one(void **state)
{
    (void)state;
    static generated_path path;
    filler *whole = filler_open(&protobuf, true), *single = filler_open(&protobuf, false);
    uint64_t spans = 0, full = 0;
    for (uint64_t round = 0; round < 400; round++) {
        uint64_t seed = round;
        table.count = DECLARED;
        const size_t capacity = 400 + generated_draw(&seed, 20000);
        if (round % 20 == 0) {
            nsp__path_plans_free(&whole->collector.paths);
            nsp__path_plans_free(&single->collector.paths);
            filler_close(whole);
            filler_close(single);
            for (int i = 0; i < DECLARED; i++)
                generated_layout(&table.path[i], &seed);
            whole = filler_open(&protobuf, true);
            single = filler_open(&protobuf, false);
        }
        filler_begin(whole, capacity);
        filler_begin(single, capacity);
        for (int i = 0; i < 60; i++) {
            const uint32_t number = (uint32_t)generated_draw(&seed, DECLARED) + 1;
            const bool items = generated_draw(&seed, 4) == 0;
            generated_path_make(&path, &table.path[number - 1], number, NOW + 1000 * round, items, &seed);
            const bool fits = put_path(single, &path.record);
            assert_int_equal(put_path(whole, &path.record), fits);
            same_bytes(whole, single, round);
            full += !fits;
        }
        filler_end(whole);
        filler_end(single);
        same_bytes(whole, single, round);
        spans += whole->batch.exported.spans;
    }
    assert_true(spans > 10000 && full > 100);
    filler_close(whole);
    filler_close(single);
}

// ---- what is taken back ----

// The parts of a list's batch, as its receivers get them; otherwise all of it.
static void same_content(const filler *a, const filler *b)
{
    const nsp_batch *left = &a->batch.exported, *right = &b->batch.exported;
    assert_int_equal(left->spans, right->spans);
    assert_int_equal(left->length, right->length);
    assert_int_equal(left->head, right->head);
    if (a->collector.options.exporter != &nsp__exporter_list) {
        assert_memory_equal(left->data + left->head, right->data + right->head, left->length - left->head);
        return;
    }
    nsp__batch_part parts[NSP__BATCH_PARTS_MAX];
    assert_memory_equal(left->data, right->data, sizeof parts);
    memcpy(parts, left->data, sizeof parts);
    for (int i = 0; i < NSP__BATCH_PARTS_MAX && parts[i].offset != 0; i++)
        assert_memory_equal(left->data + parts[i].offset + parts[i].head,
                            right->data + parts[i].offset + parts[i].head, parts[i].length - parts[i].head);
}

// A batch to which a path did not fit is one that never saw it. The path is tried at each size at which another span of
// it is the one that does not fit.
static void try_all_sizes(const nsp_exporter *exporter, bool whole, const generated_path *path)
{
    filler *tried = filler_open(exporter, whole), *spared = filler_open(exporter, whole);
    uint32_t refused = 0, fitting = 0;
    for (size_t capacity = 3000; fitting == 0; capacity += 90) {
        filler_begin(tried, capacity);
        filler_begin(spared, capacity);
        for (uint64_t i = 1; i <= 2; i++)
            assert_int_equal(put_span(tried, i), put_span(spared, i));
        const size_t length = tried->batch.exported.length;
        const bool fits = put_path(tried, &path->record);
        if (fits) {
            assert_true(put_path(spared, &path->record));
            fitting++;
        } else {
            assert_int_equal(tried->batch.exported.length, length);
            refused++;
        }
        const bool behind = put_span(tried, 3);
        assert_int_equal(put_span(spared, 3), behind);
        filler_end(tried);
        filler_end(spared);
        same_content(tried, spared);
        filler_begin(tried, capacity); // closed directly behind it
        filler_begin(spared, capacity);
        assert_int_equal(put_span(tried, 1), put_span(spared, 1));
        if (put_path(tried, &path->record))
            put_path(spared, &path->record);
        filler_end(tried);
        filler_end(spared);
        same_content(tried, spared);
    }
    assert_true(refused > 10);
    filler_close(tried);
    filler_close(spared);
}

static void what_does_not_fit_is_taken_back(void **state)
{
    (void)state;
    static generated_path path;
    static const char *const lists[] = {"console,otlp", "otlp,console", "console,console,otlp"};
    uint64_t seed = 5;
    nsp__path_layout *layout = &table.path[0];
    memset(layout, 0, sizeof *layout);
    layout->name = nsp_intern("order", 5);
    layout->phases = NSP_PATH_PHASES_MAX;
    for (int i = 0; i < NSP_PATH_PHASES_MAX; i++)
        layout->phase_names[i] = nsp_intern("phase", 5);
    layout->fields = 1;
    layout->field[0] = (nsp__path_field){.key = nsp_intern("note", 4),
                                         .offset = 8 + 8 * NSP_PATH_PHASES_MAX,
                                         .size = 100,
                                         .type = NSP_TYPE_STR,
                                         .phase = 30,
                                         .unset = UINT16_MAX};
    layout->bytes = 8 + 8 * NSP_PATH_PHASES_MAX + 104;
    layout->checksum = nsp__path_layout_checksum(layout);
    table.count = 1;
    do
        generated_path_make(&path, layout, 1, NOW, false, &seed);
    while (nsp__record_spans(&path.record) < 50);
    try_all_sizes(&protobuf, true, &path);
    try_all_sizes(&protobuf, false, &path);
    try_all_sizes(&json, false, &path);
    try_all_sizes(nsp_exporter_builtin("console"), false, &path);
    config.endpoint = "http://127.0.0.1:9";
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        config.exporter = lists[i];
        try_all_sizes(&nsp__exporter_list, false, &path);
    }
    config.exporter = config.endpoint = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_and_one_by_one),
        cmocka_unit_test(what_does_not_fit_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
