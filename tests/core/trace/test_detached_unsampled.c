// SPDX-License-Identifier: Apache-2.0
//
// Unsampled detached spans keep an identity and take no place from spans that record.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "support/capture.h"
#include "trace/thread_state.h"

enum { PLACES = 4, MANY = 50 };

static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    nsp_config config;
    capture_config(&config);
    config.detached_spans = PLACES;
    config.ring_bytes = 256 * 1024;
    capture_start(&config);
    assert_int_equal(nsp_sampler_set_rule("left out", 0), NSP_OK);
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    return 0;
}

static nsp_span *begin_left_out(const nsp_context *parent)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = parent;
    options.new_root = parent == NULL;
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("left out"), &options);
    assert_false(nsp_span_recording(span));
    assert_non_null(span);
    return span;
}

static void check_that_the_pool_is_free(void)
{
    nsp_span *recorded[PLACES];
    for (size_t i = 0; i < PLACES; i++) {
        recorded[i] = nsp_span_begin_detached(NSP_NAME("recorded"), NULL);
        assert_true(nsp_span_recording(recorded[i]));
    }
    for (size_t i = 0; i < PLACES; i++)
        nsp_span_end(recorded[i]);
}

static void check_counters(uint64_t attempted)
{
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.attempted, attempted);
    assert_int_equal(stats.exported, attempted);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.misused, 0);
}

static void they_take_no_place_and_are_not_dropped(void **state)
{
    (void)state;
    nsp_span *spans[MANY];
    for (size_t i = 0; i < MANY; i++)
        spans[i] = begin_left_out(NULL);
    check_that_the_pool_is_free();
    for (size_t i = 0; i < MANY; i++) {
        nsp_span_set_i64(spans[i], NSP_KEY("k"), 1);
        nsp_span_enter(spans[i]);
        assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("inert"))));
        nsp_span_leave(spans[i]);
        nsp_span_end(spans[i]);
    }
    assert_null(nsp_span_current());
    check_counters(PLACES);
}

static void children_of_unsampled_spans_neither(void **state)
{
    (void)state;
    nsp_context parent = {{1}, {1}, 0, true, 0, NSP_CONTEXT_UNKNOWN, NSP_CONTEXT_UNKNOWN, 0, ""};
    nsp_span *root = nsp_span_begin(NSP_NAME("left out"));
    assert_false(nsp_span_recording(root));
    nsp_span *spans[2 * MANY];
    for (size_t i = 0; i < MANY; i++) {
        spans[2 * i] = nsp_span_begin_detached(NSP_NAME("child"), NULL);
        assert_false(nsp_span_recording(spans[2 * i]));
        spans[2 * i + 1] = begin_left_out(&parent);
    }
    nsp_span_end(root);
    check_that_the_pool_is_free();
    for (size_t i = 0; i < 2 * MANY; i++)
        nsp_span_end(spans[i]);
    check_counters(PLACES);
}

typedef struct journey {
    nsp_span *span;
    nsp_context context;
} journey;

static void *end_elsewhere(void *argument)
{
    journey *journeys = argument;
    nsp_context context;
    for (size_t i = 0; i < PLACES; i++) {
        nsp_span_context(journeys[i].span, &context);
        assert_memory_equal(&context, &journeys[i].context, sizeof context);
        nsp_span_end(journeys[i].span);
    }
    return NULL;
}

// As many unsampled spans as there are places keep their trace, ids and tracestate, repeatedly.
static void they_keep_their_identity(void **state)
{
    (void)state;
    nsp_context parent;
    const char list[] = "vendor=something-of-theirs";
    assert_int_equal(
        nsp_context_parse(&parent, "00-00000000000000000000000000000001-0000000000000002-00", list), NSP_OK);
    for (int round = 0; round < 20; round++) {
        journey journeys[PLACES];
        for (size_t i = 0; i < PLACES; i++) {
            journeys[i].span = begin_left_out(i % 2 == 0 ? &parent : NULL);
            nsp_span_context(journeys[i].span, &journeys[i].context);
            assert_true(nsp_context_valid(&journeys[i].context));
            assert_int_equal(journeys[i].context.tracestate_length, i % 2 == 0 ? strlen(list) : 0);
            for (size_t k = 0; k < i; k++)
                assert_memory_not_equal(journeys[i].context.span_id, journeys[k].context.span_id,
                                        NSP_SPAN_ID_SIZE);
        }
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, end_elsewhere, journeys), 0);
        pthread_join(thread, NULL);
    }
    check_counters(0);
}

static void the_next_of_one_is_another_trace(void **state)
{
    (void)state;
    nsp_context first, second;
    nsp_span *span = begin_left_out(NULL);
    nsp_span_context(span, &first);
    span = nsp_span_next(span, NSP_NAME("left out"));
    nsp_span_context(span, &second);
    assert_true(nsp_context_valid(&second));
    assert_memory_not_equal(first.trace_id, second.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span_end(span);
    nsp_span_end(span); // misuse, which is counted
    assert_int_equal(capture_balance().misused, 1);
}

static void of_a_session_that_ended_they_are_nothing(void **state)
{
    nsp_span *span = begin_left_out(NULL);
    assert_int_equal(nsp_shutdown(1000000000), NSP_OK);
    nsp_context context;
    nsp_span_context(span, &context);
    assert_false(nsp_context_valid(&context));
    capture_forget();
    begin(state);
    nsp_span_end(span);
    check_that_the_pool_is_free();
    check_counters(PLACES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(they_take_no_place_and_are_not_dropped),
        TEST(children_of_unsampled_spans_neither),
        TEST(they_keep_their_identity),
        TEST(the_next_of_one_is_another_trace),
        TEST(of_a_session_that_ended_they_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
