// SPDX-License-Identifier: Apache-2.0
//
// Batches turned back into records. The oracle is the encoder: what was decoded, encoded again, gives the same
// bytes; and what was written in protobuf and in JSON gives the same records.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "drain/span_view.h"
#include "config/exporter_list.h"
#include "otlp/encoding.h"
#include "outside/session/batch_decode.h"
#include "shm/batches.h"
#include "support/coded_batch.h"
#include "support/sanitizer.h"

enum { ROUNDS = TEST_UNDER_TSAN ? 30 : 150 }; // there is only one thread

static void the_same_bytes_again(void **state)
{
    (void)state;
    uint64_t total = 0;
    generator_seed(1414);
    for (int round = 0; round < ROUNDS; round++) {
        coded_batch batches[CODED_BATCH_ENCODINGS] = {coded_batch_open(0), coded_batch_open(1)};
        uint32_t spans = coded_batch_fill(batches, 1 + (uint32_t)generator_draw(60));
        visited records[CODED_BATCH_ENCODINGS];
        for (int i = 0; i < CODED_BATCH_ENCODINGS; i++) {
            // While it is filled, and then again when it is closed.
            coded_batch again = coded_batch_open(i);
            visited to = visited_all();
            to.again = &again;
            assert_int_equal(coded_batch_decode(&batches[i].encoded, false, spans, &to), spans);
            coded_batch_same_bytes(&batches[i], &again);

            coded_batch_close(&batches[i]);
            coded_batch once_more = coded_batch_open(i);
            records[i] = visited_all();
            records[i].again = &once_more;
            records[i].records = malloc(1);
            assert_int_equal(coded_batch_decode(&batches[i].encoded, true, spans, &records[i]), spans);
            coded_batch_close(&once_more);
            coded_batch_same_bytes(&batches[i], &once_more);
            // Closed, but the header does not say so yet.
            to = visited_all();
            assert_int_equal(coded_batch_decode(&batches[i].encoded, false, spans, &to), spans);
            coded_batch_free(&again);
            coded_batch_free(&once_more);
        }
        assert_int_equal(records[0].bytes, records[1].bytes);
        assert_memory_equal(records[0].records, records[1].records, records[0].bytes);
        for (int i = 0; i < CODED_BATCH_ENCODINGS; i++) {
            coded_batch_free(&batches[i]);
            free(records[i].records);
        }
        total += spans;
    }
    assert_true(total > 20 * ROUNDS);
}

// One span with everything, seen as a record.
static void every_kind_of_item(void **state)
{
    (void)state;
    const struct {
        uint8_t type;
        const void *bytes;
        size_t length;
    } values[] = {
        {NSP_TYPE_STR, "\xE2\x82\xAC \"\\\n\x01", 8},
        {NSP_TYPE_I64, &(int64_t){INT64_MIN}, 8},
        {NSP_TYPE_F64, &(double){-0.0}, 8},
        {NSP_TYPE_F64, &(double){1.0 / 3}, 8},
        {NSP_TYPE_F64, &(double){-INFINITY}, 8},
        {NSP_TYPE_BYTES, "\0\xFF\x80", 3},
        {NSP_TYPE_STRS, "\1\0a\0\0\2\0bc", 9},
        {NSP_TYPE_BOOLS, "\1\0", 2},
        {NSP_TYPE_I64S, (const int64_t[]){INT64_MAX, -1}, 16},
        {NSP_TYPE_F64S, (const double[]){0.1, 5e-324}, 16},
        {NSP_TYPE_STR, "", 0},
        {NSP_TYPE_BYTES, "", 0},
    };
    enum { VALUES = sizeof values / sizeof *values };
    built_span built;
    built_span_init(&built);
    nsp_span_view *view = &built.view;
    memset(built.parent_id, 0x6D, sizeof built.parent_id);
    view->name = nsp_intern("name", 4);
    view->kind = NSP_KIND_CONSUMER;
    view->status = NSP_SPAN_STATUS_ERROR;
    view->parent_remote = true;
    view->dropped_attributes = 7;
    view->dropped_links = UINT16_MAX;
    view->threshold = 0x80000000000000;
    char key[16];
    for (size_t i = 0; i < VALUES; i++)
        built_span_item(&built, values[i].type, nsp_intern(key, (size_t)snprintf(key, sizeof key, "k%zu", i)),
                        0, values[i].bytes, values[i].length);
    built_span_bool(&built, nsp_intern("yes", 3), true);
    built_span_bool(&built, nsp_intern("no", 2), false);
    nsp_item_event event = {.ticks = 5, .attribute_count = 1, .dropped_attributes = 3};
    built_span_item(&built, NSP_ITEM_EVENT, nsp_intern("event", 5), 0, &event, sizeof event);
    built_span_i64(&built, nsp_intern("k1", 2), 11);
    struct {
        nsp_item_link link;
        char state[4];
    } link = {{.flags = 1, .remote = 1, .attribute_count = 2, .dropped_attributes = 4}, "a=b"};
    memset(link.link.trace_id, 0x11, sizeof link.link.trace_id);
    memset(link.link.span_id, 0x22, sizeof link.link.span_id);
    built_span_item(&built, NSP_ITEM_LINK, 0, 0, &link, sizeof link.link + 3);
    built_span_i64(&built, nsp_intern("k2", 2), 12);
    built_span_bool(&built, nsp_intern("yes", 3), true);
    built_span_item(&built, NSP_ITEM_STATUS_MESSAGE, 0, 0, "why", 3);

    for (int i = 0; i < CODED_BATCH_ENCODINGS; i++) {
        coded_batch made = coded_batch_open(i);
        assert_true(coded_batch_append(&made, view));
        visited to = visited_all();
        to.records = malloc(1);
        assert_int_equal(coded_batch_decode(&made.encoded, false, 1, &to), 1);
        const nsp__record *record = (const nsp__record *)(const void *)to.records;
        nsp_span_view back = coded_record_view(record);
        assert_memory_equal(back.trace_id, view->trace_id, NSP_TRACE_ID_SIZE);
        assert_memory_equal(back.span_id, view->span_id, NSP_SPAN_ID_SIZE);
        assert_memory_equal(back.parent_id, view->parent_id, NSP_SPAN_ID_SIZE);
        assert_memory_equal(back.local_root_id, view->span_id, NSP_SPAN_ID_SIZE); // its parent is remote
        assert_int_equal(back.start_ns, view->start_ns);
        assert_int_equal(back.end_ns, view->end_ns);
        assert_int_equal(back.name, view->name);
        assert_int_equal(back.kind, view->kind);
        assert_int_equal(back.status, view->status);
        assert_int_equal(back.trace_flags, view->trace_flags);
        assert_true(back.parent_remote);
        assert_int_equal(back.dropped_attributes, 7);
        assert_int_equal(back.dropped_events, 0);
        assert_int_equal(back.dropped_links, UINT16_MAX);
        assert_true(record->flags & NSP__RECORD_KEPT && record->flags & NSP__RECORD_TRACESTATE &&
                    record->flags & NSP__RECORD_DROPS && !(record->flags & NSP__RECORD_ROOT));

        nsp_item_cursor cursor = {back.items, back.items + back.items_bytes};
        nsp_item item;
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_ITEM_TRACESTATE);
        assert_int_equal(item.length, strlen("ot=th:8"));
        assert_memory_equal(item.payload, "ot=th:8", item.length);
        for (size_t k = 0; k < VALUES; k++) {
            assert_true(nsp_item_next(&cursor, &item));
            assert_int_equal(item.type, values[k].type);
            assert_int_equal(item.length, values[k].length);
            assert_memory_equal(item.payload, values[k].bytes, item.length);
            snprintf(key, sizeof key, "k%zu", k);
            assert_string_equal(nsp_name_text(item.key, NULL), key);
        }
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_TYPE_BOOL && item.small == 1);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_TYPE_BOOL && item.small == 0);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_ITEM_EVENT);
        assert_string_equal(nsp_name_text(item.key, NULL), "event");
        event.ticks = nsp_span_view_ns(view, 5); // in nanoseconds now
        assert_memory_equal(item.payload, &event, sizeof event);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_TYPE_I64);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_ITEM_LINK);
        assert_int_equal(item.length, sizeof link.link + 3);
        assert_memory_equal(item.payload, &link, item.length);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_TYPE_I64);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_TYPE_BOOL);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_ITEM_STATUS_MESSAGE);
        assert_memory_equal(item.payload, "why", 3);
        assert_true(nsp_item_next(&cursor, &item) && item.type == NSP__ITEM_DROPS);
        assert_false(nsp_item_next(&cursor, &item));
        free(to.records);
        coded_batch_free(&made);
    }
    built_span_free(&built);
}

// What becomes too long when its texts are made valid is cut, and nothing else of the span is lost.
static void longer_than_a_record_holds(void **state)
{
    (void)state;
    enum { BYTES = 40000, ELEMENT = 1000, ELEMENTS = 30 };
    static uint8_t bad[BYTES], array[ELEMENTS * (2 + ELEMENT)];
    memset(bad, 0xFF, sizeof bad); // each becomes three bytes
    memset(array, 0xFF, sizeof array);
    for (size_t i = 0; i < ELEMENTS; i++)
        memcpy(array + i * (2 + ELEMENT), &(uint16_t){ELEMENT}, 2);
    for (int i = 0; i < CODED_BATCH_ENCODINGS; i++) {
        for (int kind = 0; kind < 2; kind++) {
            built_span built;
            built_span_init(&built);
            built_span_item(&built, kind == 0 ? NSP_TYPE_STR : NSP_TYPE_STRS, nsp_intern("long", 4), 0,
                            kind == 0 ? bad : array, kind == 0 ? sizeof bad : sizeof array);
            built_span_i64(&built, nsp_intern("next", 4), 1);
            coded_batch made = coded_batch_open(i);
            assert_true(coded_batch_append(&made, &built.view));
            visited to = visited_all();
            to.records = malloc(1);
            assert_int_equal(coded_batch_decode(&made.encoded, false, 1, &to), 1);
            nsp_span_view back = coded_record_view((const nsp__record *)(const void *)to.records);
            nsp_item_cursor cursor = {back.items, back.items + back.items_bytes};
            nsp_item item;
            assert_true(nsp_item_next(&cursor, &item));
            // Whole characters, and whole elements.
            assert_int_equal(item.length, kind == 0 ? UINT16_MAX / 3 * 3
                                                    : UINT16_MAX / (2 + 3 * ELEMENT) * (2 + 3 * ELEMENT));
            assert_true(nsp_item_next(&cursor, &item) && item.type == NSP_TYPE_I64 && *item.payload == 1);
            free(to.records);
            coded_batch_free(&made);
            built_span_free(&built);
        }
    }
}

static void only_what_is_wanted(void **state)
{
    (void)state;
    generator_seed(77);
    coded_batch batches[CODED_BATCH_ENCODINGS] = {coded_batch_open(0), coded_batch_open(1)};
    uint32_t spans = coded_batch_fill(batches, 20);
    assert_true(spans > 10);
    for (int closed = 0; closed < 2; closed++) {
        for (int i = 0; i < CODED_BATCH_ENCODINGS; i++) {
            if (closed)
                coded_batch_close(&batches[i]);
            for (uint32_t wanted = 0; wanted < 2 * spans; wanted++) {
                visited to = visited_all();
                assert_int_equal(coded_batch_decode(&batches[i].encoded, closed != 0, wanted, &to),
                                 wanted < spans ? wanted : spans);
            }
            visited to = {.stop_at = 3};
            assert_int_equal(coded_batch_decode(&batches[i].encoded, closed != 0, spans, &to), 3);
        }
    }
    for (int i = 0; i < CODED_BATCH_ENCODINGS; i++)
        coded_batch_free(&batches[i]);
}

__attribute__((format(printf, 3, 4))) static void no_log(nsp_log_level level, const char *subject,
                                                         const char *format, ...)
{
    (void)level, (void)subject, (void)format;
}

// Of a list, whatever its order is. A list whose only exporter has an encoding of its own is not decodable.
static void lists(void **state)
{
    (void)state;
    static const struct {
        const char *exporters;
        int encoding;
    } cases[] = {{"console,otlp", 0}, {"otlp,file", 0}, {"file,console", 1}, {"console,console", -1}};
    generator_seed(5);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int cancel = 0;
        nsp_config config = {.size = sizeof config,
                             .exporter = cases[c].exporters,
                             .endpoint = "http://127.0.0.1:1",
                             .insecure = true,
                             .export_timeout_ns = 1000000000,
                             .file = "/dev/null",
                             .batch_bytes = CODED_BATCH_CAPACITY};
        nsp_exporter_context context = *generated_context();
        context.config = &config;
        context.cancel = &cancel;
        context.log = no_log;
        void *list;
        assert_int_equal(nsp__exporter_list.create(&list, &context), NSP_OK);
        nsp_batch whole = {.data = malloc(CODED_BATCH_CAPACITY), .capacity = CODED_BATCH_CAPACITY};
        nsp__exporter_list.open(list, &whole);
        assert_int_equal(whole.encoding, NSP_ENCODING_LIST);
        coded_batch expected = coded_batch_open(cases[c].encoding >= 0 ? cases[c].encoding : 0);
        while (whole.spans < 20) {
            generated_span span;
            coded_batch_span(&span);
            if (nsp__exporter_list.append(list, &whole, &span.built.view)) {
                assert_true(coded_batch_append(&expected, &span.built.view));
                whole.spans++;
            }
            generated_span_free(&span);
        }
        for (int closed = 0; closed < 2; closed++) {
            if (closed) {
                nsp__exporter_list.close(list, &whole);
                coded_batch_close(&expected);
            }
            const nsp__batch_decoding asked = {.encoding = whole.encoding,
                                               .bytes = whole.data,
                                               .size = whole.capacity,
                                               .length = whole.length};
            assert_int_equal(nsp__batch_decodable(&asked), cases[c].encoding >= 0);
            visited to = visited_all();
            if (cases[c].encoding < 0) {
                assert_int_equal(coded_batch_decode(&whole, closed != 0, whole.spans, &to), 0);
                continue;
            }
            coded_batch again = coded_batch_open(cases[c].encoding);
            to.again = &again;
            assert_int_equal(coded_batch_decode(&whole, closed != 0, whole.spans, &to), whole.spans);
            if (closed)
                coded_batch_close(&again);
            coded_batch_same_bytes(&expected, &again);
            coded_batch_free(&again);
            // More spans than were noted.
            to = visited_all();
            assert_int_equal(coded_batch_decode(&whole, closed != 0, 7, &to), 7);
        }
        nsp__exporter_list.destroy(list);
        free(whole.data);
        coded_batch_free(&expected);
    }
}

static void not_decodable(void **state)
{
    (void)state;
    coded_batch made = coded_batch_open(0);
    built_span built;
    built_span_init(&built);
    assert_true(coded_batch_append(&made, &built.view));
    static const struct {
        uint32_t encoding;
        size_t size, head, length;
    } cases[] = {
        {NSP_ENCODING_OWN, 100, 0, 100},
        {99, 100, 0, 100},
        {NSP_ENCODING_OTLP_PROTOBUF, 100, 0, 101},
        {NSP_ENCODING_OTLP_PROTOBUF, 100, 51, 50},
        {NSP_ENCODING_OTLP_JSON, SIZE_MAX / 2, 1, 0},
        {NSP_ENCODING_LIST, sizeof(nsp__batch_part[NSP__BATCH_PARTS_MAX]) - 1, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nsp__batch_decoding decoding = {.encoding = cases[i].encoding,
                                        .bytes = made.encoded.data,
                                        .size = cases[i].size,
                                        .head = cases[i].head,
                                        .length = cases[i].length,
                                        .spans = 1};
        assert_false(nsp__batch_decodable(&decoding));
        assert_int_equal(nsp__batch_decode(&decoding), 0);
    }
    // A table that leads outside.
    nsp__batch_part parts[NSP__BATCH_PARTS_MAX] = {{.offset = 64, .encoding = NSP_ENCODING_OTLP_PROTOBUF}};
    nsp__batch_decoding decoding = {
        .encoding = NSP_ENCODING_LIST, .bytes = (const uint8_t *)parts, .size = sizeof parts, .spans = 1};
    assert_true(nsp__batch_decodable(&decoding));
    decoding.size--; // not the whole table
    assert_false(nsp__batch_decodable(&decoding));
    decoding.size++;
    parts[0].offset = sizeof parts + 1;
    assert_false(nsp__batch_decodable(&decoding));
    parts[0].offset = 64;
    parts[0].length = sizeof parts - 63;
    assert_false(nsp__batch_decodable(&decoding));
    parts[0].length = 1;
    parts[0].head = 2;
    assert_false(nsp__batch_decodable(&decoding));
    coded_batch_free(&made);
    built_span_free(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_item),
        cmocka_unit_test(the_same_bytes_again),
        cmocka_unit_test(longer_than_a_record_holds),
        cmocka_unit_test(only_what_is_wanted),
        cmocka_unit_test(lists),
        cmocka_unit_test(not_decodable),
    };
    return cmocka_run_group_tests_name("batch_decode", tests, coded_batch_setup, coded_batch_teardown);
}
