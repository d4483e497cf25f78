// SPDX-License-Identifier: Apache-2.0
//
// What an encoder has written may become something else at any moment: batches lie in shared memory, and a drainer
// fills those of other processes. So encoders write, and never go by what stands there. Two encoders get the same
// spans; whatever one of them has written is overwritten after each call, and it goes on as the other does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nanospan/exporters.h>
#include <stdlib.h>
#include <string.h>

#include "config/exporter_list.h"
#include "otlp/encoding.h"
#include "shm/batches.h"
#include "support/span_generator.h"

enum { CAPACITY = 512 * 1024, BATCHES = 12 };

typedef struct encoding_half {
    nsp_status (*create)(void **state, const nsp_exporter_context *context);
    void (*destroy)(void *state);
    void (*open)(void *state, nsp_batch *batch);
    bool (*append)(void *state, nsp_batch *batch, const nsp_span_view *view);
    void (*close)(void *state, nsp_batch *batch);
} encoding_half;

typedef struct filling {
    void *state;
    nsp_batch batch;
    size_t head, length; // before the last call
} filling;

static filling quiet, disturbed;

static void keep_places(void)
{
    quiet.head = quiet.batch.head;
    quiet.length = quiet.batch.length;
}

// Of a list: the tables, which each call writes anew, and what is in the parts since the last one.
static void compare_parts(void)
{
    static nsp__batch_part before[NSP__BATCH_PARTS_MAX];
    nsp__batch_part now[NSP__BATCH_PARTS_MAX];
    assert_memory_equal(quiet.batch.data, disturbed.batch.data, sizeof now);
    memcpy(now, quiet.batch.data, sizeof now);
    for (size_t i = 0; i < NSP__BATCH_PARTS_MAX; i++) {
        const bool longer = before[i].length < now[i].length && before[i].length > now[i].head;
        const size_t from = now[i].offset + (longer ? before[i].length : now[i].length);
        assert_memory_equal(quiet.batch.data + from, disturbed.batch.data + from,
                            now[i].offset + now[i].length - from);
    }
    memcpy(before, now, sizeof before);
}

// The same has happened in both, and what is new is the same.
static void compare(void)
{
    if (quiet.batch.encoding == NSP_ENCODING_LIST && disturbed.batch.encoding == NSP_ENCODING_LIST) {
        assert_int_equal(quiet.batch.length, disturbed.batch.length);
        compare_parts();
        return;
    }
    const nsp_batch *a = &quiet.batch, *b = &disturbed.batch;
    assert_int_equal(a->head, b->head);
    assert_int_equal(a->length, b->length);
    assert_int_equal(a->encoding, b->encoding);
    const size_t from = quiet.length > a->head ? quiet.length : a->head; // what open reserves is not written
    assert_memory_equal(a->data + from, b->data + from, a->length - from);
    if (a->head < quiet.head)
        assert_memory_equal(a->data + a->head, b->data + a->head, quiet.head - a->head);
}

static void overwrite(unsigned turn)
{
    static const uint8_t values[] = {0xff, 0x00, 0x80, 0x7f, '"', '{', 0x12};
    memset(disturbed.batch.data, values[turn % sizeof values], CAPACITY);
}

static void open_batch(const encoding_half *half, filling *one)
{
    one->batch.head = one->batch.length = 0;
    one->batch.encoding = NSP_ENCODING_OWN;
    if (half->open != NULL)
        half->open(one->state, &one->batch);
}

// Returns how many spans fit.
static unsigned fill(const encoding_half *half, unsigned turn)
{
    quiet.head = quiet.length = 0;
    open_batch(half, &quiet);
    open_batch(half, &disturbed);
    unsigned spans = 0;
    for (bool fits = true; fits; spans += fits) {
        generated_span span;
        compare();
        overwrite(turn + spans);
        keep_places();
        generated_span_make(&span);
        fits = half->append(quiet.state, &quiet.batch, &span.built.view);
        assert_int_equal(half->append(disturbed.state, &disturbed.batch, &span.built.view), fits);
        generated_span_free(&span);
    }
    if (half->close != NULL) {
        half->close(quiet.state, &quiet.batch);
        half->close(disturbed.state, &disturbed.batch);
        compare();
    }
    return spans;
}

static nsp_config list_config = {.size = sizeof list_config,
                                 .exporter = "otlp,console,file",
                                 .endpoint = "http://127.0.0.1:1",
                                 .insecure = true,
                                 .export_timeout_ns = 1000000000,
                                 .file = "/dev/null",
                                 .batch_bytes = CAPACITY};

static nsp_exporter_context context_of_list(void)
{
    static const int cancel;
    nsp_exporter_context context = *generated_context();
    context.config = &list_config;
    context.cancel = &cancel;
    return context;
}

static filling make(const encoding_half *half)
{
    filling made = {.batch = {.data = malloc(CAPACITY), .capacity = CAPACITY}};
    assert_non_null(made.batch.data);
    memset(made.batch.data, 0, CAPACITY);
    const nsp_exporter_context listed = context_of_list();
    assert_int_equal(
        half->create(&made.state, half->open == nsp__exporter_list.open ? &listed : generated_context()),
        NSP_OK);
    return made;
}

static void discard(const encoding_half *half, filling *made)
{
    half->destroy(made->state);
    free(made->batch.data);
}

static void goes_on(const encoding_half *half)
{
    unsigned spans = 0;
    quiet = make(half);
    disturbed = make(half);
    for (unsigned i = 0; i < BATCHES; i++)
        spans += fill(half, i);
    assert_true(spans > 10 * BATCHES);
    discard(half, &quiet);
    discard(half, &disturbed);
}

static encoding_half of_otlp(const nsp__otlp_encoding *encoding)
{
    return (encoding_half){encoding->create, encoding->destroy, encoding->open, encoding->append,
                           encoding->close};
}

static void protobuf_goes_on(void **state)
{
    (void)state;
    const encoding_half half = of_otlp(&nsp__otlp_protobuf);
    goes_on(&half);
}

static void json_goes_on(void **state)
{
    (void)state;
    const encoding_half half = of_otlp(&nsp__otlp_json);
    goes_on(&half);
}

static void console_goes_on(void **state)
{
    (void)state;
    const nsp_exporter *console = nsp_exporter_builtin("console");
    const encoding_half half = {console->create, console->destroy, console->open, console->append,
                                console->close};
    goes_on(&half);
}

static void list_goes_on(void **state)
{
    (void)state;
    const nsp_exporter *list = &nsp__exporter_list;
    const encoding_half half = {list->create, list->destroy, list->open, list->append, list->close};
    goes_on(&half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_goes_on), cmocka_unit_test(json_goes_on), cmocka_unit_test(list_goes_on),
        cmocka_unit_test(console_goes_on), // of the exporters: `otlp` and `file` have the encodings above
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
