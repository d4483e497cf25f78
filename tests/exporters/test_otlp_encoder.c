// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
// Sanitizers: address, because it has one thread
//
// Encodes every span that the generator can make, decodes it with protobuf-c, and compares it with its model
// field by field. With `--write FOLDER` it writes the batches and models instead, for independent decoders
// (test_otlp_pypi.py).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <nanospan/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otlp.pb-c.h"
#include "otlp/protobuf/protobuf.h"
#include "support/span_generator.h"

enum { SPANS = 6000, BATCH_BYTES = 512 * 1024, CANARY = 256 };

typedef Nanospan__Otlp__AnyValue AnyValue;
typedef Nanospan__Otlp__KeyValue KeyValue;
typedef Nanospan__Otlp__Span Span;

// protobuf-c's strings end at the first zero byte; texts that contain one are left to the other decoder.
static void assert_text(const json_t *model, const char *text)
{
    assert_string_equal(json_string_value(model), text);
}

static void assert_hex(const json_t *model, ProtobufCBinaryData data)
{
    char *hex = calloc(2 * data.len + 1, 1);
    for (size_t i = 0; i < data.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", data.data[i]);
    assert_string_equal(json_string_value(model), hex);
    free(hex);
}

static void assert_decimal(const json_t *model, uint64_t value)
{
    assert_true(strtoull(json_string_value(model), NULL, 10) == value);
}

static void assert_f64(const json_t *model, double value)
{
    if (strcmp(json_string_value(model), "nan") == 0) {
        assert_true(value != value);
        return;
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    assert_true(strtoull(json_string_value(model), NULL, 16) == bits);
}

static void assert_value(const char *type, const json_t *model, const AnyValue *value)
{
    assert_non_null(value);
    if (strcmp(type, "str") == 0) {
        assert_int_equal(value->value_case, NANOSPAN__OTLP__ANY_VALUE__VALUE_STRING_VALUE);
        assert_text(model, value->string_value);
    } else if (strcmp(type, "bool") == 0) {
        assert_int_equal(value->value_case, NANOSPAN__OTLP__ANY_VALUE__VALUE_BOOL_VALUE);
        assert_int_equal(json_is_true(model), value->bool_value);
    } else if (strcmp(type, "i64") == 0) {
        assert_int_equal(value->value_case, NANOSPAN__OTLP__ANY_VALUE__VALUE_INT_VALUE);
        assert_true(strtoll(json_string_value(model), NULL, 10) == value->int_value);
    } else if (strcmp(type, "f64") == 0) {
        assert_int_equal(value->value_case, NANOSPAN__OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE);
        assert_f64(model, value->double_value);
    } else if (strcmp(type, "bytes") == 0) {
        assert_int_equal(value->value_case, NANOSPAN__OTLP__ANY_VALUE__VALUE_BYTES_VALUE);
        assert_hex(model, value->bytes_value);
    } else {
        char element[8] = {0};
        memcpy(element, type, strlen(type) - 1); // "i64s": elements of "i64"
        assert_int_equal(value->value_case, NANOSPAN__OTLP__ANY_VALUE__VALUE_ARRAY_VALUE);
        assert_int_equal(json_array_size(model), value->array_value->n_values);
        for (size_t i = 0; i < value->array_value->n_values; i++)
            assert_value(element, json_array_get(model, i), value->array_value->values[i]);
    }
}

static void assert_attributes(const json_t *model, KeyValue *const *attributes, size_t count)
{
    assert_int_equal(json_array_size(model), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *expected = json_array_get(model, i);
        assert_text(json_array_get(expected, 0), attributes[i]->key);
        assert_value(json_string_value(json_array_get(expected, 1)), json_array_get(expected, 2),
                     attributes[i]->value);
    }
}

static json_int_t number(const json_t *model, const char *key)
{
    assert_true(json_is_integer(json_object_get(model, key)));
    return json_integer_value(json_object_get(model, key));
}

static void assert_span(const json_t *model, const Span *span)
{
    assert_hex(json_object_get(model, "traceId"), span->trace_id);
    assert_hex(json_object_get(model, "spanId"), span->span_id);
    assert_hex(json_object_get(model, "parentSpanId"), span->parent_span_id);
    assert_text(json_object_get(model, "traceState"), span->trace_state);
    assert_text(json_object_get(model, "name"), span->name);
    assert_int_equal(number(model, "kind"), span->kind);
    assert_decimal(json_object_get(model, "start"), span->start_time_unix_nano);
    assert_decimal(json_object_get(model, "end"), span->end_time_unix_nano);
    assert_int_equal(number(model, "flags"), span->flags);
    assert_attributes(json_object_get(model, "attributes"), span->attributes, span->n_attributes);
    assert_int_equal(number(model, "droppedAttributes"), span->dropped_attributes_count);
    assert_int_equal(number(model, "droppedEvents"), span->dropped_events_count);
    assert_int_equal(number(model, "droppedLinks"), span->dropped_links_count);

    const json_t *status = json_object_get(model, "status");
    assert_int_equal(number(status, "code"), span->status ? span->status->code : 0);
    assert_text(json_object_get(status, "message"), span->status ? span->status->message : "");

    const json_t *events = json_object_get(model, "events"), *links = json_object_get(model, "links");
    assert_int_equal(json_array_size(events), span->n_events);
    for (size_t i = 0; i < span->n_events; i++) {
        const json_t *event = json_array_get(events, i);
        assert_decimal(json_object_get(event, "time"), span->events[i]->time_unix_nano);
        assert_text(json_object_get(event, "name"), span->events[i]->name);
        assert_attributes(json_object_get(event, "attributes"), span->events[i]->attributes,
                          span->events[i]->n_attributes);
        assert_int_equal(number(event, "dropped"), span->events[i]->dropped_attributes_count);
    }
    assert_int_equal(json_array_size(links), span->n_links);
    for (size_t i = 0; i < span->n_links; i++) {
        const json_t *link = json_array_get(links, i);
        assert_hex(json_object_get(link, "traceId"), span->links[i]->trace_id);
        assert_hex(json_object_get(link, "spanId"), span->links[i]->span_id);
        assert_text(json_object_get(link, "traceState"), span->links[i]->trace_state);
        assert_attributes(json_object_get(link, "attributes"), span->links[i]->attributes,
                          span->links[i]->n_attributes);
        assert_int_equal(number(link, "dropped"), span->links[i]->dropped_attributes_count);
        assert_int_equal(number(link, "flags"), span->links[i]->flags);
    }
}

static void assert_batch(const json_t *models, const nsp_batch *batch)
{
    Nanospan__Otlp__Request *request =
        nanospan__otlp__request__unpack(NULL, batch->length - batch->head, batch->data + batch->head);
    assert_non_null(request);
    assert_int_equal(request->n_resource_spans, 1);
    const Nanospan__Otlp__ResourceSpans *resource_spans = request->resource_spans[0];
    assert_string_equal(resource_spans->schema_url, "");
    json_t *resource = generated_resource();
    assert_attributes(resource, resource_spans->resource->attributes, resource_spans->resource->n_attributes);
    json_decref(resource);
    assert_int_equal(resource_spans->n_scope_spans, 1);
    const Nanospan__Otlp__ScopeSpans *scope_spans = resource_spans->scope_spans[0];
    assert_string_equal(scope_spans->scope->name, "nanospan");
    assert_string_equal(scope_spans->scope->version, NSP_VERSION);
    assert_int_equal(scope_spans->n_spans, json_array_size(models));
    for (size_t i = 0; i < scope_spans->n_spans; i++)
        assert_span(json_array_get(models, i), scope_spans->spans[i]);
    nanospan__otlp__request__free_unpacked(request, NULL);
}

typedef void (*batch_fn)(const json_t *models, const nsp_batch *batch);

// Encodes generated spans into batches, and passes each to `done` with the models of its spans.
static void encode_generated(size_t spans, batch_fn done)
{
    nsp__otlp_encoder *encoder;
    assert_int_equal(nsp__otlp_encoder_create(&encoder, generated_context()), NSP_OK);
    nsp_batch batch = {.data = malloc(BATCH_BYTES), .capacity = BATCH_BYTES};
    json_t *models = json_array();
    nsp__otlp_encoder_open(encoder, &batch);
    for (size_t i = 0; i < spans; i++) {
        generated_span span;
        generated_span_make(&span);
        if (!nsp__otlp_encoder_append(encoder, &batch, &span.built.view)) {
            nsp__otlp_encoder_close(encoder, &batch);
            done(models, &batch);
            json_array_clear(models);
            nsp__otlp_encoder_open(encoder, &batch);
            assert_true(nsp__otlp_encoder_append(encoder, &batch, &span.built.view));
        }
        json_array_append(models, span.model);
        generated_span_free(&span);
    }
    nsp__otlp_encoder_close(encoder, &batch);
    done(models, &batch);
    json_decref(models);
    free(batch.data);
    nsp__otlp_encoder_destroy(encoder);
}

static void spans_of_every_shape(void **state)
{
    (void)state;
    generator_seed(20);
    encode_generated(SPANS, assert_batch);
}

static void an_empty_batch_is_a_request(void **state)
{
    (void)state;
    encode_generated(0, assert_batch);
}

// With any amount of room, append writes a complete span or nothing, and nothing beyond the room.
static void room_of_every_size(void **state)
{
    (void)state;
    generator_seed(21);
    nsp__otlp_encoder *encoder;
    assert_int_equal(nsp__otlp_encoder_create(&encoder, generated_context()), NSP_OK);
    uint8_t canary[CANARY];
    memset(canary, 0xCA, sizeof canary);
    for (int i = 0; i < 100; i++) {
        generated_span span;
        generated_span_make(&span);
        json_t *models = json_pack("[O]", span.model);
        bool fitted = false;
        // Steps of one around the sizes of most spans, then wider ones: what matters is where the room ends.
        for (size_t capacity = 0; capacity < 250000 && !(fitted && generator_draw(8) == 0);
             capacity += capacity < 1500 ? 1 : 1 + generator_draw(capacity / 32)) {
            nsp_batch batch = {.data = malloc(capacity + CANARY), .capacity = capacity};
            memset(batch.data, 0xCA, capacity + CANARY);
            nsp__otlp_encoder_open(encoder, &batch);
            size_t before = batch.length;
            bool fits = nsp__otlp_encoder_append(encoder, &batch, &span.built.view);
            assert_true(fits || !fitted); // what fits also fits into more room
            fitted = fits;
            if (!fits)
                assert_int_equal(batch.length, before);
            assert_true(batch.length <= capacity);
            nsp__otlp_encoder_close(encoder, &batch);
            assert_true(batch.head <= batch.length);
            assert_memory_equal(batch.data + capacity, canary, sizeof canary);
            if (fits)
                assert_batch(models, &batch);
            free(batch.data);
        }
        assert_true(fitted);
        json_decref(models);
        generated_span_free(&span);
    }
    nsp__otlp_encoder_destroy(encoder);
}

static void a_span_larger_than_a_batch_is_refused(void **state)
{
    (void)state;
    nsp__otlp_encoder *encoder;
    assert_int_equal(nsp__otlp_encoder_create(&encoder, generated_context()), NSP_OK);
    built_span span;
    built_span_init(&span);
    char *text = calloc(1, 60000);
    built_span_str(&span, nsp_intern("text", 4), text, 60000);
    nsp_batch batch = {.data = malloc(60000), .capacity = 60000};
    nsp__otlp_encoder_open(encoder, &batch);
    size_t before = batch.length;
    assert_false(nsp__otlp_encoder_append(encoder, &batch, &span.view));
    assert_int_equal(batch.length, before);
    free(batch.data);
    free(text);
    built_span_free(&span);
    nsp__otlp_encoder_destroy(encoder);
}

static void a_resource_too_large_is_a_configuration_error(void **state)
{
    (void)state;
    nsp_config config = {.batch_bytes = 256};
    nsp_exporter_context context = *generated_context();
    context.config = &config;
    char value[200] = {0};
    memset(value, 'x', sizeof value - 1);
    const char *values[] = {value, value, value, "1"};
    context.resource_values = values;
    nsp__otlp_encoder *encoder;
    assert_int_equal(nsp__otlp_encoder_create(&encoder, &context), NSP_ERR_CONFIG);
    assert_null(encoder);
}

// A span with names that no encoder knows: they read as "", and attributes with such keys are not sent.
static void unknown_names_are_empty(void **state)
{
    (void)state;
    nsp__otlp_encoder *encoder;
    assert_int_equal(nsp__otlp_encoder_create(&encoder, generated_context()), NSP_OK);
    built_span span;
    built_span_init(&span);
    span.view.name = UINT32_MAX;
    built_span_i64(&span, UINT32_MAX, 1);
    built_span_i64(&span, UINT32_MAX - 1, 2);
    nsp_batch batch = {.data = malloc(4096), .capacity = 4096};
    nsp__otlp_encoder_open(encoder, &batch);
    assert_true(nsp__otlp_encoder_append(encoder, &batch, &span.view));
    nsp__otlp_encoder_close(encoder, &batch);
    Nanospan__Otlp__Request *request =
        nanospan__otlp__request__unpack(NULL, batch.length - batch.head, batch.data + batch.head);
    assert_non_null(request);
    const Span *decoded = request->resource_spans[0]->scope_spans[0]->spans[0];
    assert_string_equal(decoded->name, "");
    assert_int_equal(decoded->n_attributes, 0);
    assert_int_equal(decoded->dropped_attributes_count, 2);
    nanospan__otlp__request__free_unpacked(request, NULL);
    free(batch.data);
    built_span_free(&span);
    nsp__otlp_encoder_destroy(encoder);
}

static void responses(void **state)
{
    (void)state;
    int64_t rejected = 1;
    char message[8];
    assert_true(nsp__otlp_response_decode(NULL, 0, &rejected, message, sizeof message));
    assert_int_equal(rejected, 0);
    assert_string_equal(message, "");

    static const uint8_t partial[] = {0x0A, 0x0D, 0x08, 0x05, 0x12, 0x09, 'b', 'a',
                                      'd',  '\n', 'x',  'y',  0xC3, 0xA9, 'z'};
    assert_true(nsp__otlp_response_decode(partial, sizeof partial, &rejected, message, sizeof message));
    assert_int_equal(rejected, 5);
    assert_string_equal(message, "bad xy"); // cut before the character that does not fit completely

    static const uint8_t negative[] = {0x0A, 0x0B, 0x08, 0xFF, 0xFF, 0xFF, 0xFF,
                                       0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01};
    assert_true(nsp__otlp_response_decode(negative, sizeof negative, &rejected, message, sizeof message));
    assert_int_equal(rejected, 0);

    rejected = 1;
    assert_false(nsp__otlp_response_decode(partial, sizeof partial - 1, &rejected, message, sizeof message));
    assert_int_equal(rejected, 0);
    assert_string_equal(message, "");
}

static const char *folder;
static int written;

static void write_batch(const json_t *models, const nsp_batch *batch)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/batch-%03d.pb", folder, written);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    size_t size = batch->length - batch->head;
    assert_int_equal(fwrite(batch->data + batch->head, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    snprintf(path, sizeof path, "%s/batch-%03d.model.json", folder, written++);
    json_t *model = json_pack("{s:o, s:O}", "resource", generated_resource(), "spans", models);
    assert_int_equal(json_dump_file(model, path, JSON_COMPACT), 0);
    json_decref(model);
}

static void write_batches(void **state)
{
    (void)state;
    generator_seed(22);
    encode_generated(1500, write_batch);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        folder = argv[2];
        const struct CMUnitTest writer[] = {cmocka_unit_test(write_batches)};
        return cmocka_run_group_tests(writer, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_of_every_shape),
        cmocka_unit_test(an_empty_batch_is_a_request),
        cmocka_unit_test(room_of_every_size),
        cmocka_unit_test(a_span_larger_than_a_batch_is_refused),
        cmocka_unit_test(a_resource_too_large_is_a_configuration_error),
        cmocka_unit_test(unknown_names_are_empty),
        cmocka_unit_test(responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
