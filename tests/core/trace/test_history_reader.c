// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// A reader that copies history while the thread goes on finds whole traces; and what becomes of history with a fork, a
// session or a reset.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "base/testpoint.h"
#include "support/history_reader.h"
#include "support/history_trace.h"
#include "support/sanitizer.h"
#include "trace/speculation.h"

// At each testpoint: begins to read, or goes on after a while.
static void read_between(const char *name)
{
    const nsp__speculation *its = history_of_thread();
    if (strncmp(name, "history", 7) != 0 && strncmp(name, "commit", 6) != 0)
        return;
    if (history_reader.wait > 0) {
        history_reader.wait--;
        return;
    }
    if (history_reader.reading)
        history_read_second(its);
    else
        history_read_first(its);
    history_reader.wait = nsp__random_next(&history_reader.random) % (history_reader.reading ? 64 : 4);
}

static void a_reader_between_any_two_steps_finds_whole_traces(void **state)
{
    (void)state;
    for (size_t bytes = 4096; bytes <= 8192; bytes *= 2) {
        history_begin(bytes);
        history_rule(NSP_OUTLIER_HISTORY_MAX);
        memset(&history_reader, 0, sizeof history_reader);
        history_reader.random = bytes;
        __atomic_store_n(&nsp__testpoint_hook, read_between, __ATOMIC_RELEASE);
        for (uint64_t i = 0; i < 20000; i++)
            history_trace(i, (unsigned)(i % 5), 10 * i, 10 * i + (i % 1000 == 999 ? SLOW_NS : 5));
        __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
        assert_int_equal(history_reader.wrong, 0);
        assert_true(history_reader.looks > 1000 && history_reader.overtaken > 100 &&
                    history_reader.whole > 1000);
        capture_settle();
        ruled_finish();
        capture_teardown(state);
    }
    history_begin(4096);
}

static bool stop_reading;
static uint64_t reads; // atomic

static void *read_all_the_time(void *of)
{
    const nsp__speculation *its = of;
    while (!__atomic_load_n(&stop_reading, __ATOMIC_RELAXED)) {
        history_read_first(its);
        history_read_second(its);
        __atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_reader_on_another_thread_finds_whole_traces(void **state)
{
    (void)state;
    history_begin(8192);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    memset(&history_reader, 0, sizeof history_reader);
    stop_reading = false;
    reads = 0;
    pthread_t thread;
    history_trace(0, 0, 0, 5);
    assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, nsp__producer_self()->speculation), 0);
    for (uint64_t i = 1; i < 200000 || __atomic_load_n(&reads, __ATOMIC_RELAXED) < 100; i++)
        history_trace(i, (unsigned)(i % 5), 10 * i, 10 * i + 5);
    __atomic_store_n(&stop_reading, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(history_reader.wrong, 0);
}

// ---- fork, the end of a session ----

static void a_child_process_begins_without_it(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer gives the child of a process with threads no session");
    history_begin(65536);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    history_trace(0, 1, 0, 5);
    const pid_t pid = fork();
    if (pid == 0) {
        nsp_span_end(nsp_span_begin(NSP_NAME("in the child")));
        history_trace(1, 1, 10, 15);
        const nsp__producer *producer = nsp__producer_self();
        _exit(producer != NULL && nsp__ruled_root_open(producer) ? 1 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    history_trace(2, 1, 20, 20 + SLOW_NS);
    capture_settle();
    assert_int_equal(history_kept(), 1);
    assert_int_equal(capture_count(), 4);
}

static void a_session_begins_without_it(void **state)
{
    (void)state;
    history_begin(65536);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    history_trace(0, 1, 0, 5);
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), ruled_after(10));
    assert_int_equal(nsp_shutdown(UINT64_C(10000000000)), NSP_OK);
    nsp_span_end_at(root, ruled_after(20));
    capture_forget();
    history_begin(65536);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    history_trace(1, 1, 20, 20 + SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 2);
}

static void a_reset_takes_back_without_history(void **state)
{
    (void)state;
    history_begin(65536);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    history_trace(0, 1, 0, 5);
    const uint64_t before = history_of_thread()->history_end;
    nsp_span_begin_at(NSP_NAME("order"), ruled_after(10));
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_thread_reset();
    assert_int_equal(history_of_thread()->history_end, before);
    assert_int_equal(history_of_thread()->slot.published, before);
    history_trace(1, 1, 20, 20 + SLOW_NS);
    capture_settle();
    assert_int_equal(history_kept(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_reader_between_any_two_steps_finds_whole_traces, ruled_end_with_history),
        cmocka_unit_test_teardown(a_reader_on_another_thread_finds_whole_traces, ruled_end_with_history),
        cmocka_unit_test_teardown(a_child_process_begins_without_it, ruled_end_with_history),
        cmocka_unit_test_teardown(a_session_begins_without_it, ruled_end_with_history),
        cmocka_unit_test_teardown(a_reset_takes_back_without_history, ruled_end_with_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
