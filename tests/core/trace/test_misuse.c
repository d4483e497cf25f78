// SPDX-License-Identifier: Apache-2.0
//
// Misuse is counted and corrupts nothing, and the counters still balance.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "support/capture.h"

static uint64_t misused_before;

// Returns how many misuses were counted since the last call.
static uint64_t misused(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    uint64_t more = stats.misused - misused_before;
    misused_before = stats.misused;
    return more;
}

static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_begin(1.0);
    misused_before = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    return 0;
}

static void on_a_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

// The thread still works: a trace of two spans arrives correctly.
static void assert_healthy(void)
{
    static const uint8_t none[NSP_SPAN_ID_SIZE];
    assert_null(nsp_span_current());
    capture_settle();
    size_t before = capture_count();
    nsp_span *root = nsp_span_begin(NSP_NAME("health.root"));
    nsp_span *child = nsp_span_begin(NSP_NAME("health.child"));
    assert_true(nsp_span_recording(child));
    nsp_span_end(child);
    nsp_span_end(root);
    assert_null(nsp_span_current());
    capture_settle();
    assert_int_equal(capture_count(), before + 2);
    assert_memory_equal(capture_at(before + 1)->parent_id, none, sizeof none);
    assert_true(captured_child_of(capture_at(before), capture_at(before + 1)));
    assert_int_equal(misused(), 0);
    assert_int_equal(capture_balance().open, 0);
    assert_int_equal(capture_distinct(), capture_count());
}

// Handles of ended spans, one for each way to begin a span.
enum { ENDED = 6 };

static void ended_handles(nsp_span *handles[ENDED])
{
    nsp_context remote;
    assert_int_equal(
        nsp_context_parse(&remote, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", NULL), NSP_OK);
    nsp_span_options unsampled = NSP_SPAN_OPTIONS_INIT;
    unsampled.parent = &remote;
    handles[0] = nsp_span_begin(NSP_NAME("root"));
    handles[1] = nsp_span_begin(NSP_NAME("child"));
    handles[2] = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    handles[3] = nsp_span_begin_with(NSP_NAME("unsampled"), &unsampled);
    handles[4] = nsp_span_begin_detached(NSP_NAME("unsampled detached"), &unsampled);
    nsp_span_end(handles[4]);
    nsp_span_end(handles[3]);
    handles[5] = nsp_span_begin(NSP_NAME("other child"));
    nsp_span_end(handles[5]);
    nsp_span_end(handles[2]);
    nsp_span_end(handles[1]);
    nsp_span_end(handles[0]);
    assert_int_equal(misused(), 0);
}

static void everything_on_an_ended_span_is_counted(void **state)
{
    (void)state;
    nsp_span *handles[ENDED];
    ended_handles(handles);
    nsp_context context, valid;
    assert_int_equal(
        nsp_context_parse(&valid, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL), NSP_OK);
    for (size_t i = 0; i < ENDED; i++) {
        nsp_span *span = handles[i];
        bool was_recording = nsp_span_recording(span);
        nsp_span_end(span);
        assert_int_equal(misused(), 1);
        nsp_span_end_at(span, nsp_now());
        assert_int_equal(misused(), 1);
        assert_false(nsp_span_recording(nsp_span_next(span, NSP_NAME("next"))));
        assert_int_equal(misused(), 1);
        nsp_span_context(span, &context);
        assert_false(nsp_context_valid(&context));
        assert_int_equal(misused(), 1);
        nsp_span_enter(span);
        assert_int_equal(misused(), 1);
        nsp_span_leave(span);
        assert_int_equal(misused(), 0); // allowed, because its end has removed the entry
        nsp_span_set_i64(span, NSP_KEY("k"), 1);
        nsp_span_set_str(span, NSP_KEY("k"), "short");
        nsp_span_set_str(span, NSP_KEY("k"), "a text that is longer than sixteen bytes");
        nsp_span_set_bool(span, NSP_KEY("k"), true);
        nsp_span_set_strs(span, NSP_KEY("k"), NULL, 0);
        nsp_span_add_event(span, NSP_NAME("e"));
        nsp_span_add_link(span, &valid);
        nsp_span_set_status(span, NSP_SPAN_STATUS_OK, NULL);
        assert_int_equal(misused(), was_recording ? 8 : 0);
    }
    assert_healthy();
    for (size_t i = 0; i < capture_count(); i++)
        assert_int_equal(capture_at(i)->attribute_count + capture_at(i)->event_count, 0);
}

static void a_second_end_does_not_touch_the_span_that_came_after(void **state)
{
    (void)state;
    // The next span takes the same frame. Handles carry seven bits of the thread's count of spans, and each
    // round begins two spans, so the handles differ for sixty rounds.
    nsp_span *ended = nsp_span_begin(NSP_NAME("ended"));
    nsp_span_end(ended);
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("ended"), NULL);
    nsp_span_end(detached);
    for (int i = 0; i < 60; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("after"));
        nsp_span *other = nsp_span_begin_detached(NSP_NAME("after"), NULL);
        assert_ptr_not_equal(span, ended);
        assert_ptr_not_equal(other, detached);
        nsp_span_end(ended);
        nsp_span_end(detached);
        nsp_span_set_i64(ended, NSP_KEY("k"), 1);
        nsp_span_set_i64(detached, NSP_KEY("k"), 1);
        assert_int_equal(misused(), 4);
        assert_ptr_equal(nsp_span_current(), span);
        nsp_span_end(other);
        nsp_span_end(span);
        assert_int_equal(misused(), 0);
    }
    assert_healthy();
    for (size_t i = 0; i < capture_count(); i++)
        assert_int_equal(capture_at(i)->attribute_count, 0);
}

static void the_wrong_order_is_counted_and_all_spans_arrive(void **state)
{
    (void)state;
    nsp_span *a = nsp_span_begin(NSP_NAME("a"));
    nsp_span *b = nsp_span_begin(NSP_NAME("b"));
    nsp_span *c = nsp_span_begin(NSP_NAME("c"));
    nsp_span_end(a);
    assert_int_equal(misused(), 1);
    assert_ptr_equal(nsp_span_current(), c);
    nsp_span *under_b = nsp_span_next(b, NSP_NAME("b2")); // not the innermost: b2 takes its place
    assert_int_equal(misused(), 1);
    assert_true(nsp_span_recording(under_b));
    assert_ptr_equal(nsp_span_current(), c);
    nsp_span_end(nsp_span_begin(NSP_NAME("d")));
    nsp_span_end(under_b);
    assert_int_equal(misused(), 1);
    nsp_span_end(c);
    assert_int_equal(misused(), 0);
    // An unsampled span that is not the innermost.
    nsp_context remote;
    assert_int_equal(
        nsp_context_parse(&remote, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", NULL), NSP_OK);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &remote;
    nsp_span *outer = nsp_span_begin_with(NSP_NAME("outer"), &options);
    nsp_span *inner = nsp_span_begin_with(NSP_NAME("inner"), &options);
    nsp_span_end(outer);
    assert_int_equal(misused(), 1);
    nsp_span_end(inner);
    assert_healthy();
    assert_true(captured_child_of(capture_named("b"), capture_named("a")));
    assert_true(captured_child_of(capture_named("b2"), capture_named("a")));
    assert_true(captured_child_of(capture_named("d"), capture_named("c")));
    assert_int_equal(capture_count_named("a") + capture_count_named("c"), 2);
}

static void enter_and_leave_by_mistake(void **state)
{
    (void)state;
    // Leave without enter: on an open span of the stack, on an open detached span, and on inert spans, where
    // nothing happens.
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span_leave(root);
    assert_int_equal(misused(), 1);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_leave(detached);
    assert_int_equal(misused(), 1);
    nsp_span_leave(NULL);
    assert_ptr_equal(nsp_span_current(), root);
    // A span of the stack must not be entered.
    nsp_span_enter(root);
    assert_int_equal(misused(), 1);
    nsp_span_leave(root);
    assert_int_equal(misused(), 1);
    // Left in the wrong order, and with a span above still open.
    nsp_span *other = nsp_span_begin_detached(NSP_NAME("other"), NULL);
    nsp_span_enter(detached);
    nsp_span_enter(other);
    nsp_span_leave(detached);
    assert_int_equal(misused(), 1);
    assert_ptr_equal(nsp_span_current(), other);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_leave(other);
    assert_int_equal(misused(), 1);
    assert_ptr_equal(nsp_span_current(), child);
    nsp_span_end(child);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end(root);
    nsp_span_end(other);
    nsp_span_end(detached);
    assert_healthy();
    assert_true(captured_child_of(capture_named("child"), capture_named("other")));
}

// ---- the wrong thread ----

static nsp_span *victim, *unsampled_victim;

static void *use_anothers_span(void *argument)
{
    (void)argument;
    nsp_context context;
    nsp_span_end(victim);
    nsp_span_enter(victim);
    nsp_span_leave(victim);
    assert_false(nsp_span_recording(nsp_span_next(victim, NSP_NAME("next"))));
    nsp_span_end(unsampled_victim);
    nsp_span_end(nsp_span_next(unsampled_victim, NSP_NAME("next")));
    nsp_span_context(victim, &context); // allowed, because it only reads
    assert_true(nsp_context_valid(&context));
    // The same while the thread has open spans of its own.
    nsp_span *own = nsp_span_begin(NSP_NAME("own"));
    nsp_span_end(victim);
    nsp_span_end(unsampled_victim);
    assert_ptr_equal(nsp_span_current(), own);
    nsp_span_end(own);
    return NULL;
}

static void another_threads_span_is_left_alone(void **state)
{
    (void)state;
    nsp_sampler_set_rule("unsampled", 0);
    unsampled_victim = nsp_span_begin(NSP_NAME("unsampled"));
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    victim = nsp_span_begin_with(NSP_NAME("victim"), &options);
    assert_true(nsp_span_recording(victim) && !nsp_span_recording(unsampled_victim));
    on_a_thread(use_anothers_span, NULL);
    assert_int_equal(misused(), 8);
    assert_ptr_equal(nsp_span_current(), victim);
    nsp_span_set_i64(victim, NSP_KEY("mine"), 1);
    nsp_span_end(victim);
    assert_ptr_equal(nsp_span_current(), unsampled_victim);
    nsp_span_end(unsampled_victim);
    assert_int_equal(misused(), 0);
    assert_healthy();
    assert_string_equal(captured_text(capture_named("victim"), "mine"), "1");
    assert_int_equal(capture_count_named("victim"), 1);
}

static void *leave_open(void *argument)
{
    nsp_span **handles = argument;
    handles[0] = nsp_span_begin(NSP_NAME("root"));
    handles[1] = nsp_span_begin(NSP_NAME("child"));
    return NULL;
}

static void what_a_dead_thread_left_is_ended_and_counted(void **state)
{
    (void)state;
    nsp_span *handles[2];
    on_a_thread(leave_open, handles);
    assert_int_equal(capture_balance().leaked, 2);
    nsp_span_end(handles[0]);
    nsp_span_end(handles[1]);
    assert_int_equal(misused(), 2);
    on_a_thread(leave_open, handles); // in the same slot as before, and while this thread has a slot too
    nsp_span_end(handles[1]);
    assert_int_equal(misused(), 1);
    assert_int_equal(capture_balance().leaked, 4);
    assert_healthy();
    assert_int_equal(capture_count_named("root"), 2);
}

static void handles_from_before_a_reset_are_ended(void **state)
{
    (void)state;
    nsp_span *outer = nsp_span_begin(NSP_NAME("outer"));
    nsp_span *inner = nsp_span_begin(NSP_NAME("inner"));
    nsp_thread_reset();
    assert_int_equal(capture_balance().leaked, 2);
    nsp_span_end(inner);
    nsp_span_end(outer);
    assert_int_equal(misused(), 2);
    // All unsampled roots of a thread have the same handle, so only a second end can be noticed.
    nsp_sampler_set_rate(0);
    nsp_span *unsampled = nsp_span_begin(NSP_NAME("unsampled"));
    nsp_thread_reset();
    nsp_span_end(unsampled);
    assert_int_equal(misused(), 1);
    nsp_sampler_set_rate(1);
    assert_healthy();
}

// ---- races ----

enum { RACERS = 4, RACES = 3000 };

static struct {
    pthread_barrier_t barrier;
    nsp_span *span;
} race;

static void *end_in_a_race(void *argument)
{
    bool leader = argument != NULL;
    for (int i = 0; i < RACES; i++) {
        if (leader) {
            nsp_sampler_set_rate(i % 64 < 32); // unsampled roots as well
            race.span = nsp_span_begin_detached(NSP_NAME("raced for"), NULL);
        }
        pthread_barrier_wait(&race.barrier);
        nsp_span_end(race.span);
        pthread_barrier_wait(&race.barrier);
    }
    return NULL;
}

static void of_many_ends_at_once_one_counts(void **state)
{
    (void)state;
    pthread_t threads[RACERS];
    assert_int_equal(pthread_barrier_init(&race.barrier, NULL, RACERS), 0);
    for (size_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, end_in_a_race, i == 0 ? &race : NULL), 0);
    for (size_t i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.barrier);
    assert_int_equal(misused(), RACES * (RACERS - 1));
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.attempted + stats.roots_unsampled, RACES);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.dropped, 0);
    capture_settle();
    assert_int_equal(capture_count(), stats.attempted);
    assert_int_equal(capture_distinct(), capture_count());
    // The pool is complete: each of its places can be taken once.
    static nsp_span *places[1024];
    for (size_t i = 0; i < 1024; i++)
        places[i] = nsp_span_begin_detached(NSP_NAME("place"), NULL);
    for (size_t i = 0; i < 1024; i++)
        nsp_span_end(places[i]);
    assert_int_equal(misused(), 0);
    assert_int_equal(capture_balance().open, 0);
}

// ---- random calls ----

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (*random >> 33) % below;
}

// Calls in random order on old and new handles. Shared handles are passed on under a lock.
enum { SHARED = 16, CALLS = 20000 };
static nsp_span *shared[SHARED];
static pthread_mutex_t shared_mutex = PTHREAD_MUTEX_INITIALIZER;

static void *monkey(void *argument)
{
    uint64_t random = (uintptr_t)argument;
    nsp_span *own[SHARED] = {NULL};
    nsp_context context;
    memset(&context, 0, sizeof context);
    for (int i = 0; i < CALLS; i++) {
        bool use_shared = draw(&random, 3) == 0;
        if (use_shared)
            pthread_mutex_lock(&shared_mutex);
        nsp_span **place = &(use_shared ? shared : own)[draw(&random, SHARED)];
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.new_root = draw(&random, 4) == 0;
        options.parent = draw(&random, 2) == 0 ? &context : NULL;
        uint64_t call = draw(&random, 12);
        bool ends = call == 2 || call == 3;
        switch (call) {
        case 0:
            *place =
                use_shared ? nsp_span_begin_detached(NSP_NAME("d"), &options) : nsp_span_begin(NSP_NAME("b"));
            break;
        case 1:
            *place = use_shared ? nsp_span_begin_detached(NSP_NAME("d"), NULL)
                                : nsp_span_begin_with(NSP_NAME("w"), &options);
            break;
        case 2: nsp_span_end(*place); break;
        case 3: nsp_span_end_at(*place, nsp_now()); break;
        case 4: *place = nsp_span_next(*place, NSP_NAME("n")); break;
        case 5:
            if (!use_shared)
                nsp_span_enter(*place); // the thread's own detached spans begin further down
            break;
        case 6: nsp_span_leave(*place); break;
        case 7: nsp_span_context(*place, &context); break;
        case 8: nsp_span_set_str(*place, NSP_KEY("k"), "a text that is longer than sixteen bytes"); break;
        case 9: nsp_span_add_event(*place, NSP_NAME("e")); break;
        case 10:
            if (draw(&random, 20) == 0)
                nsp_thread_reset();
            break;
        default:
            if (!use_shared)
                *place = nsp_span_begin_detached(NSP_NAME("o"), NULL);
            nsp_span_set_i64(*place, NSP_KEY("i"), i);
        }
        if (use_shared) {
            if (ends) // its place may go to a thread that does not use the lock
                *place = NULL;
            pthread_mutex_unlock(&shared_mutex);
        }
    }
    for (size_t i = 0; i < SHARED; i++)
        nsp_span_end(own[i]);
    return NULL;
}

static void calls_in_no_order_keep_the_books(void **state)
{
    (void)state;
    pthread_t threads[3];
    nsp_sampler_set_rate(0.7);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, monkey, (void *)(i + 1)), 0);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    nsp_sampler_set_rate(1);
    for (size_t i = 0; i < SHARED; i++) {
        nsp_span_end(shared[i]);
        shared[i] = NULL;
    }
    nsp_thread_reset();
    capture_settle();
    // Detached spans whose handles were overwritten stay open for ever; they are the only ones.
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.in_rings + stats.in_batches, 0);
    assert_int_equal(stats.exported, capture_count());
    assert_int_equal(capture_distinct(), capture_count());
    assert_true(stats.misused > 0);
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    capture_balance();
    capture_forget();
    begin(NULL);
    assert_healthy();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(everything_on_an_ended_span_is_counted),
        TEST(a_second_end_does_not_touch_the_span_that_came_after),
        TEST(the_wrong_order_is_counted_and_all_spans_arrive),
        TEST(enter_and_leave_by_mistake),
        TEST(another_threads_span_is_left_alone),
        TEST(what_a_dead_thread_left_is_ended_and_counted),
        TEST(handles_from_before_a_reset_are_ended),
        TEST(of_many_ends_at_once_one_counts),
        TEST(calls_in_no_order_keep_the_books),
    };
    return cmocka_run_group_tests_name("misuse", tests, NULL, NULL);
}
