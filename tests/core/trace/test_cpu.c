// SPDX-License-Identifier: Apache-2.0
//
// Local roots say on which CPUs they began and ended. What the kernel says is replaced by numbers of the test's own,
// except where its own numbers are what is tested.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <nanospan/outlier.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/capture.h"
#include "trace/cpu.h"

static uint32_t here = 3;

static void start(bool wanted)
{
    nsp_config config;
    capture_config(&config);
    config.cpu_numbers = wanted;
    config.sample_rate = 1;
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    if (wanted)
        nsp__producer_self()->cpu = &here;
    here = 3;
}

static int begin(void **state)
{
    (void)state;
    start(true);
    return 0;
}

static int end(void **state)
{
    capture_end();
    return capture_teardown(state);
}

// number, end: NULL stands for no such attribute.
static void assert_cpus(const char *name, const char *number, const char *last, bool moved)
{
    const captured_span *span = capture_named(name);
    const char *const keys[] = {"cpu.logical_number", "nanospan.cpu.end", "nanospan.cpu.moved"};
    const char *const expected[] = {number, last, moved ? "true" : NULL};
    for (int i = 0; i < 3; i++) {
        const char *text = captured_text(span, keys[i]);
        if (expected[i] == NULL)
            assert_null(text);
        else
            assert_string_equal(text != NULL ? text : "(none)", expected[i]);
        if (text != NULL && i < 2)
            assert_int_equal(captured_attribute_of(span, keys[i])->type, NSP_TYPE_I64);
    }
}

static void roots_say_it_and_children_do_not(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_set_i64(root, NSP_NAME("id"), 1);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    here = 5;
    nsp_span_end(child);
    here = 3;
    nsp_span_end(root);
    capture_settle();
    assert_cpus("root", "3", NULL, false);
    assert_cpus("child", NULL, NULL, false);
    assert_string_equal(captured_text(capture_named("root"), "id"), "1");
}

static void moved_roots_say_both(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("moved"));
    here = 65534; // the largest that is known
    nsp_span_end(root);
    capture_settle();
    assert_cpus("moved", "3", "65534", true);
}

static void nothing_is_said_of_what_is_not_known(void **state)
{
    (void)state;
    nsp_span *began = nsp_span_begin(NSP_NAME("began"));
    here = UINT32_MAX;
    nsp_span_end(began);
    nsp_span *ended = nsp_span_begin(NSP_NAME("ended"));
    here = 3;
    nsp_span_end(ended);
    here = UINT32_MAX - 1; // a registration that has failed
    nsp_span_end(nsp_span_begin(NSP_NAME("neither")));
    capture_settle();
    assert_cpus("began", NULL, NULL, false);
    assert_cpus("ended", NULL, NULL, false);
    assert_int_equal(capture_named("neither")->attribute_count, 0);
}

// A frame remembers the root that was in it before.
static void only_local_roots_say_it(void **state)
{
    (void)state;
    nsp_context context;
    nsp_span *root = nsp_span_begin(NSP_NAME("first"));
    nsp_span_context(root, &context);
    nsp_span_end(root);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &context;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("local child"), &options));
    context.remote = true;
    context.local_root = 0;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("remote child"), &options));
    capture_settle();
    assert_cpus("local child", NULL, NULL, false);
    assert_cpus("remote child", "3", NULL, false);
}

static void siblings_and_roots_that_end_late(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("one"));
    root = nsp_span_next(root, NSP_NAME("two"));
    here = 4;
    root = nsp_span_next(root, NSP_NAME("three"));
    nsp_span *child = nsp_span_begin(NSP_NAME("left open"));
    nsp_span_end(root);
    nsp_span_end(child);
    capture_settle();
    assert_cpus("one", "3", NULL, false);
    assert_cpus("two", "3", "4", true);
    assert_cpus("three", "4", NULL, false);
    assert_cpus("left open", NULL, NULL, false);
}

// What is written has room behind all that the program sets, whatever was dropped.
static void there_is_room_in_a_full_record(void **state)
{
    (void)state;
    char text[512];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    nsp_name keys[30];
    for (int i = 0; i < 30; i++) {
        char key[16];
        keys[i] = nsp_intern(key, (size_t)snprintf(key, sizeof key, "text %d", i));
    }
    for (uint32_t size = 1; size < 200; size += 7) {
        nsp_span *root = nsp_span_begin(NSP_NAME("full"));
        for (int i = 0; i < 30; i++)
            nsp_span_set_str(root, keys[i], text + size);
        here = size % 2 ? 3 : 7;
        nsp_span_end(root);
        here = 3;
    }
    capture_settle();
    for (size_t i = 0; i < capture_count(); i++) {
        const char *number = captured_text(capture_at(i), "cpu.logical_number");
        assert_string_equal(number != NULL ? number : "(none)", "3");
        assert_int_not_equal(capture_at(i)->dropped_attributes, 0);
    }
}

static void *end_it(void *span)
{
    static uint32_t there = 9;
    nsp_thread_attach(NULL);
    nsp__producer_self()->cpu = &there;
    nsp_span_end(span);
    return NULL;
}

static void detached_roots_do_not_say_that_a_thread_moved(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("handed over"), NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_it, span), 0);
    pthread_join(thread, NULL);
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("stayed"), NULL));
    capture_settle();
    assert_cpus("handed over", "3", "9", false);
    assert_cpus("stayed", "3", NULL, false);
}

static void kept_traces_say_it(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    const nsp_outlier_rule rule = {.size = sizeof rule, .asked = true, .measure = true};
    assert_int_equal(nsp_outlier_set_rule("*", &rule), NSP_OK);
    for (int i = 0; i < 3; i++) { // taken back, kept, kept
        nsp_span *root = nsp_span_begin(NSP_NAME("kept"));
        nsp_span_end(nsp_span_begin(NSP_NAME("below")));
        if (i > 0)
            assert_true(nsp_trace_keep());
        here += i == 2;
        nsp_span_end(root);
    }
    nsp_span *apart = nsp_span_begin_detached(NSP_NAME("kept apart"), NULL);
    nsp_span_enter(apart);
    assert_true(nsp_trace_keep());
    nsp_span_leave(apart);
    nsp_span_end(apart);
    capture_settle();
    assert_int_equal(capture_count_named("kept"), 2);
    assert_cpus("kept", "3", NULL, false);
    assert_string_equal(captured_text(capture_named("kept"), "nanospan.kept"), "asked");
    const captured_span *last = NULL;
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, "kept") == 0)
            last = capture_at(i);
    assert_string_equal(captured_text(last, "nanospan.cpu.end"), "4");
    assert_string_equal(captured_text(last, "nanospan.kept"), "asked");
    assert_cpus("kept apart", "4", NULL, false);
    assert_cpus("below", NULL, NULL, false);
}

static int begin_without(void **state)
{
    (void)state;
    start(false);
    return 0;
}

static void switched_off_nothing_is_said(void **state)
{
    (void)state;
    nsp_span_end(nsp_span_begin(NSP_NAME("root")));
    capture_settle();
    assert_int_equal(capture_named("root")->attribute_count, 0);
}

// The kernel's own number.
static void the_kernels_number_is_the_threads_cpu(void **state)
{
    (void)state;
    const uint32_t *cpu = nsp__cpu_of_thread(true);
    cpu_set_t all, one;
    if (*cpu >= NSP__CPU_UNKNOWN)
        skip();
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        if (!CPU_ISSET(i, &all) || sched_setaffinity(0, sizeof one, &one) != 0)
            continue;
        assert_int_equal(__atomic_load_n(cpu, __ATOMIC_RELAXED), i);
        assert_int_equal(sched_getcpu(), i);
    }
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_true(*nsp__cpu_of_thread(false) >= NSP__CPU_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(roots_say_it_and_children_do_not),
        TEST(moved_roots_say_both),
        TEST(nothing_is_said_of_what_is_not_known),
        TEST(only_local_roots_say_it),
        TEST(siblings_and_roots_that_end_late),
        TEST(there_is_room_in_a_full_record),
        TEST(detached_roots_do_not_say_that_a_thread_moved),
        TEST(kept_traces_say_it),
        cmocka_unit_test_setup_teardown(switched_off_nothing_is_said, begin_without, end),
        cmocka_unit_test(the_kernels_number_is_the_threads_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
