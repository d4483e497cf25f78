// SPDX-License-Identifier: Apache-2.0
//
// Paths through a collector: no batch has a part of one, none has more spans than it may have, and whatever is not sent
// is counted with all of its spans.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "drain/path_plan.h"
#include "support/scripted.h"
#include "trace/trace_state.h"

#define SECOND 1000000000ull

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    I64(number, "number")                                                                                    \
    PHASE(decode, "decode")                                                                                  \
    PHASE(check, "check")                                                                                    \
    STR(note, 200, "note")                                                                                   \
    PHASE(submit, "submit")
NSP_PATH_DECLARE(order_path, "order", ORDER)
enum { SPANS = 4 };

static void record_paths(unsigned paths, unsigned note)
{
    char text[200];
    memset(text, 'x', sizeof text);
    for (unsigned i = 0; i < paths; i++) {
        order_path *path = order_path_begin();
        path->number = i;
        NSP_PATH_MARK(path, decode);
        NSP_PATH_MARK(path, check);
        NSP_PATH_STR(path, note, text, note);
        NSP_PATH_MARK(path, submit);
        order_path_end(path);
    }
}

static void record_spans(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

// ---- batches ----

// Written on the sender's thread, read after a flush.
static struct {
    unsigned batches, largest, torn;
} seen;

// In each batch, the phases of a path come right before it: the spans of other traces have no parent.
static scripted_verdict look_at(void *context, const nsp_batch *batch)
{
    (void)context;
    uint64_t phases = 0, parent = 0;
    seen.batches++;
    seen.largest = batch->spans > seen.largest ? batch->spans : seen.largest;
    for (size_t at = batch->head; at < batch->length; at += sizeof(tally_span)) {
        tally_span span;
        memcpy(&span, batch->data + at, sizeof span);
        if (span.parent_id != 0) {
            seen.torn += phases != 0 && span.parent_id != parent;
            parent = span.parent_id;
            phases++;
            continue;
        }
        seen.torn += phases != 0 && (phases != SPANS - 1 || span.span_id != parent);
        phases = 0;
    }
    seen.torn += phases != 0 || (batch->length - batch->head) / sizeof(tally_span) != batch->spans;
    return (scripted_verdict){NSP_SEND_EXPORTED, true, 0};
}

static void start(uint32_t batch_spans)
{
    nsp_config config;
    script_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.batch_spans = batch_spans;
    config.batch_bytes = 64 * 1024;
    config.batches = 64;
    config.schedule_delay_ns = 3600 * SECOND;
    script.answer = look_at;
    memset(&seen, 0, sizeof seen);
    if (nsp_init(&config) != NSP_OK)
        fail_msg("nsp_init: %s", nsp_error_detail());
}

static nsp_stats flushed(void)
{
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(seen.torn, 0);
    return script_balance();
}

static int setup(void **state)
{
    (void)state;
    script_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nsp_shutdown(SECOND);
    return 0;
}

static void a_batch_of_so_many_spans(void **state)
{
    (void)state;
    start(10);
    for (unsigned i = 0; i < 20; i++) {
        record_paths(3, 5);
        record_spans(i % 4);
    }
    assert_true(nsp_do_work(SIZE_MAX) == 60 * SPANS + 30);
    const nsp_stats stats = flushed();
    assert_int_equal(stats.exported, 60 * SPANS + 30);
    assert_int_equal(tally_orphans(script.tally), 0);
    assert_true(seen.largest <= 10 && seen.batches >= 27);
}

// It has a batch of its own.
static void a_path_of_more_spans_than_a_batch(void **state)
{
    (void)state;
    start(3);
    for (unsigned i = 0; i < 10; i++) {
        record_spans(1);
        record_paths(1, 5);
    }
    const nsp_stats stats = flushed();
    assert_int_equal(stats.exported, 10 * (SPANS + 1));
    assert_int_equal(seen.largest, SPANS);
    assert_int_equal(seen.batches, 20);
}

// What does not fit by its bytes is taken back, wherever in the path that is.
static void a_batch_of_so_many_bytes(void **state)
{
    (void)state;
    enum { FIT = 64 * 1024 / sizeof(tally_span) };
    for (unsigned before = 0; before < SPANS; before++) {
        script_reset();
        start(100000);
        record_spans(before);
        for (unsigned i = 0; i < 10; i++) { // the ring does not hold all of them at once
            record_paths(100, 5);
            assert_true(nsp_do_work(SIZE_MAX) != 0);
        }
        const nsp_stats stats = flushed();
        assert_int_equal(stats.exported, 1000 * SPANS + before);
        assert_int_equal(stats.discarded, 0);
        const unsigned first = before + (FIT - before) / SPANS * SPANS, others = FIT / SPANS * SPANS;
        assert_int_equal(seen.largest, first > others ? first : others);
        assert_int_equal(tally_repeats(script.tally), 0);
        nsp_shutdown(SECOND);
    }
}

// A phase with a long text is refused even by an empty batch.
static void too_big_for_a_batch(void **state)
{
    (void)state;
    script.items_max = 100;
    start(100);
    record_paths(5, 10);
    record_paths(3, 150);
    record_paths(2, 10);
    const nsp_stats stats = flushed();
    assert_int_equal(stats.exported, 7 * SPANS);
    assert_int_equal(stats.discarded, 3 * SPANS);
    assert_int_equal(script_lines_with("discarded 12 spans too big"), 1);
}

static void a_budget(void **state)
{
    (void)state;
    start(100);
    record_paths(3, 5);
    record_spans(2);
    assert_int_equal(nsp_do_work(1), SPANS); // a path is taken out as a whole
    assert_int_equal(nsp_do_work(SPANS + 1), 2 * SPANS);
    assert_int_equal(nsp_do_work(1), 1);
    assert_int_equal(nsp_do_work(5), 1);
    assert_int_equal(nsp_do_work(5), 0);
    assert_int_equal(flushed().exported, 3 * SPANS + 2);
}

// ---- declarations that are not what they were ----

static void a_damaged_declaration(void **state)
{
    (void)state;
    start(100);
    record_paths(1, 5); // declares it
    nsp__paths *paths = &nsp__trace_state.control->paths;
    const uint32_t number = paths->count;
    assert_true(number >= 1 && number <= NSP__PATHS_MAX);
    paths->path[number - 1].phase_names[0]++;
    record_paths(9, 5);
    record_spans(5);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    const nsp_stats stats = script_balance();
    assert_int_equal(stats.attempted, 10 * SPANS + 5);
    assert_int_equal(stats.exported, 10 + 5);
    assert_int_equal(stats.dropped_invalid, 10 * (SPANS - 1));
    assert_int_equal(script_lines_with("the declaration of the path order"), 1);
    paths->path[number - 1].phase_names[0]--;
}

// What no exporter takes is discarded with all of its spans.
static void discarded_at_the_end(void **state)
{
    (void)state;
    start(100);
    record_paths(7, 5);
    record_spans(1);
    script.stalled = true;
    nsp_shutdown(1);
    const nsp_stats stats = script_balance();
    assert_int_equal(stats.attempted, 7 * SPANS + 1);
    assert_int_equal(stats.discarded + stats.unconfirmed + stats.exported, 7 * SPANS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_batch_of_so_many_spans, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_of_more_spans_than_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_of_so_many_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(too_big_for_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(discarded_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_declaration, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
