// SPDX-License-Identifier: Apache-2.0
//
// The public conversions near the beginning and end of sessions and in forked children: always correct, and
// without waiting.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>

#include "clock/clock_source.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define SECOND 1000000000ull

static unsigned pauses; // atomic: how often the clock waited, which calibration does

static void count_pause(uint64_t ns)
{
    __atomic_fetch_add(&pauses, 1, __ATOMIC_RELAXED);
    nsp__clock_system.pause(ns);
}

// A reading of the counter, and of the wall clock before and after it. A busy machine may let much time pass
// in between.
typedef struct reading {
    nsp_ticks ticks;
    uint64_t before_ns, after_ns;
} reading;

static reading read_clocks(void)
{
    reading now = {.before_ns = nsp__clock_system.realtime()};
    now.ticks = nsp_now();
    now.after_ns = nsp__clock_system.realtime();
    return now;
}

static bool is_at(uint64_t ns, const reading *at)
{
    return ns > at->before_ns - SECOND && ns < at->after_ns + SECOND;
}

static reading first;

// In both directions, for the present and for the first reading.
static bool conversions_are_right(void)
{
    reading now = read_clocks();
    return is_at(nsp_ticks_to_unix_ns(now.ticks), &now) && is_at(nsp_ticks_to_unix_ns(first.ticks), &first) &&
           is_at(nsp_ticks_to_unix_ns(nsp_ticks_from_unix_ns(now.after_ns)), &now);
}

static void begin(void)
{
    nsp_config config;
    script_config(&config);
    assert_int_equal(nsp_init(&config), NSP_OK);
}

static int setup(void **state)
{
    (void)state;
    static nsp__clock_source counting;
    counting = nsp__clock_system;
    counting.pause = count_pause;
    nsp__clock_source_use(&counting);
    script_reset();
    first = read_clocks();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nsp_shutdown(SECOND);
    nsp__clock_source_use(NULL);
    return 0;
}

static bool over; // atomic

static void *convert_on(void *argument)
{
    uint64_t *wrong = argument;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
        *wrong += !conversions_are_right();
    return NULL;
}

static void while_sessions_come_and_go(void **state)
{
    (void)state;
    begin();
    uint64_t wrong[2] = {0, 0};
    pthread_t threads[2];
    __atomic_store_n(&over, false, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, convert_on, &wrong[i]), 0);
    for (int round = 0; round < 60; round++) {
        assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
        begin();
    }
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

static void after_the_session(void **state)
{
    (void)state;
    begin();
    nsp_ticks tick = nsp_now();
    test_sleep_ms(5);
    uint64_t during = nsp_ticks_to_unix_ns(tick);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    unsigned before = __atomic_load_n(&pauses, __ATOMIC_RELAXED);
    assert_true(conversions_are_right());
    assert_int_equal(__atomic_load_n(&pauses, __ATOMIC_RELAXED), before);
    assert_int_equal(nsp_ticks_to_unix_ns(tick), during); // the same tick, the same nanosecond
}

// ---- forked children ----

static bool watching;
static bool right_in_handler;

// Registered before the first nsp_init, so it runs before the library's own handler.
static void ask_first(void)
{
    if (watching)
        right_in_handler = conversions_are_right();
}

static void check_in_child(void *argument)
{
    (void)argument;
    unsigned before = __atomic_load_n(&pauses, __ATOMIC_RELAXED);
    CHILD_CHECK(right_in_handler);
    CHILD_CHECK(conversions_are_right());
    CHILD_CHECK(__atomic_load_n(&pauses, __ATOMIC_RELAXED) == before);
    if (!test_threads_in_children())
        return;
    nsp_span_end(nsp_span_begin(NSP_NAME("of the child"))); // a session of its own
    CHILD_CHECK(conversions_are_right());
    CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
    CHILD_CHECK(conversions_are_right());
}

static void in_a_forked_child(void **state)
{
    (void)state;
    begin();
    watching = true;
    assert_int_equal(child_run(check_in_child, NULL, 100), 0);
    assert_true(conversions_are_right());
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_true(conversions_are_right());
    watching = false;
}

int main(void)
{
    pthread_atfork(NULL, NULL, ask_first);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(while_sessions_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(after_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(in_a_forked_child, setup, teardown),
    };
    return cmocka_run_group_tests_name("clock_sessions", tests, NULL, NULL);
}
