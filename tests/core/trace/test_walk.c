// SPDX-License-Identifier: Apache-2.0
//
// Iteration over a span's items: repeated keys, and damaged records.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "encode/walk.h"
#include "otlp/encoding.h"
#include "otlp/protobuf/protobuf.h"
#include "support/span_generator.h"

static nsp__keys keys;

// The values of the I64 attributes that count, as decimal digits.
static const char *walked(const nsp_span_view *view)
{
    static char digits[16];
    size_t count = 0;
    nsp__parts parts;
    nsp__parts_find(&keys, view, &parts);
    nsp_item item = {0};
    while (nsp__scope_next(&parts.attributes, &item)) {
        uint64_t value;
        memcpy(&value, item.payload, sizeof value);
        digits[count++] = (char)('0' + value);
    }
    digits[count] = 0;
    return digits;
}

static void the_last_of_a_key_counts(void **state)
{
    (void)state;
    built_span span;
    built_span_init(&span);
    assert_string_equal(walked(&span.view), "");
    built_span_i64(&span, 5, 1);
    built_span_i64(&span, 6, 2);
    assert_string_equal(walked(&span.view), "12");
    assert_string_equal(walked(&span.view), "12"); // the span before had the same keys
    built_span_i64(&span, 5, 3);
    assert_string_equal(walked(&span.view), "23");
    built_span_i64(&span, 5, 4);
    built_span_i64(&span, 6, 5);
    assert_string_equal(walked(&span.view), "45");
    // Items without a valid key are left out and counted each time: no name, the name of the empty text, an
    // id beyond all names.
    built_span_i64(&span, 0, 6);
    built_span_i64(&span, nsp_intern("", 0), 7);
    built_span_i64(&span, nsp_intern("", 0), 8);
    built_span_i64(&span, UINT32_MAX, 9);
    assert_string_equal(walked(&span.view), "45");
    nsp__parts parts;
    nsp__parts_find(&keys, &span.view, &parts);
    assert_int_equal(parts.attributes.unnamed, 4);
    built_span_free(&span);
}

// Under full load the numbers that mark keys run out every few seconds.
static void numbers_begin_anew(void **state)
{
    (void)state;
    built_span span;
    built_span_init(&span);
    for (uint64_t i = 0; i < 7; i++)
        built_span_i64(&span, (nsp_name)(5 + i % 3), (int64_t)i);
    built_span once;
    built_span_init(&once);
    built_span_i64(&once, 5, 1);
    nsp__parts parts;
    for (uint32_t left = 0; left < NSP__ITEMS_MAX + 10; left++) {
        keys.clock = UINT32_MAX - left;
        assert_string_equal(walked(&span.view), "456");
        assert_string_equal(walked(&span.view), "456");
        nsp__parts_find(&keys, &once.view, &parts);
        assert_false(parts.attributes.repeated); // it would prevent the fast way
        if (left == 20)
            left = NSP__ITEMS_MAX - 20;
        if (left >= NSP__ITEMS_MAX - 1)
            memset(&keys, 0, sizeof keys); // in real use the clock never goes back
    }
    built_span_free(&once);
    built_span_free(&span);
}

static void events_have_keys_of_their_own(void **state)
{
    (void)state;
    built_span span;
    built_span_init(&span);
    nsp_item_event event = {.attribute_count = 2};
    built_span_i64(&span, 5, 1);
    built_span_item(&span, NSP_ITEM_EVENT, 9, 0, &event, sizeof event);
    built_span_i64(&span, 5, 2);
    built_span_i64(&span, 5, 3);
    built_span_i64(&span, 6, 4);
    assert_string_equal(walked(&span.view), "14");
    nsp_item_cursor cursor = {span.view.items, span.view.items + span.view.items_bytes};
    nsp_item item;
    assert_true(nsp__owner_next(&cursor, NSP_ITEM_EVENT, &item));
    nsp__scope scope = nsp__scope_enter(&keys, &cursor, &item);
    assert_true(nsp__scope_next(&scope, &item));
    assert_int_equal(*item.payload, 3);
    assert_false(nsp__scope_next(&scope, &item));
    assert_false(nsp__owner_next(&cursor, NSP_ITEM_EVENT, &item));
    built_span_free(&span);
}

static const char *foreign_text(const void *names, nsp_name name, size_t *length)
{
    const char *text = name == 7 || name == UINT32_MAX ? names : "";
    *length = strlen(text);
    return text;
}

// Each writes the span whole: an index beyond a table would be noticed by the address sanitizer.
static void check_encoders(const nsp_span_view *view)
{
    static const nsp__otlp_encoding *const encodings[] = {&nsp__otlp_protobuf, &nsp__otlp_json};
    nsp_exporter_context context = *generated_context();
    context.name_text = foreign_text;
    context.names = "seven and another one";
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        static uint8_t data[65536];
        nsp_batch batch = {.data = data, .capacity = sizeof data};
        void *encoder;
        assert_int_equal(encodings[i]->create(&encoder, &context), NSP_OK);
        encodings[i]->open(encoder, &batch);
        for (int again = 0; again < 2; again++) { // forms of names are kept from the first time on
            size_t start = batch.length, texts = 0;
            assert_true(encodings[i]->append(encoder, &batch, view));
            for (size_t at = start; at + 21 <= batch.length; at++)
                texts += memcmp(data + at, context.names, 21) == 0;
            assert_int_equal(texts, 3);
        }
        encodings[i]->destroy(encoder);
    }
}

// The names of another process's session: a key counts if it has a text there.
static void a_table_of_names(void **state)
{
    (void)state;
    built_span span;
    built_span_init(&span);
    built_span_i64(&span, 5, 1);
    built_span_i64(&span, 7, 2);
    const nsp__name_table process = keys.table;
    memset(&keys, 0, sizeof keys);
    keys.table = (nsp__name_table){foreign_text, "seven"};
    assert_string_equal(walked(&span.view), "2");
    keys.table.names = "";
    assert_string_equal(walked(&span.view), "2"); // a key that was found keeps its text
    keys.table.names = "seven and another one";
    built_span_i64(&span, UINT32_MAX, 3); // names may be added to the table beyond those of an engine
    built_span_i64(&span, 7, 4);
    built_span_i64(&span, UINT32_MAX, 5);
    assert_string_equal(walked(&span.view), "345");
    check_encoders(&span.view);
    memset(&keys, 0, sizeof keys);
    keys.table = process;
    built_span_free(&span);
}

// The protobuf encoder as an exporter that sends nothing.
static nsp_status otlp_create(void **state, const nsp_exporter_context *context)
{
    nsp__otlp_encoder *encoder;
    nsp_status status = nsp__otlp_encoder_create(&encoder, context);
    *state = encoder;
    return status;
}

static void otlp_destroy(void *state)
{
    nsp__otlp_encoder_destroy(state);
}

static const nsp_exporter otlp = {
    .size = sizeof(nsp_exporter),
    .name = "otlp",
    .create = otlp_create,
    .destroy = otlp_destroy,
    .open = nsp__otlp_encoder_open,
    .append = nsp__otlp_encoder_append,
    .close = nsp__otlp_encoder_close,
};

// A damaged record may contain anything, but no encoder reads beyond its bytes (the address sanitizer
// watches) or writes beyond the batch.
static void damaged_records(void **state)
{
    (void)state;
    generator_seed(50);
    const nsp_exporter *const exporters[] = {&otlp, &nsp__exporter_file, &nsp__exporter_console};
    nsp_config config = {.size = sizeof config, .batch_bytes = 1 << 20, .file = "/dev/null"};
    nsp_exporter_context context = *generated_context();
    int cancel = 0;
    context.config = &config;
    context.cancel = &cancel;
    enum { CAPACITY = 1 << 20 };
    uint8_t *data = malloc(CAPACITY);
    for (size_t which = 0; which < sizeof exporters / sizeof *exporters; which++) {
        const nsp_exporter *exporter = exporters[which];
        void *encoder;
        assert_int_equal(exporter->create(&encoder, &context), NSP_OK);
        for (int i = 0; i < 3000; i++) {
            generated_span span;
            generated_span_make(&span);
            uint8_t *items = (uint8_t *)(uintptr_t)span.built.view.items;
            for (uint64_t hits = 1 + generator_draw(8); hits && span.built.view.items_bytes; hits--)
                items[generator_draw(span.built.view.items_bytes)] = (uint8_t)generator_draw(256);
            // Most bytes are in texts, so types and lengths are changed on purpose.
            nsp_item_cursor cursor = {items, items + span.built.view.items_bytes};
            nsp_item item;
            while (nsp_item_next(&cursor, &item))
                if (generator_draw(8) == 0)
                    ((uint8_t *)(uintptr_t)item.payload)[-8 + 4 + (int)generator_draw(3)] =
                        (uint8_t)generator_draw(24);
            span.built.view.kind = (uint8_t)generator_draw(256);
            span.built.view.status = (uint8_t)generator_draw(256);
            nsp_batch batch = {.data = data, .capacity = CAPACITY};
            if (i < 256) { // a single item of each type, without payload
                built_span_free(&span.built);
                built_span_init(&span.built);
                built_span_item(&span.built, (uint8_t)i, 5, 0, NULL, 0);
            }
            if (exporter->open)
                exporter->open(encoder, &batch);
            (void)exporter->append(encoder, &batch, &span.built.view);
            if (exporter->close)
                exporter->close(encoder, &batch);
            assert_true(batch.head <= batch.length && batch.length <= CAPACITY);
            generated_span_free(&span);
        }
        exporter->destroy(encoder);
    }
    free(data);
}

// The tests use the names 5 to 7.
static int make_names(void **state)
{
    (void)state;
    char text[16];
    for (int i = 0; i < 8; i++)
        nsp_intern(text, (size_t)snprintf(text, sizeof text, "key %d", i));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_of_names),   cmocka_unit_test(the_last_of_a_key_counts),
        cmocka_unit_test(numbers_begin_anew), cmocka_unit_test(events_have_keys_of_their_own),
        cmocka_unit_test(damaged_records),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
