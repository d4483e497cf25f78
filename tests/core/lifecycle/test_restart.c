// SPDX-License-Identifier: Apache-2.0
//
// nsp_shutdown and nsp_init while the application keeps handles and its threads continue.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "support/capture.h"

static int end(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    return 0;
}

static bool small; // use as little memory for each thread as possible

static void start(void)
{
    nsp_config config;
    capture_config(&config);
    config.ring_bytes = 64 * 1024;
    config.detached_spans = 64;
    config.batches = 2;
    config.batch_bytes = 64 * 1024;
    if (small) {
        config.open_spans = 1;
        config.record_bytes = 512;
    }
    capture_start(&config);
}

static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    start();
    return 0;
}

static void restart(void)
{
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    capture_balance();
    capture_forget();
    start();
}

static bool is_root(const captured_span *span)
{
    static const uint8_t none[NSP_SPAN_ID_SIZE];
    return memcmp(span->parent_id, none, sizeof none) == 0;
}

static void use(nsp_span *span)
{
    nsp_context context;
    nsp_span_set_i64(span, NSP_KEY("k"), 1);
    nsp_span_set_str(span, NSP_KEY("k"), "a text that is longer than sixteen bytes");
    nsp_span_add_event(span, NSP_NAME("e"));
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "m");
    nsp_span_context(span, &context);
    nsp_span_add_link(span, &context);
}

static void without_a_session_all_is_inert(void **state)
{
    (void)state;
    nsp_span *open = nsp_span_begin(NSP_NAME("open"));
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span_enter(detached);
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    assert_int_equal(capture_balance().open, 2);
    use(open);
    use(detached);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    use(child);
    nsp_span_end(child);
    nsp_span_leave(detached);
    nsp_span_end(detached);
    nsp_span_end(open);
    assert_null(nsp_span_current());
    // Without a session every call returns nothing.
    assert_null(nsp_span_begin(NSP_NAME("nothing")));
    assert_null(nsp_span_begin_with(NSP_NAME("nothing"), NULL));
    assert_null(nsp_span_begin_detached(NSP_NAME("nothing"), NULL));
    nsp_span_enter(NULL);
    nsp_span_leave(NULL);
    nsp_thread_reset();
    capture_balance();
    start();
}

static void a_thread_moves_on_when_its_old_spans_have_ended(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("old root"));
    nsp_span *phase = nsp_span_begin(NSP_NAME("old phase"));
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("old detached"), NULL);
    nsp_span_enter(detached);
    restart();
    // The detached span is ended while entered, the phase goes on, the root ends: the calls behave as before
    // the restart, but nothing is recorded.
    nsp_span_end(detached);
    phase = nsp_span_next(phase, NSP_NAME("old phase 2"));
    nsp_span_end(phase);
    nsp_span_end(root);
    assert_null(nsp_span_current());
    assert_int_equal(capture_balance().misused, 0);
    nsp_span *fresh = nsp_span_begin(NSP_NAME("fresh"));
    assert_true(nsp_span_recording(fresh));
    nsp_span_end(fresh);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_true(is_root(capture_named("fresh")));
}

static void next_of_a_root_leads_into_the_new_session(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin(NSP_NAME("round"));
    for (int i = 0; i < 3; i++) {
        restart();
        span = nsp_span_next(span, NSP_NAME("round"));
        assert_true(nsp_span_recording(span));
        nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        span = nsp_span_next(span, NSP_NAME("round"));
        capture_settle();
        assert_int_equal(capture_count(), 2);
        assert_true(captured_child_of(capture_named("child"), capture_named("round")));
    }
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    span = nsp_span_next(span, NSP_NAME("round"));
    assert_null(span);
    start();
}

static void an_unsampled_thread_moves_on(void **state)
{
    (void)state;
    nsp_context remote;
    assert_int_equal(
        nsp_context_parse(&remote, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", NULL), NSP_OK);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &remote;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_span *unsampled = nsp_span_begin(NSP_NAME("unsampled"));
    nsp_span *frame = nsp_span_begin_with(NSP_NAME("frame"), &options);
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), &options);
    nsp_span_enter(detached);
    restart();
    nsp_span_leave(detached);
    nsp_span_end(detached);
    nsp_span_end(frame);
    nsp_span_end(unsampled);
    nsp_span *fresh = nsp_span_begin(NSP_NAME("fresh"));
    assert_true(nsp_span_recording(fresh));
    nsp_span_end(fresh);
    capture_settle();
    assert_true(is_root(capture_named("fresh")));
}

// Every kind of handle, from all sessions so far, is used again in each later one.
enum { ROUNDS = 25, KINDS = 6 };

static void handles_of_old_sessions_harm_nothing(void **state)
{
    (void)state;
    static nsp_span *kept[ROUNDS][KINDS];
    nsp_context remote;
    assert_int_equal(
        nsp_context_parse(&remote, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", NULL), NSP_OK);
    for (int round = 0; round < ROUNDS; round++) {
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.parent = &remote;
        nsp_thread_reset();
        kept[round][0] = nsp_span_begin(NSP_NAME("root"));
        kept[round][1] = nsp_span_begin(NSP_NAME("child"));
        kept[round][2] = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
        kept[round][3] = nsp_span_begin_detached(NSP_NAME("unsampled detached"), &options);
        kept[round][4] = nsp_span_begin_with(NSP_NAME("unsampled"), &options);
        kept[round][5] = nsp_span_begin(NSP_NAME("inert"));
        assert_true(nsp_span_recording(kept[round][1]) && nsp_span_recording(kept[round][2]));
        uint64_t healthy = capture_balance().attempted;
        for (int old = 0; old < round; old++)
            for (int kind = 0; kind < KINDS; kind++) {
                nsp_span *span = kept[old][kind];
                use(span);
                nsp_span_enter(span);
                nsp_span_leave(span);
                nsp_span_end(nsp_span_next(span, NSP_NAME("next")));
                nsp_span_end(span);
            }
        assert_int_equal(capture_balance().attempted, healthy);
        if (round % 2 == 0) { // some sessions end with all of these open
            nsp_span_end(kept[round][4]);
            nsp_span_end(kept[round][1]);
            nsp_span_end(kept[round][2]);
            nsp_span_end(kept[round][0]);
            capture_settle();
            assert_int_equal(capture_count(), 3);
            assert_true(captured_child_of(capture_named("child"), capture_named("root")));
        }
        restart();
    }
}

// ---- threads ----

static bool stop;
static uint64_t recorded;

static void *run_on(void *argument)
{
    bool only_next = argument != NULL;
    nsp_span *chain = NULL;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        if (only_next) {
            chain =
                chain != NULL ? nsp_span_next(chain, NSP_NAME("chain")) : nsp_span_begin(NSP_NAME("chain"));
            use(chain);
        } else {
            nsp_span *root = nsp_span_begin(NSP_NAME("root"));
            nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
            nsp_span *child = nsp_span_begin(NSP_NAME("child"));
            use(child);
            child = nsp_span_next(child, NSP_NAME("child"));
            nsp_span_end(child);
            nsp_span_enter(detached);
            nsp_span_end(nsp_span_begin(NSP_NAME("child")));
            nsp_span_leave(detached);
            use(detached);
            nsp_span_end(root);
            nsp_span_end(detached);
            if (nsp_span_recording(root))
                __atomic_fetch_add(&recorded, 1, __ATOMIC_RELAXED);
        }
        assert_true(only_next || nsp_span_current() == NULL);
        sched_yield();
    }
    nsp_span_end(chain);
    assert_null(nsp_span_current());
    return NULL;
}

static void threads_run_on_over_shutdown_and_init(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_on, i == 0 ? &stop : NULL), 0);
    for (int round = 0; round < 15; round++) {
        // Spans that are ended during the shutdown itself may be too late to be sent.
        nsp_status status = nsp_shutdown(60000000000u);
        assert_true(status == NSP_OK || status == NSP_ERR_TIMEOUT);
        capture_forget();
        start();
        // Threads that kept running use the new session soon.
        uint64_t before = __atomic_load_n(&recorded, __ATOMIC_RELAXED);
        while (__atomic_load_n(&recorded, __ATOMIC_RELAXED) < before + 20)
            sched_yield();
        nsp_stats stats = NSP_STATS_INIT;
        do {
            nsp_stats_get(&stats);
            sched_yield();
        } while (stats.threads < 3 || stats.attempted < 20);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.leaked, 0);
    assert_int_equal(stats.exported, capture_count());
    assert_int_equal(capture_distinct(), capture_count());
}

enum { THREADS = 100, SESSIONS = 90 };
static pthread_barrier_t all_attached;

static void *record_one(void *argument)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("one"));
    *(bool *)argument = nsp_span_recording(span);
    nsp_span_end(span);
    pthread_barrier_wait(&all_attached);
    return NULL;
}

// A session gives back everything when it ends: altogether there are more threads than the process could hold
// at once.
static void sessions_leave_nothing_behind(void **state)
{
    (void)state;
    small = true;
    restart();
    for (int session = 0; session < SESSIONS; session++) {
        pthread_t threads[THREADS];
        bool recording[THREADS];
        pthread_barrier_init(&all_attached, NULL, THREADS);
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, record_one, &recording[i]), 0);
        for (size_t i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_true(recording[i]);
        }
        pthread_barrier_destroy(&all_attached);
        assert_int_equal(capture_balance().threads_peak, THREADS);
        restart();
    }
    small = false;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(without_a_session_all_is_inert),
        TEST(a_thread_moves_on_when_its_old_spans_have_ended),
        TEST(next_of_a_root_leads_into_the_new_session),
        TEST(an_unsampled_thread_moves_on),
        TEST(handles_of_old_sessions_harm_nothing),
        TEST(threads_run_on_over_shutdown_and_init),
        TEST(sessions_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
