// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
// Sanitizers: address, because it has one thread
//
// Writes every span that the generator can make as OTLP JSON and reads it back with jansson into the form of
// the model. With `--write FOLDER` it writes the lines and models instead, for independent decoders
// (test_otlp_pypi.py).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <nanospan/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otlp/encoding.h"
#include "otlp/json/response.h"
#include "support/span_generator.h"

enum { SPANS = 2500, BATCH_BYTES = 1024 * 1024, CANARY = 256 };

static json_t *member(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

static json_t *text_or_empty(const json_t *object, const char *key)
{
    json_t *text = member(object, key);
    return text ? json_incref(text) : json_string("");
}

static json_t *count_or_zero(const json_t *object, const char *key)
{
    json_t *count = member(object, key);
    assert_true(!count || json_integer_value(count) > 0); // left out if it is 0
    return count ? json_incref(count) : json_integer(0);
}

static json_t *hex_of_base64(const char *base64)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = strlen(base64);
    assert_int_equal(length % 4, 0);
    char *hex = calloc(length * 2 + 1, 1), *at = hex;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < length && base64[i] != '='; i++) {
        const char *digit = strchr(alphabet, base64[i]);
        assert_non_null(digit);
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            at += sprintf(at, "%02x", bits >> have & 255);
        }
    }
    json_t *model = json_string(hex);
    free(hex);
    return model;
}

static json_t *f64_model(const json_t *value)
{
    char hex[17];
    const char *text = json_string_value(value);
    if (text && strcmp(text, "NaN") == 0)
        return json_string("nan");
    double number = json_number_value(value);
    if (text) {
        assert_true(strcmp(text, "Infinity") == 0 || strcmp(text, "-Infinity") == 0);
        number = strtod(text, NULL);
    }
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    snprintf(hex, sizeof hex, "%016" PRIx64, bits);
    return json_string(hex);
}

// A value in the model's form; *type is its type's name. Of an empty array the elements' type is not seen:
// "".
static json_t *value_model(const json_t *value, const char **type)
{
    assert_int_equal(json_object_size(value), 1);
    json_t *found;
    if ((found = member(value, "stringValue"))) {
        *type = "str";
        return json_incref(found);
    }
    if ((found = member(value, "boolValue"))) {
        *type = "bool";
        assert_true(json_is_boolean(found));
        return json_incref(found);
    }
    if ((found = member(value, "intValue"))) {
        *type = "i64";
        assert_true(json_is_string(found));
        return json_incref(found);
    }
    if ((found = member(value, "doubleValue"))) {
        *type = "f64";
        return f64_model(found);
    }
    if ((found = member(value, "bytesValue"))) {
        *type = "bytes";
        return hex_of_base64(json_string_value(found));
    }
    found = member(member(value, "arrayValue"), "values");
    assert_true(json_is_array(found));
    *type = "";
    json_t *model = json_array(), *element;
    size_t i;
    json_array_foreach(found, i, element)
    {
        json_array_append_new(model, value_model(element, type));
    }
    if (strcmp(*type, "str") == 0)
        *type = "strs";
    else if (strcmp(*type, "bool") == 0)
        *type = "bools";
    else if (strcmp(*type, "i64") == 0)
        *type = "i64s";
    else if (strcmp(*type, "f64") == 0)
        *type = "f64s";
    return model;
}

// Compares attribute by attribute, because the model has more members for each (its name's id) than arrive.
static void assert_attributes(const json_t *model, const json_t *attributes)
{
    assert_int_equal(json_array_size(model), json_array_size(attributes));
    size_t i;
    json_t *attribute;
    json_array_foreach(attributes, i, attribute)
    {
        const json_t *expected = json_array_get(model, i);
        const char *type;
        assert_true(json_equal(json_array_get(expected, 0), member(attribute, "key")));
        json_t *value = value_model(member(attribute, "value"), &type);
        if (*type)
            assert_string_equal(json_string_value(json_array_get(expected, 1)), type);
        assert_true(json_equal(json_array_get(expected, 2), value));
        json_decref(value);
    }
}

static void assert_member(const json_t *model, const char *key, json_t *actual)
{
    if (!json_equal(member(model, key), actual)) {
        char *expected = json_dumps(member(model, key), JSON_ENCODE_ANY),
             *got = json_dumps(actual, JSON_ENCODE_ANY);
        print_error("%s: expected %s, got %s\n", key, expected, got);
        free(expected);
        free(got);
        fail();
    }
    json_decref(actual);
}

static void assert_span(const json_t *model, const json_t *span)
{
    assert_member(model, "traceId", text_or_empty(span, "traceId"));
    assert_member(model, "spanId", text_or_empty(span, "spanId"));
    assert_member(model, "parentSpanId", text_or_empty(span, "parentSpanId"));
    assert_member(model, "traceState", text_or_empty(span, "traceState"));
    assert_member(model, "name", text_or_empty(span, "name"));
    assert_member(model, "kind", count_or_zero(span, "kind"));
    assert_member(model, "flags", count_or_zero(span, "flags"));
    assert_member(model, "start", text_or_empty(span, "startTimeUnixNano"));
    assert_member(model, "end", text_or_empty(span, "endTimeUnixNano"));
    assert_member(model, "droppedAttributes", count_or_zero(span, "droppedAttributesCount"));
    assert_member(model, "droppedEvents", count_or_zero(span, "droppedEventsCount"));
    assert_member(model, "droppedLinks", count_or_zero(span, "droppedLinksCount"));
    assert_attributes(member(model, "attributes"), member(span, "attributes"));
    const json_t *status = member(span, "status"), *expected = member(model, "status");
    assert_member(expected, "code", count_or_zero(status, "code"));
    assert_member(expected, "message", text_or_empty(status, "message"));

    const json_t *events = member(span, "events"), *links = member(span, "links");
    size_t i;
    json_t *owner;
    assert_int_equal(json_array_size(member(model, "events")), json_array_size(events));
    json_array_foreach(events, i, owner)
    {
        expected = json_array_get(member(model, "events"), i);
        assert_member(expected, "time", text_or_empty(owner, "timeUnixNano"));
        assert_member(expected, "name", text_or_empty(owner, "name"));
        assert_member(expected, "dropped", count_or_zero(owner, "droppedAttributesCount"));
        assert_attributes(member(expected, "attributes"), member(owner, "attributes"));
    }
    assert_int_equal(json_array_size(member(model, "links")), json_array_size(links));
    json_array_foreach(links, i, owner)
    {
        expected = json_array_get(member(model, "links"), i);
        assert_member(expected, "traceId", text_or_empty(owner, "traceId"));
        assert_member(expected, "spanId", text_or_empty(owner, "spanId"));
        assert_member(expected, "traceState", text_or_empty(owner, "traceState"));
        assert_member(expected, "flags", count_or_zero(owner, "flags"));
        assert_member(expected, "dropped", count_or_zero(owner, "droppedAttributesCount"));
        assert_attributes(member(expected, "attributes"), member(owner, "attributes"));
    }
}

static void assert_batch(const json_t *models, const nsp_batch *batch)
{
    const char *line = (const char *)batch->data + batch->head;
    size_t length = batch->length - batch->head;
    assert_true(length > 0 && line[length - 1] == '\n');
    for (size_t i = 0; i < length - 1; i++)
        assert_false(iscntrl((unsigned char)line[i])); // one line
    json_error_t error;
    json_t *root = json_loadb(line, length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!root)
        print_error("%s at %d: %.*s\n", error.text, error.position, 40, line + error.position);
    assert_non_null(root);
    assert_int_equal(json_array_size(member(root, "resourceSpans")), 1);
    const json_t *resource_spans = json_array_get(member(root, "resourceSpans"), 0);
    json_t *resource = generated_resource();
    assert_attributes(resource, member(member(resource_spans, "resource"), "attributes"));
    json_decref(resource);
    assert_int_equal(json_array_size(member(resource_spans, "scopeSpans")), 1);
    const json_t *scope_spans = json_array_get(member(resource_spans, "scopeSpans"), 0);
    assert_string_equal(json_string_value(member(member(scope_spans, "scope"), "name")), "nanospan");
    assert_string_equal(json_string_value(member(member(scope_spans, "scope"), "version")), NSP_VERSION);
    const json_t *spans = member(scope_spans, "spans");
    assert_int_equal(json_array_size(spans), json_array_size(models));
    for (size_t i = 0; i < json_array_size(spans); i++)
        assert_span(json_array_get(models, i), json_array_get(spans, i));
    json_decref(root);
}

typedef void (*batch_fn)(const json_t *models, const nsp_batch *batch);

static void encode_generated(size_t spans, batch_fn done)
{
    void *encoder;
    assert_int_equal(nsp__otlp_json.create(&encoder, generated_context()), NSP_OK);
    nsp_batch batch = {.data = malloc(BATCH_BYTES), .capacity = BATCH_BYTES};
    json_t *models = json_array();
    nsp__otlp_json.open(encoder, &batch);
    for (size_t i = 0; i < spans; i++) {
        generated_span span;
        generated_span_make(&span);
        if (!nsp__otlp_json.append(encoder, &batch, &span.built.view)) {
            nsp__otlp_json.close(encoder, &batch);
            done(models, &batch);
            json_array_clear(models);
            nsp__otlp_json.open(encoder, &batch);
            assert_true(nsp__otlp_json.append(encoder, &batch, &span.built.view));
        }
        json_array_append(models, span.model);
        generated_span_free(&span);
    }
    nsp__otlp_json.close(encoder, &batch);
    done(models, &batch);
    json_decref(models);
    free(batch.data);
    nsp__otlp_json.destroy(encoder);
}

static void spans_of_every_shape(void **state)
{
    (void)state;
    generator_seed(30);
    encode_generated(SPANS, assert_batch);
}

static void an_empty_batch_is_an_object(void **state)
{
    (void)state;
    encode_generated(0, assert_batch);
}

static void room_of_every_size(void **state)
{
    (void)state;
    generator_seed(31);
    void *encoder;
    assert_int_equal(nsp__otlp_json.create(&encoder, generated_context()), NSP_OK);
    uint8_t canary[CANARY];
    memset(canary, 0xCA, sizeof canary);
    for (int i = 0; i < 50; i++) {
        generated_span span;
        generated_span_make(&span);
        json_t *models = json_pack("[O]", span.model);
        bool fitted = false;
        for (size_t capacity = 0; capacity < 600000 && !(fitted && generator_draw(8) == 0);
             capacity += capacity < 1500 ? 1 : 1 + generator_draw(capacity / 32)) {
            nsp_batch batch = {.data = malloc(capacity + CANARY), .capacity = capacity};
            memset(batch.data, 0xCA, capacity + CANARY);
            nsp__otlp_json.open(encoder, &batch);
            size_t before = batch.length;
            bool fits = nsp__otlp_json.append(encoder, &batch, &span.built.view);
            assert_true(fits || !fitted);
            fitted = fits;
            if (!fits)
                assert_int_equal(batch.length, before);
            nsp__otlp_json.close(encoder, &batch);
            assert_true(batch.length <= capacity);
            assert_memory_equal(batch.data + capacity, canary, sizeof canary);
            if (fits)
                assert_batch(models, &batch);
            free(batch.data);
        }
        assert_true(fitted);
        json_decref(models);
        generated_span_free(&span);
    }
    nsp__otlp_json.destroy(encoder);
}

static void responses(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t rejected; // -1: not a response
        const char *message;
    } cases[] = {
        {"", 0, ""},
        {" \n", 0, ""},
        {"{}", 0, ""},
        {" { \"partialSuccess\" : { } } \r\n", 0, ""},
        {"{\"partialSuccess\":null}", 0, ""},
        {"{\"partialSuccess\":{\"rejectedSpans\":null,\"errorMessage\":null}}", 0, ""},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"5\",\"errorMessage\":\"no room\"}}", 5, "no room"},
        {"{\"partialSuccess\":{\"errorMessage\":\"no room\",\"rejectedSpans\":5}}", 5, "no room"},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"9223372036854775807\"}}", INT64_MAX, ""},
        {"{\"partialSuccess\":{\"rejectedSpans\":-5}}", 0, ""},
        {"{\"partialSuccess\":{\"errorMessage\":\"\\u00e9\\u20AC\\ud83d\\ude00\\\"\\\\\\/\"}}", 0,
         "\u00e9\u20ac\U0001F600\"\\/"},
        {"{\"partialSuccess\":{\"errorMessage\":\"a\\nb\\u0000\\ud83dx\\ude00\\ud83d\\u0041\"}}", 0,
         "a b\uFFFD\uFFFDx\uFFFD\uFFFDA"},
        {"{\"other\":[1,-0.5e+3,true,false,null,\"\\t\",{\"a\":[]}],\"partialSuccess\":{\"more\":{},"
         "\"rejectedSpans\":\"2\"}}",
         2, ""},
        {"{\"partialSuccessful\":{\"rejectedSpans\":\"2\"},\"rejectedSpans\":\"3\"}", 0, ""},
        {"<html>", -1, NULL},
        {"null", -1, NULL},
        {"[]", -1, NULL},
        {"\"text\"", -1, NULL},
        {"{", -1, NULL},
        {"{}}", -1, NULL},
        {"{} x", -1, NULL},
        {"{,}", -1, NULL},
        {"{\"a\":1,}", -1, NULL},
        {"{\"a\" 1}", -1, NULL},
        {"{a:1}", -1, NULL},
        {"{\"a\":[1,]}", -1, NULL},
        {"{\"a\":[1 2]}", -1, NULL},
        {"{\"a\":01}", -1, NULL},
        {"{\"a\":-}", -1, NULL},
        {"{\"a\":1.}", -1, NULL},
        {"{\"a\":1e}", -1, NULL},
        {"{\"a\":.5}", -1, NULL},
        {"{\"a\":tru}", -1, NULL},
        {"{\"a\":\"\n\"}", -1, NULL},
        {"{\"a\":\"\\x\"}", -1, NULL},
        {"{\"a\":\"\\u12g4\"}", -1, NULL},
        {"{\"a\":\"\\u12", -1, NULL},
        {"{\"a\":\"\xff\"}", -1, NULL},
        {"{\"partialSuccess\":5}", -1, NULL},
        {"{\"partialSuccess\":[]}", -1, NULL},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"\"}}", -1, NULL},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"-\"}}", -1, NULL},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"5x\"}}", -1, NULL},
        {"{\"partialSuccess\":{\"rejectedSpans\":1.5}}", -1, NULL},
        {"{\"partialSuccess\":{\"rejectedSpans\":9223372036854775808}}", -1, NULL},
        {"{\"partialSuccess\":{\"rejectedSpans\":true}}", -1, NULL},
        {"{\"partialSuccess\":{\"errorMessage\":5}}", -1, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        // In memory of exactly the text's size, so that a sanitizer notices a read beyond it.
        size_t length = strlen(cases[i].body);
        uint8_t *body = malloc(length);
        if (length)
            memcpy(body, cases[i].body, length);
        char message[64] = "x";
        int64_t rejected = 99;
        bool read = nsp__otlp_json_response_decode(body, length, &rejected, message, sizeof message);
        if (read != (cases[i].rejected >= 0))
            fail_msg("%s is %sread", cases[i].body, read ? "" : "not ");
        assert_int_equal(rejected, read ? cases[i].rejected : 0);
        assert_string_equal(message, read ? cases[i].message : "");
        free(body);
    }
}

static void long_and_deep_responses(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    char message[160];
    int64_t rejected;
    uint8_t *body = malloc(2 * DEEP + 64);
    for (int depth = 60; depth < DEEP; depth += DEEP - 61) {
        int length = sprintf((char *)body, "{\"a\":");
        memset(body + length, '[', (size_t)depth);
        memset(body + length + depth, ']', (size_t)depth);
        body[length + 2 * depth] = '}';
        assert_int_equal(nsp__otlp_json_response_decode(body, (size_t)(length + 2 * depth + 1), &rejected,
                                                        message, sizeof message),
                         depth == 60);
    }
    int length = sprintf((char *)body, "{\"partialSuccess\":{\"errorMessage\":\"");
    memset(body + length, 'x', 5000);
    length += 5000 + sprintf((char *)body + length + 5000, "\"}}");
    assert_true(nsp__otlp_json_response_decode(body, (size_t)length, &rejected, message, sizeof message));
    assert_int_equal(strlen(message), sizeof message - 1);
    // Every prefix is malformed, except the empty one.
    for (int part = 1; part < length; part += part < 100 ? 1 : 700)
        assert_false(nsp__otlp_json_response_decode(body, (size_t)part, &rejected, message, sizeof message));
    free(body);
}

static const char *folder;
static int written;

static void write_batch(const json_t *models, const nsp_batch *batch)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lines.jsonl", folder);
    FILE *file = fopen(path, "ab");
    assert_non_null(file);
    size_t size = batch->length - batch->head;
    assert_int_equal(fwrite(batch->data + batch->head, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    snprintf(path, sizeof path, "%s/line-%03d.model.json", folder, written++);
    json_t *model = json_pack("{s:o, s:O}", "resource", generated_resource(), "spans", models);
    assert_int_equal(json_dump_file(model, path, JSON_COMPACT), 0);
    json_decref(model);
}

static void write_batches(void **state)
{
    (void)state;
    generator_seed(32);
    encode_generated(1000, write_batch);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        folder = argv[2];
        const struct CMUnitTest writer[] = {cmocka_unit_test(write_batches)};
        return cmocka_run_group_tests(writer, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_of_every_shape),    cmocka_unit_test(an_empty_batch_is_an_object),
        cmocka_unit_test(room_of_every_size),      cmocka_unit_test(responses),
        cmocka_unit_test(long_and_deep_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
