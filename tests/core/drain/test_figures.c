// SPDX-License-Identifier: Apache-2.0
//
// What whoever drains and sends says about it: how far it is behind, how full rings were, and how long receivers
// take. In the engine (nsp_stats_get) and from outside (nsp_sessions_each).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <nanospan/inspect.h>

#include "support/scripted.h"
#include "support/session_fixture.h"

enum { PAUSE_MS = 5 };
#define PAUSE_NS (PAUSE_MS * UINT64_C(1000000))
#define MINUTE_NS UINT64_C(60000000000)

// An engine whose rings nobody drains but this thread.
static void start(void)
{
    nsp_config config;
    script_reset();
    script_config(&config);
    config.shm_dir = directory;
    config.collector = NSP_COLLECTOR_INVOKER;
    config.detached_spans = 4;
    assert_int_equal(nsp_init(&config), NSP_OK);
}

static void end(void)
{
    assert_int_equal(nsp_shutdown(MINUTE_NS), NSP_OK);
    script_balance();
}

static void record(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static nsp_stats stats(void)
{
    nsp_stats out = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&out), NSP_OK);
    return out;
}

static void lag_is_how_long_records_waited(void **state)
{
    (void)state;
    start();
    assert_true(stats().pass_ns == 0 && stats().lag_ns == 0 && stats().lag_longest_ns == 0);
    record(1);
    uint64_t recorded = test_now_ns();
    test_sleep_ms(PAUSE_MS);
    uint64_t before = test_now_ns();
    assert_int_equal(nsp_do_work(SIZE_MAX), 1);
    const nsp_stats first = stats();
    assert_true(first.pass_ns >= before && first.pass_ns <= test_now_ns());
    assert_true(first.lag_ns >= before - recorded && first.lag_ns >= PAUSE_NS);
    assert_int_equal(first.lag_longest_ns, first.lag_ns);

    nsp_do_work(SIZE_MAX); // nothing waits
    const nsp_stats idle = stats();
    assert_true(idle.pass_ns >= first.pass_ns);
    assert_int_equal(idle.lag_ns, 0);
    assert_int_equal(idle.lag_longest_ns, first.lag_ns);
    end();
}

static void lag_goes_on_while_records_are_left(void **state)
{
    (void)state;
    start();
    nsp_do_work(SIZE_MAX);
    record(3);
    uint64_t recorded = test_now_ns();
    for (int i = 0; i < 3; i++) {
        test_sleep_ms(PAUSE_MS);
        uint64_t before = test_now_ns();
        assert_int_equal(nsp_do_work(1), 1);
        assert_true(stats().lag_ns >= before - recorded);
    }
    assert_true(stats().lag_longest_ns >= 3 * PAUSE_NS);
    uint64_t emptied = test_now_ns();
    nsp_do_work(SIZE_MAX); // finds that nothing is left
    record(1);
    nsp_do_work(SIZE_MAX);
    assert_true(stats().lag_ns > 0 && stats().lag_ns <= test_now_ns() - emptied);
    end();
}

static scripted_verdict third_time(void *context, const nsp_batch *batch)
{
    unsigned *asked = context;
    (void)batch;
    switch (++*asked % 3) {
    case 0: return (scripted_verdict){NSP_SEND_EXPORTED, true, 0};
    case 1: return (scripted_verdict){NSP_SEND_RETRY, false, 0};
    default: return (scripted_verdict){NSP_SEND_UNKNOWN, false, 0}; // nobody answers
    }
}

static void answers_and_retries_are_counted(void **state)
{
    (void)state;
    unsigned asked = 0;
    start();
    script.answer = third_time;
    script.context = &asked;
    script.delay_ns = PAUSE_NS;
    for (unsigned round = 1; round <= 2; round++) {
        record(10);
        assert_int_equal(nsp_flush(MINUTE_NS), NSP_OK);
        const nsp_stats now = stats();
        assert_int_equal(now.answers, 2 * round);
        assert_int_equal(now.retries, 2 * round);
        assert_true(now.answer_last_ns >= PAUSE_NS && now.answer_longest_ns >= now.answer_last_ns);
        assert_true(now.answer_ns >= now.answers * PAUSE_NS);
        assert_true(now.answer_ns <= now.answers * now.answer_longest_ns);
    }
    end();
}

// ---- threads, from outside ----

typedef struct look {
    nsp_session session;
    nsp_session_thread threads[4];
    char names[4][32];
} look;

static bool keep(void *argument, const nsp_session *session)
{
    look *seen = argument;
    assert_null(session->problem);
    assert_true(session->thread_count <= 4);
    seen->session = *session;
    for (size_t i = 0; i < session->thread_count; i++) {
        assert_int_equal(session->threads[i].size, sizeof(nsp_session_thread));
        seen->threads[i] = session->threads[i];
        snprintf(seen->names[i], sizeof seen->names[i], "%s", session->threads[i].name);
    }
    return true;
}

static look look_at_it(void)
{
    look seen = {0};
    uint64_t before = test_now_ns();
    assert_int_equal(nsp_sessions_each(directory, keep, &seen), NSP_OK);
    assert_true(seen.session.read_ns >= before && seen.session.read_ns <= test_now_ns());
    return seen;
}

static void *record_and_end(void *argument)
{
    nsp_thread_options options = NSP_THREAD_OPTIONS_INIT;
    options.name = "short lived";
    assert_int_equal(nsp_thread_attach(&options), NSP_OK);
    record(7);
    return argument;
}

static void each_thread_is_told(void **state)
{
    (void)state;
    start();
    nsp_thread_options options = NSP_THREAD_OPTIONS_INIT;
    options.name = "main";
    assert_int_equal(nsp_thread_attach(&options), NSP_OK);
    nsp_span *outer = nsp_span_begin(NSP_NAME("outer")), *inner = nsp_span_begin(NSP_NAME("inner"));
    record(3);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, record_and_end, NULL), 0);
    pthread_join(thread, NULL);

    look seen = look_at_it();
    const nsp_session_thread *own = &seen.threads[0], *other = &seen.threads[1];
    assert_int_equal(seen.session.thread_count, 2);
    assert_string_equal(seen.names[0], "main");
    assert_string_equal(seen.names[1], "short lived");
    assert_true(own->tid == (uint32_t)getpid() && other->tid == 0);
    assert_true(own->slot == 0 && other->slot == 1);
    assert_true(own->state == NSP_THREAD_ATTACHED && other->state == NSP_THREAD_ENDED);
    assert_true(own->attempted == 5 && own->open == 2 && other->attempted == 7 && other->open == 0);
    assert_true(own->ring_fill > 0 && other->ring_fill > own->ring_fill);
    assert_int_equal(own->ring_bytes, other->ring_bytes);
    assert_int_equal(own->ring_fill_peak, own->ring_fill); // nobody has drained yet

    const uint64_t filled = own->ring_fill;
    nsp_span_end(inner);
    nsp_span_end(outer);
    assert_int_equal(nsp_do_work(SIZE_MAX), 12);
    record(1);
    assert_int_equal(nsp_do_work(SIZE_MAX), 1);
    seen = look_at_it();
    assert_int_equal(seen.threads[1].state, NSP_THREAD_DRAINED);
    assert_true(own->ring_fill == 0 && own->open == 0 && own->attempted == 6);
    assert_true(own->ring_fill_peak > filled && other->ring_fill_peak > 0);
    assert_true(seen.session.stats.pass_ns == stats().pass_ns && seen.session.stats.pass_ns != 0);
    assert_int_equal(seen.session.stats.lag_longest_ns, stats().lag_longest_ns);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lag_is_how_long_records_waited, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(lag_goes_on_while_records_are_left, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(answers_and_retries_are_counted, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(each_thread_is_told, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
