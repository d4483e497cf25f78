// SPDX-License-Identifier: Apache-2.0
//
// How paths end: in each way that there is, twice, in the wrong order, on other threads, and with nobody to end them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "support/capture.h"
#include "support/ring_records.h"
#include "trace/thread_state.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    PHASE(decode, "decode") I64(size, "size") PHASE(submit, "submit") I64(fills, "fills")
NSP_PATH_DECLARE(order, "order", ORDER)

static uint64_t misused_before;

static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    rings_begin(1);
    misused_before = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_null(nsp_span_current());
    rings_end();
    return 0;
}

// How many misuses there were since the last call.
static uint64_t misused(void)
{
    const uint64_t before = misused_before;
    misused_before = rings_balance().misused;
    return misused_before - before;
}

static order *begun(void)
{
    order *path = order_begin();
    NSP_PATH_MARK(path, decode);
    path->size = 5;
    NSP_PATH_MARK(path, submit);
    return path;
}

static void assert_ended_whole(size_t number)
{
    const nsp__record *record = ring_record_number("order", number);
    assert_int_equal(nsp__record_spans(record), 3);
    const order *body = ring_body(record);
    assert_int_equal(body->size, 5);
    assert_true(record->end >= body->nsp__at_submit);
}

static void by_its_own_end(void **state)
{
    (void)state;
    order_end(begun());
    assert_ended_whole(0);
    assert_int_equal(misused(), 0);
}

// The end of the path's span ends the path; its own end then comes too late.
static void by_the_end_of_its_span(void **state)
{
    (void)state;
    order *path = begun();
    nsp_span_end(nsp_path_span(path));
    assert_ended_whole(0);
    assert_null(nsp_span_current());
    order_end(path);
    assert_int_equal(misused(), 1);
    assert_int_equal(rings_balance().attempted, 3);
}

// A sibling is an ordinary span.
static void by_a_sibling(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    order *path = begun();
    nsp_span *sibling = nsp_span_next(nsp_path_span(path), NSP_NAME("sibling"));
    assert_ended_whole(0);
    assert_ptr_equal(nsp_span_current(), sibling);
    nsp_span_set_i64(sibling, NSP_KEY("size"), 6);
    order_end(path);
    assert_int_equal(misused(), 1);
    nsp_span_end(sibling);
    nsp_span_end(root);
    const nsp__record *record = ring_record("sibling"), *before = ring_record("order");
    assert_false(nsp__record_is_path(record));
    assert_string_equal(ring_text(record, "size"), "6");
    assert_true(record->parent_id == before->parent_id && record->start == before->end);
    // That of a root is a root.
    path = begun();
    sibling = nsp_span_next(nsp_path_span(path), NSP_NAME("another"));
    nsp_span_end(sibling);
    assert_int_equal(ring_record("another")->parent_id, 0);
    assert_false(nsp__record_is_path(ring_record("another")));
    assert_int_equal(misused(), 0);
}

static void a_second_end_is_misuse(void **state)
{
    (void)state;
    order *path = begun();
    nsp_span *span = nsp_path_span(path);
    order_end(path);
    order_end(path);
    assert_int_equal(misused(), 1);
    nsp_span_end(span);
    assert_int_equal(misused(), 1);
    NSP_PATH_MARK(path, submit);
    assert_int_equal(ring_count("order"), 1);
}

static nsp_span *begin_with_tag(unsigned tag)
{
    nsp__producer *producer = nsp__producer_self();
    const uint64_t next = producer->home.slot->counters.attempted + 1;
    producer->id_base = (next << 8 | tag) - next * producer->id_step;
    nsp_span *span = nsp_span_begin(NSP_NAME("other"));
    assert_int_equal((uintptr_t)span & 255, tag);
    return span;
}

// The frame holds another span by then, whatever its handle is.
static void a_second_end_ends_no_other_span(void **state)
{
    (void)state;
    enum { SPANS = 128 }; // as many as there are tags
    for (unsigned i = 0; i < SPANS; i++) {
        order *path = begun();
        order_end(path);
        nsp_span *other = begin_with_tag(2 * i + 1);
        order_end(path);
        assert_ptr_equal(nsp_span_current(), other);
        nsp_span_end(other);
    }
    assert_int_equal(misused(), SPANS);
    assert_int_equal(ring_count("other"), SPANS);
}

// The inner one stays open, as with spans.
static void in_the_wrong_order(void **state)
{
    (void)state;
    order *outer = begun(), *inner = begun();
    order_end(outer);
    assert_int_equal(misused(), 1);
    assert_ptr_equal(nsp_span_current(), nsp_path_span(inner));
    assert_int_equal(ring_count("order"), 1);
    NSP_PATH_MARK(inner, submit);
    assert_int_equal(misused(), 1);
    order_end(inner);
    assert_int_equal(misused(), 0);
    assert_ended_whole(0);
    assert_ended_whole(1);
    outer = begun();
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    order_end(outer);
    assert_int_equal(misused(), 1);
    nsp_span_end(span);
    assert_ended_whole(2);
}

static void *end_it(void *path)
{
    order_end(path);
    return NULL;
}

static void *end_it_attached(void *path)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("its own"));
    order_end(path);
    nsp_span_end(span);
    return NULL;
}

static void on_another_thread(void **state)
{
    (void)state;
    order *path = begun();
    thread_result(end_it, path);
    assert_int_equal(misused(), 1);
    thread_result(end_it_attached, path);
    assert_int_equal(misused(), 1);
    assert_ptr_equal(nsp_span_current(), nsp_path_span(path));
    order_end(path);
    assert_ended_whole(0);
    assert_int_equal(misused(), 0);
}

static order *begun_detached(void)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = true;
    order *path = order_begin_with(&options);
    NSP_PATH_MARK(path, decode);
    path->size = 5;
    return path;
}

static void *mark_and_end(void *argument)
{
    order *path = argument;
    NSP_PATH_MARK(path, submit);
    order_end(path);
    return NULL;
}

static void detached_ones_end_anywhere(void **state)
{
    (void)state;
    order *path = begun_detached();
    assert_null(nsp_span_current());
    assert_int_equal(rings_balance().open, 1);
    thread_result(mark_and_end, path);
    assert_ended_whole(0);
    assert_int_equal(ring_record("order")->detached, 1);
    assert_int_equal(misused(), 0);
    order_end(path);
    assert_int_equal(misused(), 1);
    path = begun_detached();
    mark_and_end(path);
    assert_ended_whole(1);
    path = begun_detached();
    nsp_span_enter(nsp_path_span(path));
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    mark_and_end(path);
    assert_ended_whole(2); // that of the other thread comes last
    assert_true(ring_record("child")->parent_id ==
                nsp__path_phase_id(ring_record_number("order", 1)->span_id, 1));
    assert_int_equal(misused(), 0);
}

static void a_reset_ends_them(void **state)
{
    (void)state;
    begun();
    nsp_span_begin(NSP_NAME("between"));
    begun();
    nsp_thread_reset();
    assert_null(nsp_span_current());
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.leaked, 3);
    assert_int_equal(stats.attempted, 7);
    assert_int_equal(stats.open, 0);
    assert_ended_whole(0);
    assert_ended_whole(1);
}

static void *leave_one_open(void *argument)
{
    (void)argument;
    begun();
    return NULL;
}

static void a_threads_exit_ends_them(void **state)
{
    (void)state;
    thread_result(leave_one_open, NULL);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.leaked, 1);
    assert_int_equal(stats.attempted, 3);
    assert_ended_whole(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_its_own_end, begin, end),
        cmocka_unit_test_setup_teardown(by_the_end_of_its_span, begin, end),
        cmocka_unit_test_setup_teardown(by_a_sibling, begin, end),
        cmocka_unit_test_setup_teardown(a_second_end_is_misuse, begin, end),
        cmocka_unit_test_setup_teardown(a_second_end_ends_no_other_span, begin, end),
        cmocka_unit_test_setup_teardown(in_the_wrong_order, begin, end),
        cmocka_unit_test_setup_teardown(on_another_thread, begin, end),
        cmocka_unit_test_setup_teardown(detached_ones_end_anywhere, begin, end),
        cmocka_unit_test_setup_teardown(a_reset_ends_them, begin, end),
        cmocka_unit_test_setup_teardown(a_threads_exit_ends_them, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
