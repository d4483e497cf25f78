// SPDX-License-Identifier: Apache-2.0
//
// Which parent a span gets if the intended parent was ended by another thread and its frame is in use again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "support/capture.h"
#include "trace/thread_state.h"

// A pool of one place, so the next detached span always reuses the frame of the one that ended.
static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    nsp_config config;
    capture_config(&config);
    config.detached_spans = 1;
    config.ring_bytes = 256 * 1024;
    capture_start(&config);
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    return 0;
}

static nsp_span *another;

static void *end_and_begin_another(void *span)
{
    nsp_span_end(span);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    another = nsp_span_begin_detached(NSP_NAME("another trace"), &options);
    assert_ptr_equal(nsp__frame_of(another), nsp__frame_of(span));
    return NULL;
}

static void *end_it(void *span)
{
    nsp_span_end(span);
    return NULL;
}

static void on_a_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, argument), 0);
    pthread_join(thread, NULL);
}

// Ends the span on another thread; another trace then uses its frame. Seven bits of the handle tell the two
// apart, so one time in 128 this takes a second try.
static void replace(nsp_span *span)
{
    do
        on_a_thread(end_and_begin_another, span);
    while (another == span);
}

static bool is_root(const captured_span *span)
{
    static const uint8_t none[NSP_SPAN_ID_SIZE];
    return memcmp(span->parent_id, none, sizeof none) == 0;
}

static void with_nothing_below_it_is_a_root(void **state)
{
    (void)state;
    nsp_span *order = nsp_span_begin_detached(NSP_NAME("order"), NULL);
    nsp_span_enter(order);
    nsp_span_enter(order);
    replace(order);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_end(nsp_span_begin(NSP_NAME("grandchild")));
    nsp_span_end(child);
    nsp_span_leave(order);
    nsp_span_leave(order);
    assert_null(nsp_span_current());
    nsp_span_end(another);

    capture_settle();
    const captured_span *got = capture_named("child");
    assert_true(is_root(got));
    assert_memory_not_equal(got->trace_id, capture_named("another trace")->trace_id, NSP_TRACE_ID_SIZE);
    assert_true(captured_child_of(capture_named("grandchild"), got));
    assert_int_equal(capture_balance().misused, 0);
}

static void else_it_is_a_child_of_what_was_current_before(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *order = nsp_span_begin_detached(NSP_NAME("order"), NULL);
    nsp_span_enter(order);
    nsp_span *within = nsp_span_begin(NSP_NAME("within"));
    replace(order);
    nsp_span_end(nsp_span_begin(NSP_NAME("child of an open one")));
    nsp_span_end(within);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_leave(order);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end(root);
    nsp_span_end(another);

    capture_settle();
    assert_true(captured_child_of(capture_named("child of an open one"), capture_named("within")));
    assert_true(captured_child_of(capture_named("child"), capture_named("root")));
    assert_int_equal(capture_balance().misused, 0);
}

static void the_context_is_that_of_what_is_current(void **state)
{
    (void)state;
    nsp_context of_root, current;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *order = nsp_span_begin_detached(NSP_NAME("order"), NULL);
    nsp_span_enter(order);
    replace(order);
    nsp_span_context(root, &of_root);
    nsp_span_context(NULL, &current);
    assert_memory_equal(&current, &of_root, sizeof current);
    nsp_span_leave(order);
    nsp_span_end(root);
    nsp_span_end(another);
}

static void a_detached_child_too(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *order = nsp_span_begin_detached(NSP_NAME("order"), NULL);
    nsp_span_enter(order);
    replace(order);
    nsp_span_end(another); // frees the only place
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("child"), NULL));
    nsp_span_leave(order);
    nsp_span_end(root);

    capture_settle();
    assert_true(captured_child_of(capture_named("child"), capture_named("root")));
    assert_int_equal(capture_balance().misused, 0);
}

static void under_an_unsampled_one_that_ended_too(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rule("order", 0), NSP_OK);
    nsp_span *order = nsp_span_begin_detached(NSP_NAME("order"), NULL);
    assert_false(nsp_span_recording(order));
    nsp_span_enter(order);
    on_a_thread(end_it, order);
    nsp_span *span = nsp_span_begin(NSP_NAME("a root"));
    assert_true(nsp_span_recording(span));
    nsp_span_end(span);
    nsp_span_leave(order);
    assert_null(nsp_span_current());
    assert_int_equal(capture_balance().misused, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(with_nothing_below_it_is_a_root),        TEST(else_it_is_a_child_of_what_was_current_before),
        TEST(the_context_is_that_of_what_is_current), TEST(a_detached_child_too),
        TEST(under_an_unsampled_one_that_ended_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
