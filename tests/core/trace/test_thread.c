// SPDX-License-Identifier: Apache-2.0
//
// Threads that start and end: slots, attach, exit. Every span of every thread is accounted for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/capture.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "trace/trace_state.h"

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, &attributes, run, argument), 0);
    pthread_attr_destroy(&attributes);
    return thread;
}

static void run_thread(void *(*run)(void *), void *argument)
{
    pthread_join(start(run, argument), NULL);
}

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
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_end(child);
    nsp_span_end(root);
}

static void *record_one_pair(void *argument)
{
    record_pair((int64_t)(intptr_t)argument);
    return NULL;
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void ten_thousand_one_after_the_other(void **state)
{
    (void)state;
    enum { THREADS = 10000 };
    begin(1024);
    capture_keep(false);
    for (int i = 0; i < 100; i++)
        run_thread(record_one_pair, (void *)(intptr_t)i);
    long before = resident_kib();
    for (int i = 100; i < THREADS; i++)
        run_thread(record_one_pair, (void *)(intptr_t)i);
    // 10,000 rings would be 640 MiB; this limit leaves room for what sanitizers store about each thread.
    assert_true(resident_kib() - before < 128 * 1024 ||
                test_emulated()); // the emulator keeps what it knows of a thread
    // A joined thread has given its slot back, although it may not have left the C library yet, so one slot
    // is enough.
    assert_int_equal(slots(), 1);
    capture_settle();
    // All spans go through that one ring, and whole traces are refused if the collector does not keep up.
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.exported, 2 * (THREADS - stats.roots_refused));
    assert_int_equal(capture_received(), stats.exported);
    assert_true(stats.exported >= THREADS);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.threads, 0);
    assert_int_equal(stats.threads_peak, 1);
    capture_end();
}

static pthread_barrier_t all_attached;

static void *record_with_all(void *argument)
{
    int64_t number = (int64_t)(intptr_t)argument;
    record_pair(number);
    pthread_barrier_wait(&all_attached);
    for (int i = 0; i < 20; i++)
        record_pair(number);
    pthread_barrier_wait(&all_attached);
    return NULL;
}

static void five_hundred_at_once(void **state)
{
    (void)state;
    enum { THREADS = 500, SPANS = THREADS * 2 * 21 };
    begin(1024);
    pthread_t threads[THREADS];
    pthread_barrier_init(&all_attached, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(record_with_all, (void *)(intptr_t)i);
    pthread_barrier_wait(&all_attached);
    nsp_stats during = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&during), NSP_OK);
    assert_int_equal(during.threads, THREADS);
    pthread_barrier_wait(&all_attached);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_attached);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.exported, SPANS);
    assert_int_equal(stats.threads, 0);
    assert_int_equal(stats.threads_peak, THREADS);
    assert_int_equal(capture_count(), SPANS);
    assert_int_equal(capture_distinct(), SPANS);
    unsigned seen[THREADS] = {0};
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, "root") == 0)
            seen[atoi(captured_text(capture_at(i), "number"))]++;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(seen[i], 21);
    capture_end();
}

static const nsp__slot *own_slot(void)
{
    return ((const nsp__producer *)(const void *)nsp__thread_v4)->slot;
}

static void *attach_as_asked(void *argument)
{
    nsp_thread_options options = NSP_THREAD_OPTIONS_INIT;
    options.ring_bytes = 200 * 1000;
    options.name = "a name of more than thirty-one bytes";
    assert_int_equal(nsp_thread_attach(&options), NSP_OK);
    assert_int_equal(own_slot()->ring_bytes, 256 * 1024);
    assert_string_equal(own_slot()->name, "a name of more than thirty-one ");
    assert_int_equal(own_slot()->tid, syscall(SYS_gettid));
    // Again: nothing changes.
    options.ring_bytes = 64 * 1024;
    assert_int_equal(nsp_thread_attach(&options), NSP_OK);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    assert_int_equal(own_slot()->ring_bytes, 256 * 1024);
    return argument;
}

static void *attach_by_default(void *argument)
{
    pthread_setname_np(pthread_self(), "own-name");
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    assert_int_equal(own_slot()->ring_bytes, 64 * 1024);
    assert_string_equal(own_slot()->name, "own-name");
    return argument;
}

static void attach_takes_size_and_name(void **state)
{
    (void)state;
    begin(8);
    run_thread(attach_as_asked, NULL);
    // A slot whose ring has a different size is not used.
    run_thread(attach_by_default, NULL);
    assert_int_equal(slots(), 2);
    run_thread(attach_as_asked, NULL);
    run_thread(attach_by_default, NULL);
    assert_int_equal(slots(), 2);
    capture_end();
}

static void attach_refuses_bad_options(void **state)
{
    (void)state;
    nsp_thread_options options = NSP_THREAD_OPTIONS_INIT;
    assert_int_equal(nsp_thread_attach(NULL), NSP_ERR_NOT_INITIALISED);
    begin(8);
    options.ring_bytes = 64 * 1024 - 1;
    assert_int_equal(nsp_thread_attach(&options), NSP_ERR_INVALID);
    assert_non_null(strstr(nsp_error_detail(), "65535"));
    options.ring_bytes = ((size_t)1 << 30) + 1;
    assert_int_equal(nsp_thread_attach(&options), NSP_ERR_INVALID);
    options.ring_bytes = 0;
    options.size = 0;
    assert_int_equal(nsp_thread_attach(&options), NSP_ERR_INVALID);
    assert_null(nsp__producer_self());
    capture_end();

    nsp_config config;
    capture_config(&config);
    config.enabled = false;
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(nsp_thread_attach(NULL), NSP_ERR_DISABLED);
    assert_int_equal(nsp_shutdown(0), NSP_OK);
    capture_forget();
}

static pthread_barrier_t all_tried;

static void *record_if_there_is_room(void *argument)
{
    record_pair(0);
    bool attached = nsp__producer_self() != NULL;
    nsp_status status = nsp_thread_attach(NULL);
    assert_int_equal(status, attached ? NSP_OK : NSP_ERR_FULL);
    if (!attached)
        assert_non_null(strstr(nsp_error_detail(), "nsp_config.threads"));
    __atomic_fetch_add((int *)argument, attached, __ATOMIC_RELAXED);
    pthread_barrier_wait(&all_tried);
    return NULL;
}

static void more_threads_than_slots(void **state)
{
    (void)state;
    enum { SLOTS = 4, THREADS = 10 };
    begin(SLOTS);
    int attached = 0;
    pthread_t threads[THREADS];
    pthread_barrier_init(&all_tried, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(record_if_there_is_room, &attached);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_tried);
    assert_int_equal(attached, SLOTS);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.attempted, 2 * THREADS);
    assert_int_equal(stats.exported, 2 * SLOTS);
    assert_int_equal(stats.dropped_no_thread, 2 * (THREADS - SLOTS));
    assert_int_equal(stats.dropped, stats.dropped_no_thread);
    capture_await_line_with("NSP_THREADS");
    // Their slots are free again.
    run_thread(record_one_pair, NULL);
    capture_settle();
    assert_int_equal(capture_balance().exported, 2 * SLOTS + 2);
    capture_end();
    // The next session has room, and does not repeat the line.
    begin(SLOTS);
    run_thread(record_one_pair, NULL);
    capture_settle();
    assert_int_equal(capture_lines_with("NSP_THREADS"), 0);
    capture_end();
}

static void *leave_spans_open(void *argument)
{
    nsp_span_begin(NSP_NAME("forgotten root"));
    nsp_span_set_i64(nsp_span_current(), NSP_KEY("kept"), 1);
    nsp_span_begin(NSP_NAME("forgotten child"));
    return argument;
}

static void *leave_unsampled_open(void *argument)
{
    nsp_span_begin(NSP_NAME("forgotten unsampled"));
    return argument;
}

static void exit_ends_open_spans(void **state)
{
    (void)state;
    begin(8);
    run_thread(leave_spans_open, NULL);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.leaked, 2);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.exported, 2);
    assert_string_equal(captured_text(capture_named("forgotten root"), "kept"), "1");
    assert_true(captured_child_of(capture_named("forgotten child"), capture_named("forgotten root")));
    // The next thread in the slot starts with nothing open.
    run_thread(record_one_pair, NULL);
    capture_settle();
    assert_int_equal(slots(), 1);
    for (int i = 0; i < NSP_SPAN_ID_SIZE; i++)
        assert_int_equal(capture_named("root")->parent_id[i], 0);

    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    run_thread(leave_unsampled_open, NULL);
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    run_thread(record_one_pair, NULL); // an unsampled root that was left open does not affect the slot
    capture_settle();
    stats = capture_balance();
    assert_int_equal(stats.leaked, 3);
    assert_int_equal(stats.roots_unsampled, 1);
    assert_int_equal(stats.exported, 6);
    capture_end();
}

// ---- spans in destructors of thread-specific data ----

static pthread_key_t late_key;
static int late_rounds;

// Re-arms itself, so it runs in every round of destructors, before and after the library's own.
static void record_late(void *argument)
{
    late_rounds++;
    record_pair(late_rounds);
    pthread_setspecific(late_key, argument);
}

static void *exit_with_destructor(void *argument)
{
    pthread_setspecific(late_key, &late_key);
    record_pair(0);
    return argument;
}

static void *destructor_alone(void *argument)
{
    pthread_setspecific(late_key, &late_key);
    return argument;
}

static void spans_in_destructors(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer forgets a thread before its last destructors run");
    enum { THREADS = 40 };
    begin(4);
    assert_int_equal(pthread_key_create(&late_key, record_late), 0);
    late_rounds = 0;
    for (int i = 0; i < THREADS; i++)
        run_thread(i % 2 == 0 ? exit_with_destructor : destructor_alone, NULL);
    assert_true(late_rounds >= THREADS * 2);
    capture_settle();
    nsp_stats stats = capture_balance();
    uint64_t pairs = (uint64_t)late_rounds + THREADS / 2;
    assert_int_equal(stats.attempted, 2 * pairs);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.leaked, 0);
    // However late a thread attached, calls that need its slot find it.
    assert_int_equal(stats.dropped_no_thread, 0);
    assert_int_equal(stats.exported, 2 * pairs);
    assert_int_equal(capture_distinct(), 2 * pairs);
    pthread_key_delete(late_key);
    capture_end();
}

// A thread that ends without running destructors, by the kernel's exit alone.
static void *vanish(void *argument)
{
    nsp_span_begin(NSP_NAME("vanished"));
    __atomic_store_n((int *)argument, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void late_attach_with_open_span(void *argument)
{
    late_rounds++;
    if (late_rounds % PTHREAD_DESTRUCTOR_ITERATIONS == 0) { // last round: nothing will close the slot
        int done;
        vanish(&done);
    } else {
        pthread_setspecific(late_key, argument);
    }
}

static void slots_of_vanished_threads_are_reclaimed(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer forgets a thread before its last destructors run");
    begin(2);
    assert_int_equal(pthread_key_create(&late_key, late_attach_with_open_span), 0);
    late_rounds = 0;
    for (int i = 0; i < 6; i++)
        run_thread(destructor_alone, NULL);
    run_thread(record_one_pair, NULL);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.attempted, 8);
    assert_int_equal(stats.dropped_no_thread, 0);
    assert_int_equal(stats.exported + stats.open, 8);
    assert_int_equal(stats.leaked, stats.exported - 2);
    assert_true(stats.exported >= 2 + 5);
    pthread_key_delete(late_key);
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    capture_balance();
    capture_forget();
}

// ---- reset ----

static void reset_ends_everything(void **state)
{
    (void)state;
    begin(8);
    nsp_thread_reset(); // not attached: no effect
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_begin(NSP_NAME("child"));
    nsp_span_enter(detached);
    nsp_span_begin(NSP_NAME("under the detached"));
    nsp_thread_reset();
    assert_null(nsp_span_current());
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.leaked, 3);
    assert_int_equal(stats.open, 1); // the detached one was left, not ended
    nsp_span_end(root);              // already ended by the reset: counted as misuse, harmless
    nsp_span_end(detached);
    nsp_thread_reset(); // nothing is open, so nothing is counted
    record_pair(0);
    capture_settle();
    stats = capture_balance();
    assert_int_equal(stats.leaked, 3);
    assert_int_equal(stats.misused, 1);
    assert_int_equal(stats.exported, 6);
    assert_true(captured_child_of(capture_named("under the detached"), capture_named("detached")));
    capture_end();
}

static void reset_ends_an_unsampled_root(void **state)
{
    (void)state;
    begin(8);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_span_begin(NSP_NAME("unsampled"));
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("under it"))));
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    nsp_thread_reset();
    record_pair(0);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.leaked, 1);
    assert_int_equal(stats.exported, 2);
    capture_end();
}

// Threads that outlive a session start with nothing open in the next one.
static void *record_in_two_sessions(void *argument)
{
    pthread_barrier_t *barrier = argument;
    nsp_span *open = nsp_span_begin(NSP_NAME("open over shutdown"));
    record_pair(1);
    pthread_barrier_wait(barrier); // shutdown
    pthread_barrier_wait(barrier); // is done
    nsp_span_set_i64(open, NSP_KEY("late"), 1);
    nsp_span_end(open);
    record_pair(2);                // between sessions: inert
    pthread_barrier_wait(barrier); // init
    pthread_barrier_wait(barrier); // is done
    record_pair(3);
    return NULL;
}

static void threads_outlive_sessions(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    begin(8);
    pthread_t thread = start(record_in_two_sessions, &barrier);
    pthread_barrier_wait(&barrier);
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    assert_int_equal(capture_balance().open, 1);
    assert_int_equal(capture_count(), 2);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    capture_forget();
    begin(8);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_string_equal(captured_text(capture_named("root"), "number"), "3");
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(ten_thousand_one_after_the_other, capture_teardown),
        cmocka_unit_test_teardown(five_hundred_at_once, capture_teardown),
        cmocka_unit_test_teardown(attach_takes_size_and_name, capture_teardown),
        cmocka_unit_test_teardown(attach_refuses_bad_options, capture_teardown),
        cmocka_unit_test_teardown(more_threads_than_slots, capture_teardown),
        cmocka_unit_test_teardown(exit_ends_open_spans, capture_teardown),
        cmocka_unit_test_teardown(spans_in_destructors, capture_teardown),
        cmocka_unit_test_teardown(slots_of_vanished_threads_are_reclaimed, capture_teardown),
        cmocka_unit_test_teardown(reset_ends_everything, capture_teardown),
        cmocka_unit_test_teardown(reset_ends_an_unsampled_root, capture_teardown),
        cmocka_unit_test_teardown(threads_outlive_sessions, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
