// SPDX-License-Identifier: Apache-2.0
//
// The race windows while a thread attaches, held open by testpoints.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/capture.h"
#include "trace/trace_state.h"

#ifdef NSP_TESTPOINTS
// A small session: what matters here is the number of threads.
static void begin(uint32_t threads)
{
    nsp_config config;
    capture_config(&config);
    config.ring_bytes = 64 * 1024;
    config.record_bytes = 512;
    config.open_spans = 8;
    config.threads = threads;
    capture_start(&config);
}

static uint32_t slots(void)
{
    return __atomic_load_n(&nsp__trace_state.control->slot_count, __ATOMIC_ACQUIRE);
}

static void record_pair(int64_t number)
{
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_set_i64(root, NSP_KEY("number"), number);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_end(root);
}

static void record_at_the_mark(const char *point)
{
    if (strcmp(point, "attach: not yet marked") != 0)
        return;
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    record_pair(1); // what a signal handler might do
}

static void a_handler_that_attaches_first_leaves_one_slot(void **state)
{
    (void)state;
    begin(8);
    __atomic_store_n(&nsp__testpoint_hook, record_at_the_mark, __ATOMIC_RELEASE);
    record_pair(2);
    assert_null(nsp__testpoint_hook);
    assert_int_equal(slots(), 1);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.threads, 1);
    capture_settle();
    assert_int_equal(capture_balance().exported, 4);
    capture_end();
}

static void *find_no_slot(void *argument)
{
    assert_int_equal(nsp_thread_attach(NULL), NSP_ERR_FULL);
    return argument;
}

static void let_another_one_try(const char *point)
{
    if (strcmp(point, "attach: slot claimed") != 0)
        return;
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, find_no_slot, NULL), 0);
    pthread_join(thread, NULL);
}

static void a_thread_too_late_for_the_last_slot_takes_no_memory(void **state)
{
    (void)state;
    begin(1);
    __atomic_store_n(&nsp__testpoint_hook, let_another_one_try, __ATOMIC_RELEASE);
    record_pair(1);
    assert_null(nsp__testpoint_hook);
    const nsp__control *control = nsp__trace_state.control;
    assert_int_equal(slots(), 1);
    assert_int_equal(control->threads_bytes, control->places[0].bytes);
    capture_end();
}

static nsp_status second_status;
static char second_detail[256];

static void attach_a_second_time(const char *point)
{
    if (strcmp(point, "attach: slot claimed") != 0)
        return;
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    second_status = nsp_thread_attach(NULL); // what a signal handler does
    strncpy(second_detail, nsp_error_detail(), sizeof second_detail - 1);
}

static void an_attach_within_an_attach_says_why_it_fails(void **state)
{
    (void)state;
    begin(8);
    __atomic_store_n(&nsp__testpoint_hook, attach_a_second_time, __ATOMIC_RELEASE);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    assert_null(nsp__testpoint_hook);
    assert_int_equal(second_status, NSP_ERR_ALREADY);
    assert_non_null(strstr(second_detail, "while it was being attached"));
    capture_end();
}

static void change_the_rate(const char *point)
{
    if (strcmp(point, "policy: generation read") != 0)
        return;
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(nsp_sampler_set_rate(0.0), NSP_OK);
}

static void a_policy_that_changes_meanwhile_is_obeyed(void **state)
{
    (void)state;
    begin(8);
    __atomic_store_n(&nsp__testpoint_hook, change_the_rate, __ATOMIC_RELEASE);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    assert_null(nsp__testpoint_hook);
    nsp_span *span = nsp_span_begin(NSP_NAME("root"));
    assert_false(nsp_span_recording(span));
    nsp_span_end(span);
    capture_end();
}
#else
static void nothing_without_testpoints(void **state)
{
    (void)state;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NSP_TESTPOINTS
        cmocka_unit_test_teardown(a_handler_that_attaches_first_leaves_one_slot, capture_teardown),
        cmocka_unit_test_teardown(a_thread_too_late_for_the_last_slot_takes_no_memory, capture_teardown),
        cmocka_unit_test_teardown(an_attach_within_an_attach_says_why_it_fails, capture_teardown),
        cmocka_unit_test_teardown(a_policy_that_changes_meanwhile_is_obeyed, capture_teardown),
#else
        cmocka_unit_test(nothing_without_testpoints),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
