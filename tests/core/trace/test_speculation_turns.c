// SPDX-License-Identifier: Apache-2.0
//
// Speculative traces among what happens around them: spans that end while they are entered, rules that change, times
// out of order, names without room, and handlers that end what they interrupt.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <nanospan/latency.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/ruled_trace.h"
#include "trace/speculation.h"

static void rules(const char *text)
{
    assert_int_equal(nsp_outlier_set_rules(text), NSP_OK);
}

static nsp_span *root_named(nsp_name name)
{
    return nsp_span_begin_at(name, ruled_now);
}

static nsp_span *detached_named(nsp_name name)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.start = ruled_now;
    options.new_root = true;
    return nsp_span_begin_detached(name, &options);
}

static void *end_it(void *span)
{
    nsp_span_end(span);
    return NULL;
}

static void end_on_another_thread(nsp_span *span)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_it, span), 0);
    pthread_join(thread, NULL);
}

// The root that was begun before is slow or not; the child after the entered span is its.
static void child_then_end(nsp_span *root, bool slow)
{
    nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
    assert_true(nsp_span_recording(child));
    nsp_span_end_at(child, ruled_after(10));
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end_at(root, ruled_after(slow ? SLOW_NS : SLOW_NS - 1));
    capture_settle();
    assert_int_equal(capture_count_named("child"), slow);
    assert_int_equal(capture_count_named("order"), slow);
    assert_int_equal(ruled_stats().misused, 0);
}

// A sampled trace lies on top of the entered span when that ends, and ends after it.
static void an_entered_span_ends_below_another_trace(void **state)
{
    (void)state;
    nsp_context sampled;
    assert_int_equal(
        nsp_context_parse(&sampled, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", NULL), NSP_OK);
    static const char *const texts[] = {"order: slower=1ms",
                                        "*: slower=1ms"}; // the entered one is inert, or ruled
    for (int i = 0; i < 4; i++) {
        rules(texts[i % 2]);
        const bool slow = i >= 2;
        nsp_span *other = detached_named(NSP_NAME("other"));
        assert_int_equal(nsp_span_recording(other), i % 2);
        nsp_span *root = root_named(NSP_NAME("order"));
        nsp_span_enter(other);
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.parent = &sampled;
        nsp_span *request = nsp_span_begin_with(NSP_NAME("request"), &options);
        assert_true(nsp_span_recording(request));
        nsp_span_end_at(other, ruled_after(10));
        assert_ptr_equal(nsp_span_current(), request);
        nsp_span_end(request);
        assert_ptr_equal(nsp_span_current(), root);
        nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
        nsp_span_end_at(child, ruled_after(10));
        nsp_span_end_at(root, ruled_after(slow ? SLOW_NS : SLOW_NS - 1));
        capture_settle();
        assert_int_equal(capture_count_named("child"), slow ? i - 1 : 0);
        assert_int_equal(capture_count_named("order"), slow ? i - 1 : 0);
        assert_int_equal(ruled_stats().misused, 0);
    }
}

static void an_inert_span_ends_elsewhere_while_entered(void **state)
{
    (void)state;
    rules("order: slower=1ms");
    for (int slow = 0; slow < 2; slow++) {
        nsp_span *other = detached_named(NSP_NAME("other"));
        assert_false(nsp_span_recording(other));
        nsp_span *root = root_named(NSP_NAME("order"));
        nsp_span_enter(other);
        end_on_another_thread(other);
        child_then_end(root, slow != 0);
    }
}

static void an_order_ends_elsewhere_while_entered(void **state)
{
    (void)state;
    rules("*: slower=1ms");
    for (int slow = 0; slow < 2; slow++) {
        nsp_span *other = detached_named(NSP_NAME("other"));
        assert_true(nsp_span_recording(other));
        nsp_span *root = root_named(NSP_NAME("order"));
        nsp_span_enter(other);
        nsp__frame_of(other)->record.start = nsp_now();
        end_on_another_thread(other);
        child_then_end(root, slow != 0);
    }
}

// ---- rules that change ----

static void *end_slowly(void *span)
{
    nsp_span_end_at(span, ruled_after(SLOW_NS));
    return NULL;
}

static sem_t attached, go;
static nsp_span *order;

static void *only_ends(void *nothing)
{
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    sem_post(&attached);
    sem_wait(&go);
    end_slowly(order);
    return nothing;
}

static void a_thread_that_only_ends_orders_knows_the_rules(void **state)
{
    (void)state;
    sem_init(&attached, 0, 0);
    sem_init(&go, 0, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, only_ends, NULL), 0);
    sem_wait(&attached);
    rules("order: slower=1ms");
    order = detached_named(NSP_NAME("order"));
    assert_true(nsp_span_recording(order));
    sem_post(&go);
    pthread_join(thread, NULL);
    capture_settle();
    assert_int_equal(capture_count_named("order"), 1);
    nsp_latency latency = NSP_LATENCY_INIT;
    assert_int_equal(nsp_latency_get("order", &latency), NSP_OK);
}

static void an_open_root_keeps_its_rule(void **state)
{
    (void)state;
    rules("order: slower=1ms");
    nsp_span *root = root_named(NSP_NAME("order"));
    rules("quote: slower=1ns; order: slower=1ms");
    nsp_span_end(detached_named(NSP_NAME("order"))); // the thread meets the new rules
    nsp_span_end(detached_named(NSP_NAME("quote")));
    capture_settle();
    const size_t before = capture_count_named("order");
    nsp_span_end_at(root, ruled_after(SLOW_NS - 1));
    capture_settle();
    assert_int_equal(capture_count_named("order"), before);
}

static void a_limit_holds_where_times_are_not_in_order(void **state)
{
    (void)state;
    rules("order: slower=1us, limit=10/s");
    for (int i = 0; i < 1000; i++) { // two queues, of which one is a little behind
        nsp_span *root = root_named(NSP_NAME("order"));
        nsp_span_end_at(root, ruled_after(SLOW_NS + i * 100 - (i % 2) * 5000));
    }
    capture_settle();
    assert_in_range(capture_count_named("order"), 10, 11);
}

// ---- percentiles ----

static void times_run_backwards(void **state)
{
    (void)state;
    rules("order: errors");
    nsp_span_end_at(root_named(NSP_NAME("order")), ruled_after(1000));
    nsp_span_end_at(root_named(NSP_NAME("order")), ruled_after(-1000));
    nsp_span_end_at(root_named(NSP_NAME("order")), ruled_after(-1000));
    nsp_latency latency = NSP_LATENCY_INIT;
    assert_int_equal(nsp_latency_get("order", &latency), NSP_OK);
    assert_int_equal(latency.count, 3);
    assert_in_range(latency.sum_ns, 900, 1100);
}

static void a_root_of_no_name_is_nobody_elses(void **state)
{
    (void)state;
    rules("*: measure");
    for (int i = 0; i < 5; i++)
        nsp_span_end_at(root_named(0), ruled_after(1000));
    for (int i = 0; i < 3; i++)
        nsp_span_end_at(root_named(NSP_NAME("order")), ruled_after(1000));
    for (int i = 0; i < 5; i++)
        nsp_span_end_at(root_named(0), ruled_after(1000));
    nsp_latency latency = NSP_LATENCY_INIT;
    assert_int_equal(nsp_latency_get("order", &latency), NSP_OK);
    assert_int_equal(latency.count, 3);
    nsp_name bad = 60000;
    nsp_span_end_at(root_named(bad), ruled_after(1000));
    assert_int_equal(nsp_latency_get("order2", &latency), NSP_ERR_NOT_FOUND);
}

// ---- room ----

static void fill(nsp_span *root)
{
    char value[2000];
    memset(value, 'x', sizeof value);
    for (int i = 0; i < 300; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        nsp_span_set_strn(root, nsp_intern(key, strlen(key)), value, (size_t)(i * 7 % 100));
    }
    for (int i = 0; i < 40; i++)
        nsp_span_set_i64(root, NSP_NAME("i"), i);
    nsp_span_add_event(root, NSP_NAME("e"));
}

static void a_full_root_says_why_it_is_kept(void **state)
{
    (void)state;
    rules("*: slower=1ms");
    nsp_span *root = root_named(NSP_NAME("order"));
    fill(root);
    for (int i = 0; i < 3000; i++) {
        nsp_span *child = nsp_span_begin(NSP_NAME("child"));
        nsp_span_end(child);
    }
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    nsp_span *apart = detached_named(NSP_NAME("apart"));
    fill(apart);
    nsp_span_enter(apart);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_leave(apart);
    nsp_span_end_at(apart, ruled_after(SLOW_NS));
    capture_settle();
    for (int i = 0; i < 2; i++) {
        const captured_span *span = capture_named(i == 0 ? "order" : "apart");
        assert_true(span->dropped_attributes != 0);
        printf("%s: kept %s left_out %s dropped %u\n", span->name, captured_text(span, "nanospan.kept"),
               captured_text(span, "nanospan.left_out"), span->dropped_attributes);
        assert_non_null(captured_text(span, "nanospan.kept"));
        assert_non_null(captured_text(span, "nanospan.left_out"));
    }
}

// ---- handlers ----

static nsp_span *interrupted_root;
static const char *stop_at;

static void end_the_root(const char *place)
{
    if (strcmp(place, stop_at) != 0)
        return;
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    nsp_span_end(interrupted_root);
}

static void a_handler_ends_what_it_interrupts(void **state)
{
    (void)state;
    static const char *const places[] = {"begin: no tag yet", "commit: position noted"};
    rules("order: slower=1ms");
    for (size_t i = 0; i < 2; i++) {
        stop_at = places[i];
        interrupted_root = root_named(NSP_NAME("order"));
        __atomic_store_n(&nsp__testpoint_hook, end_the_root, __ATOMIC_RELEASE);
        nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
        nsp_span_end_at(child, ruled_after(10));
        assert_null(nsp__testpoint_hook);
        nsp_span_end_at(nsp_span_begin_at(NSP_NAME("child"), ruled_now), ruled_after(10));
        assert_ptr_equal(nsp_span_current(), interrupted_root);
        nsp_span_end_at(interrupted_root, ruled_after(10));
        capture_settle();
        nsp_stats now = ruled_stats();
        assert_int_equal(now.misused, i + 1); // it could not be ended then
        assert_int_equal(capture_count(), 0);
        assert_int_equal(now.attempted, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULED_TEST(an_inert_span_ends_elsewhere_while_entered),
        RULED_TEST(an_entered_span_ends_below_another_trace),
        RULED_TEST(an_order_ends_elsewhere_while_entered),
        RULED_TEST(a_thread_that_only_ends_orders_knows_the_rules),
        RULED_TEST(an_open_root_keeps_its_rule),
        RULED_TEST(a_limit_holds_where_times_are_not_in_order),
        RULED_TEST(times_run_backwards),
        RULED_TEST(a_root_of_no_name_is_nobody_elses),
        RULED_TEST(a_full_root_says_why_it_is_kept),
        RULED_TEST(a_handler_ends_what_it_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
