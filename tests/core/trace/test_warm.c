// SPDX-License-Identifier: Apache-2.0
//
// nsp_thread_warm: it executes what spans execute, and nobody sees anything of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shm/slot.h"
#include "support/capture.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/single_steps.h"
#include "trace/thread_state.h"

enum { TIMES = 100, OPEN_SPANS = 8 };

// Nobody drains: what the thread shares stays as it is unless the thread itself changes it.
static void begin(double rate)
{
    nsp_config config;
    capture_config(&config);
    config.sample_rate = rate;
    config.collector = NSP_COLLECTOR_INVOKER;
    config.ring_bytes = 64 * 1024;
    config.record_bytes = 1024;
    config.open_spans = OPEN_SPANS;
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
}

static nsp_stats counts(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    stats.clock_error_ns = 0;
    return stats;
}

static void *copy_of(const void *from, size_t bytes)
{
    void *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, from, bytes);
    return copy;
}

static void assert_same(const void *now, void *copy, size_t bytes)
{
    assert_memory_equal(now, copy, bytes);
    free(copy);
}

// Spans that were recorded where nobody sees them.
static uint64_t discarded(void)
{
    return ((const nsp__slot *)nsp__producer_self()->discard)->counters.committed;
}

// Calls it, and sees that all the thread's memory stays as it is, shared or not, and that so many spans are
// recorded each time.
static void check_unseen(uint64_t spans)
{
    nsp__producer *producer = nsp__producer_self();
    const nsp__slot *slot = producer->slot;
    size_t own = sizeof *producer + (OPEN_SPANS + 2) * sizeof(nsp__entry);
    size_t shared = slot->ring_offset + slot->ring_bytes + slot->record_bytes;
    nsp_stats before = counts();
    nsp_span *current = nsp_span_current();
    uint64_t discarded_before = discarded();
    void *own_before = copy_of(producer, own), *shared_before = copy_of(slot, shared);
    for (int i = 0; i < TIMES; i++)
        nsp_thread_warm();
    assert_same(producer, own_before, own);
    assert_same(slot, shared_before, shared);
    assert_ptr_equal(nsp_span_current(), current);
    assert_int_equal(discarded() - discarded_before, spans * TIMES);
    nsp_stats after = counts();
    assert_memory_equal(&after, &before, sizeof after);
}

static void nothing_is_seen_of_it(void **state)
{
    (void)state;
    begin(1);
    check_unseen(2);
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    check_unseen(2);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_balance().attempted, 1);
    capture_end();
}

static void open_spans_stay_as_they_are(void **state)
{
    (void)state;
    begin(1);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_set_str(root, NSP_KEY("text"), "before");
    check_unseen(2);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    check_unseen(2);
    nsp_span_set_i64(child, NSP_KEY("number"), 7);
    child = nsp_span_next(child, NSP_NAME("sibling"));
    check_unseen(2);
    nsp_span_end(child);
    check_unseen(2);
    nsp_span_set_str(root, NSP_KEY("later"), "after");
    nsp_span_end(root);
    capture_settle();
    assert_int_equal(capture_count(), 3);
    assert_int_equal(capture_distinct(), 3);
    const captured_span *parent = capture_named("root");
    assert_string_equal(captured_text(parent, "text"), "before");
    assert_string_equal(captured_text(parent, "later"), "after");
    assert_int_equal(parent->attribute_count, 2);
    assert_true(captured_child_of(capture_named("child"), parent));
    assert_true(captured_child_of(capture_named("sibling"), parent));
    assert_string_equal(captured_text(capture_named("child"), "number"), "7");
    capture_end();
}

static void the_stack_may_be_full(void **state)
{
    (void)state;
    begin(1);
    nsp_span *spans[OPEN_SPANS];
    for (int i = 0; i < OPEN_SPANS; i++)
        spans[i] = nsp_span_begin(NSP_NAME("span"));
    check_unseen(2);
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("one too many"))));
    check_unseen(2);
    for (int i = OPEN_SPANS; i > 0; i--)
        nsp_span_end(spans[i - 1]);
    capture_settle();
    assert_int_equal(capture_count(), OPEN_SPANS);
    assert_int_equal(capture_balance().dropped_too_deep, 1);
    capture_end();
}

static void the_ring_may_be_full(void **state)
{
    (void)state;
    begin(1);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    do
        nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    while (counts().dropped_ring_full == 0);
    check_unseen(2);
    nsp_span_end(root);
    check_unseen(2);
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("refused"))));
    check_unseen(2);
    nsp_thread_reset();
    capture_settle();
    capture_end();
}

static void unsampled_roots_need_no_record(void **state)
{
    (void)state;
    begin(0);
    nsp_span_end(nsp_span_begin(NSP_NAME("span"))); // the thread reads the policy
    check_unseen(0);
    nsp_span *root = nsp_span_begin(NSP_NAME("span"));
    check_unseen(0);
    nsp_span_end(root);
    // It follows the policy in force, whether or not a root has met it.
    assert_int_equal(nsp_sampler_set_rule("kept*", 1), NSP_OK);
    check_unseen(2);
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    check_unseen(2);
    assert_int_equal(nsp_sampler_remove_rule("kept*"), NSP_OK);
    check_unseen(0);
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    check_unseen(0);
    capture_settle();
    assert_int_equal(capture_count(), 0);
    capture_end();
}

static void no_draw_is_taken_from_the_sampler(void **state)
{
    (void)state;
    enum { ROOTS = 200 };
    begin(0.25);
    size_t recorded = 0;
    for (int i = 0; i < ROOTS; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span"));
        recorded += nsp_span_recording(span);
        nsp_span_end(span);
        check_unseen(2);
    }
    capture_settle();
    assert_int_equal(capture_count(), recorded);
    assert_int_equal(capture_balance().roots_unsampled, ROOTS - recorded);
    capture_end();
}

static void *warm_unattached(void *argument)
{
    (void)argument;
    for (int i = 0; i < TIMES; i++)
        nsp_thread_warm();
    assert_null(nsp__producer_self());
    return NULL;
}

static void on_a_thread(void *(*run)(void *))
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
    pthread_join(thread, NULL);
}

static void without_a_session_it_does_nothing(void **state)
{
    (void)state;
    on_a_thread(warm_unattached); // before nsp_init
    begin(1);
    uint32_t threads = counts().threads;
    on_a_thread(warm_unattached);
    assert_int_equal(counts().threads, threads);
    nsp_span *open = nsp_span_begin(NSP_NAME("open"));
    assert_true(nsp_span_recording(open));
    assert_int_equal(nsp_shutdown(UINT64_C(10000000000)), NSP_OK);
    nsp_thread_warm(); // the thread has yet to notice
    nsp_span_end(open);
    nsp_thread_warm();
    nsp_span_end(nsp_span_begin(NSP_NAME("late")));
    nsp_thread_warm();
    capture_forget();
    begin(1);
    check_unseen(2);
    capture_end();

    nsp_config config;
    capture_config(&config);
    config.enabled = false;
    assert_int_equal(nsp_init(&config), NSP_OK);
    on_a_thread(warm_unattached);
    nsp_thread_warm();
    assert_int_equal(nsp_shutdown(UINT64_C(10000000000)), NSP_OK);
}

static void in_child(void *argument)
{
    (void)argument;
    nsp_thread_warm();
    CHILD_CHECK(nsp__producer_self() == NULL);
    nsp_span *span = nsp_span_begin(NSP_NAME("in the child"));
    CHILD_CHECK(nsp_span_recording(span));
    nsp_thread_warm();
    CHILD_CHECK(discarded() == 2);
    nsp_span_end(span);
    _exit(0);
}

static void a_child_is_not_disturbed(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    begin(1);
    nsp_span *open = nsp_span_begin(NSP_NAME("open"));
    nsp_thread_warm();
    assert_int_equal(child_run(in_child, NULL, 60), 0);
    check_unseen(2);
    nsp_span_end(open);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    capture_end();
}

// ---- signals ----

static uint64_t handler_runs;
static void *interrupted; // its context
static nsp_name name_handler, name_root, name_child;
static nsp_name key_number;

static void record_in_handler(void)
{
    nsp_span *span = nsp_span_begin(name_handler);
    nsp_span_set_i64(span, key_number, 5);
    nsp_thread_warm();
    nsp_span_end(span);
}

static void fork_in_handler(void)
{
    pid_t child = fork();
    if (child == 0)
        step_no_more(interrupted); // the child goes on there
    else if (child < 0 || child_wait(child, 60) != 0)
        abort();
}

static void (*handler_body)(void);

static void on_step(int number, siginfo_t *information, void *context)
{
    (void)number;
    (void)information;
    if (!of_this_program(stepped_to(context)))
        return;
    handler_runs++;
    interrupted = context;
    handler_body();
}

static void begin_stepping(double rate, void (*body)(void))
{
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    name_handler = NSP_NAME("handler");
    name_root = NSP_NAME("root");
    name_child = NSP_NAME("child");
    key_number = NSP_KEY("number");
    nsp_config config;
    capture_config(&config);
    config.sample_rate = rate;
    config.ring_bytes = 4 << 20;
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    nsp_span_end(nsp_span_begin(name_root)); // the thread reads the policy
    handler_body = body;
    handler_runs = 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_step;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
}

static bool warm(void)
{
    nsp_thread_warm();
    return true;
}

static bool run_trace(void)
{
    nsp_span *root = nsp_span_begin(name_root);
    nsp_span *child = nsp_span_begin(name_child);
    nsp_span_set_i64(child, key_number, 5);
    child = nsp_span_next(child, name_child);
    nsp_span_set_i64(child, key_number, 5);
    nsp_span_end(child);
    nsp_span_end(root);
    return true;
}

// None of the handler's spans is lost, since the thread's own state is never in use.
static void handlers_record_at_every_instruction(void **state)
{
    (void)state;
    begin_stepping(1, record_in_handler);
    run_stepped(warm);
    nsp_span *root = nsp_span_begin(name_root);
    run_stepped(warm);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end(root);
    assert_true(handler_runs > 600);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(capture_count_named("handler"), handler_runs);
    assert_int_equal(stats.attempted, handler_runs + 2);
    assert_int_equal(stats.exported, stats.attempted);
    assert_int_equal(stats.misused, 0);
    assert_int_equal(capture_distinct(), capture_count());
    for (size_t i = 0; i < capture_count(); i++)
        assert_true(strcmp(capture_at(i)->name, "handler") != 0 ||
                    strcmp(captured_text(capture_at(i), "number"), "5") == 0);
    capture_end();
}

static void handlers_warm_at_every_instruction_of_spans(void **state)
{
    (void)state;
    begin_stepping(1, nsp_thread_warm);
    run_stepped(run_trace);
    assert_true(handler_runs > 300);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.attempted, 4);
    assert_int_equal(stats.exported, 4);
    assert_int_equal(stats.misused, 0);
    assert_string_equal(captured_text(capture_named("child"), "number"), "5");
    capture_end();
}

// The child returns into what its parent was doing, with a thread that is not attached.
static void forks_at_every_instruction(void **state)
{
    (void)state;
    if (TEST_UNDER_ASAN)
        SKIP_BECAUSE("forks take too long under the address sanitizer");
    begin_stepping(1, fork_in_handler);
    pid_t parent = getpid();
    run_stepped(warm);
    if (getpid() != parent)
        _exit(nsp__producer_self() == NULL ? 0 : 1);
    assert_true(handler_runs > 300);
    capture_settle();
    assert_int_equal(capture_balance().attempted, 1);
    capture_end();
}

// ---- threads ----

static bool stop;

static void *work(void *argument)
{
    uint64_t *recorded = argument;
    nsp_thread_attach(NULL);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        nsp_span *root = nsp_span_begin(NSP_NAME("root"));
        nsp_thread_warm();
        nsp_span *child = nsp_span_begin(NSP_NAME("child"));
        nsp_span_end(child);
        nsp_span_end(root);
        for (int i = 0; i < 20; i++)
            nsp_thread_warm();
        __atomic_fetch_add(recorded, nsp_span_recording(child), __ATOMIC_RELAXED);
    }
    return NULL;
}

// Until each thread has recorded something, but at most a minute. On a busy machine it may take a while until all
// of them have had a processor.
static void wait_for_records(const uint64_t *recorded, unsigned count)
{
    for (unsigned i = 0, tries = 0; i < count && tries < 12000; tries++) {
        if (__atomic_load_n(&recorded[i], __ATOMIC_RELAXED) > 0)
            i++;
        else
            nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

static void threads_and_the_end_of_the_session(void **state)
{
    (void)state;
    enum { THREADS = 3, CHANGES = 20 };
    for (int round = 0; round < 3; round++) {
        nsp_config config;
        capture_config(&config);
        config.ring_bytes = 256 * 1024;
        capture_start(&config);
        capture_keep(false);
        pthread_t threads[THREADS];
        uint64_t recorded[THREADS] = {0};
        __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, work, &recorded[i]), 0);
        for (int i = 0; i < CHANGES; i++) {
            assert_int_equal(nsp_sampler_set_rate(i % 3 / 2.0), NSP_OK);
            nanosleep(&(struct timespec){0, 5000000}, NULL);
        }
        wait_for_records(recorded, THREADS); // the last rate is not 0
        // While they go on, so it may have to discard what ends meanwhile. Another session follows at once.
        nsp_shutdown(UINT64_C(60000000000));
        nsp_stats stats = counts();
        assert_int_equal(stats.attempted, stats.exported + stats.dropped + stats.discarded + stats.open);
        assert_int_equal(stats.misused, 0);
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_true(recorded[i] > 0);
        }
        capture_forget();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_is_seen_of_it, capture_teardown),
        cmocka_unit_test_teardown(open_spans_stay_as_they_are, capture_teardown),
        cmocka_unit_test_teardown(the_stack_may_be_full, capture_teardown),
        cmocka_unit_test_teardown(the_ring_may_be_full, capture_teardown),
        cmocka_unit_test_teardown(unsampled_roots_need_no_record, capture_teardown),
        cmocka_unit_test_teardown(no_draw_is_taken_from_the_sampler, capture_teardown),
        cmocka_unit_test_teardown(without_a_session_it_does_nothing, capture_teardown),
        cmocka_unit_test_teardown(a_child_is_not_disturbed, capture_teardown),
        cmocka_unit_test_teardown(handlers_record_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(handlers_warm_at_every_instruction_of_spans, capture_teardown),
        cmocka_unit_test_teardown(forks_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(threads_and_the_end_of_the_session, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
