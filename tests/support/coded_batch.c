// SPDX-License-Identifier: Apache-2.0
#include "support/coded_batch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "drain/span_view.h"
#include "outside/session/batch_decode.h"

const nsp__otlp_encoding *const coded_batch_encodings[CODED_BATCH_ENCODINGS] = {&nsp__otlp_protobuf,
                                                                                &nsp__otlp_json};
void *coded_batch_encoders[CODED_BATCH_ENCODINGS];

// ---- records as spans ----

// The map from nanoseconds to nanoseconds.
static const nsp__clock no_clock;
static struct nsp__clock_segment identity = {
    .length = UINT64_MAX, .rate = (uint64_t)1 << NSP__CLOCK_RATE_BITS, .clock = NULL};

nsp_span_view coded_record_view(const nsp__record *record)
{
    nsp_span_view view;
    nsp__span_view_make(&view, record, &no_clock, &identity);
    return view;
}

// The items fill the record exactly, each as long as its type says.
static void record_check_sound(const nsp__record *record)
{
    assert_true(record->bytes >= sizeof *record && record->bytes <= CODED_RECORD_MAX &&
                record->bytes % 8 == 0);
    const uint8_t *items = (const uint8_t *)(record + 1), *end = (const uint8_t *)record + record->bytes;
    nsp_item_cursor cursor = {items, end};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        assert_true(nsp__record_valid(record, record->bytes, CODED_RECORD_MAX));
        assert_true(item.payload + item.length <= end);
        if (item.type == NSP_TYPE_I64S || item.type == NSP_TYPE_F64S)
            assert_int_equal(item.length % 8, 0);
        if (item.type == NSP_TYPE_I64 || item.type == NSP_TYPE_F64)
            assert_int_equal(item.length, 8);
    }
    assert_ptr_equal(cursor.at, end);
}

// ---- batches ----

coded_batch coded_batch_open(int encoding)
{
    coded_batch made = {.encoded = {.data = malloc(CODED_BATCH_CAPACITY), .capacity = CODED_BATCH_CAPACITY},
                        .encoding = encoding};
    assert_non_null(made.encoded.data);
    memset(made.encoded.data, 0xAA, CODED_BATCH_CAPACITY);
    coded_batch_encodings[encoding]->open(coded_batch_encoders[encoding], &made.encoded);
    return made;
}

bool coded_batch_append(coded_batch *to, const nsp_span_view *view)
{
    bool fits =
        coded_batch_encodings[to->encoding]->append(coded_batch_encoders[to->encoding], &to->encoded, view);
    to->encoded.spans += fits;
    return fits;
}

void coded_batch_close(coded_batch *of)
{
    coded_batch_encodings[of->encoding]->close(coded_batch_encoders[of->encoding], &of->encoded);
}

void coded_batch_free(coded_batch *of)
{
    free(of->encoded.data);
}

void coded_batch_same_bytes(const coded_batch *a, const coded_batch *b)
{
    assert_int_equal(a->encoded.spans, b->encoded.spans);
    assert_int_equal(a->encoded.length - a->encoded.head, b->encoded.length - b->encoded.head);
    assert_memory_equal(a->encoded.data + a->encoded.head, b->encoded.data + b->encoded.head,
                        a->encoded.length - a->encoded.head);
}

nsp_name coded_batch_intern(void *argument, const char *text, size_t length)
{
    (void)argument;
    assert_true(length != 0);
    return nsp_intern(text, length);
}

bool coded_batch_visit(void *argument, const nsp__record *record)
{
    visited *to = argument;
    if (to->count == to->stop_at)
        return false;
    to->count++;
    record_check_sound(record);
    nsp_span_view view = coded_record_view(record);
    if (to->again != NULL)
        assert_true(coded_batch_append(to->again, &view));
    if (to->records != NULL) {
        to->records = realloc(to->records, to->bytes + record->bytes);
        assert_non_null(to->records);
        memcpy(to->records + to->bytes, record, record->bytes);
        to->bytes += record->bytes;
    }
    return true;
}

uint64_t coded_batch_decode(const nsp_batch *from, bool closed, uint32_t spans, visited *to)
{
    const nsp__batch_decoding decoding = {.encoding = from->encoding,
                                          .closed = closed,
                                          .bytes = from->data,
                                          .size = from->capacity,
                                          .head = from->head,
                                          .length = from->length,
                                          .spans = spans,
                                          .intern = coded_batch_intern,
                                          .visit = coded_batch_visit,
                                          .argument = to};
    uint64_t taken = nsp__batch_decode(&decoding);
    assert_int_equal(taken, to->count);
    assert_true(taken <= spans);
    return taken;
}

visited visited_all(void)
{
    return (visited){.stop_at = UINT64_MAX};
}

// ---- generated spans ----

// A model's text, or its members' texts, are at most this long.
static bool shorter(const json_t *model, size_t most)
{
    if (json_is_string(model))
        return json_string_length(model) <= most;
    size_t sum = 0, i;
    json_t *element;
    json_array_foreach(model, i, element) sum +=
        json_is_string(element) ? 2 + json_string_length(element) : 0;
    return sum <= most;
}

static bool attributes_fit(const json_t *attributes)
{
    size_t i, j;
    json_t *one, *other;
    json_array_foreach(attributes, i, one)
    {
        json_t *key = json_array_get(one, 0), *value = json_array_get(one, 2);
        bool numbers = strchr(json_string_value(json_array_get(one, 1)), '6') != NULL; // i64s, f64s
        if (!shorter(key, NSP_NAME_LENGTH_MAX) || (!numbers && !shorter(value, UINT16_MAX)))
            return false;
        json_array_foreach(attributes, j,
                           other) if (j < i && json_equal(key, json_array_get(other, 0))) return false;
    }
    return true;
}

// Is everything in the span within the limits of records, once its texts are valid UTF-8 (record.h)? And has it
// no keys that differ only in bytes that are not UTF-8, which become one key?
static bool span_fits(const json_t *model)
{
    static const char *const owners[] = {"events", "links"};
    static const char *const counts[] = {"droppedAttributes", "droppedEvents", "droppedLinks"};
    bool fit = shorter(json_object_get(model, "name"), NSP_NAME_LENGTH_MAX) &&
               attributes_fit(json_object_get(model, "attributes"));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fit = fit && json_integer_value(json_object_get(model, counts[i])) <= UINT16_MAX;
    for (size_t kind = 0; kind < 2; kind++) {
        size_t i;
        json_t *owner;
        json_array_foreach(json_object_get(model, owners[kind]), i, owner)
        {
            json_t *name = json_object_get(owner, "name");
            fit = fit && (name == NULL || shorter(name, NSP_NAME_LENGTH_MAX)) &&
                  json_integer_value(json_object_get(owner, "dropped")) <= UINT16_MAX &&
                  attributes_fit(json_object_get(owner, "attributes"));
        }
    }
    return fit;
}

void coded_batch_span(generated_span *span)
{
    for (generated_span_make(span); !span_fits(span->model); generated_span_make(span))
        generated_span_free(span);
}

uint32_t coded_batch_fill(coded_batch batches[CODED_BATCH_ENCODINGS], uint32_t spans)
{
    uint32_t made = 0;
    for (bool room = true; room && made < spans;) {
        generated_span span;
        coded_batch_span(&span);
        // JSON needs more room, so what fits there fits everywhere.
        room = coded_batch_append(&batches[1], &span.built.view);
        if (room) {
            assert_true(coded_batch_append(&batches[0], &span.built.view));
            made++;
        }
        generated_span_free(&span);
    }
    return made;
}

int coded_batch_setup(void **state)
{
    (void)state;
    for (int i = 0; i < CODED_BATCH_ENCODINGS; i++)
        if (coded_batch_encodings[i]->create(&coded_batch_encoders[i], generated_context()) != NSP_OK)
            return -1;
    return 0;
}

int coded_batch_teardown(void **state)
{
    (void)state;
    for (int i = 0; i < CODED_BATCH_ENCODINGS; i++)
        coded_batch_encodings[i]->destroy(coded_batch_encoders[i]);
    return 0;
}
