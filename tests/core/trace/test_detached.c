// SPDX-License-Identifier: Apache-2.0
//
// Detached spans from a bounded pool: passed from thread to thread, entered and left.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "support/capture.h"
#include "trace/trace_state.h"

static size_t place_of(const nsp_span *span)
{
    const nsp__detached_pool *pool = &nsp__trace_state.pool;
    return (size_t)((uintptr_t)nsp__frame_of(span) - (uintptr_t)pool->frames) / pool->stride;
}

static int begin_with_pool(uint32_t detached_spans)
{
    nsp_thread_reset();
    nsp_config config;
    capture_config(&config);
    config.detached_spans = detached_spans;
    config.ring_bytes = 256 * 1024;
    capture_start(&config);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return begin_with_pool(64);
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

static bool is_root(const captured_span *span)
{
    static const uint8_t none[NSP_SPAN_ID_SIZE];
    return memcmp(span->parent_id, none, sizeof none) == 0;
}

// ---- identity ----

static void a_detached_span_is_a_child_of_what_is_current_but_does_not_become_it(void **state)
{
    (void)state;
    nsp_span *alone = nsp_span_begin_detached(NSP_NAME("alone"), NULL);
    assert_null(nsp_span_current());
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *child = nsp_span_begin_detached(NSP_NAME("child"), NULL);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    options.kind = NSP_KIND_CONSUMER;
    options.start = nsp_now();
    nsp_span *other = nsp_span_begin_detached(NSP_NAME("new root"), &options);
    nsp_context context;
    nsp_span_context(alone, &context);
    options = (nsp_span_options)NSP_SPAN_OPTIONS_INIT;
    options.parent = &context;
    nsp_span *explicit = nsp_span_begin_detached(NSP_NAME("explicit"), &options);
    nsp_span_end(root); // the child outlives its parent
    nsp_span_set_str(child, NSP_KEY("late"), "yes");
    nsp_span_end(child);
    nsp_span_end(other);
    nsp_span_end(explicit);
    nsp_span_end(alone);

    capture_settle();
    assert_true(is_root(capture_named("alone")) && is_root(capture_named("new root")));
    assert_true(captured_child_of(capture_named("child"), capture_named("root")));
    assert_true(captured_child_of(capture_named("explicit"), capture_named("alone")));
    assert_memory_equal(capture_named("child")->local_root_id, capture_named("root")->span_id,
                        NSP_SPAN_ID_SIZE);
    assert_string_equal(captured_text(capture_named("child"), "late"), "yes");
    assert_int_equal(capture_named("new root")->kind, NSP_KIND_CONSUMER);
    assert_int_equal(capture_balance().misused, 0);
}

static void next_of_a_detached_span_stays_detached(void **state)
{
    (void)state;
    nsp_span *order = nsp_span_begin(NSP_NAME("order"));
    nsp_span *phase = nsp_span_begin_detached(NSP_NAME("phase 1"), NULL);
    nsp_span_set_i64(phase, NSP_KEY("k"), 1);
    phase = nsp_span_next(phase, NSP_NAME("phase 2"));
    assert_ptr_equal(nsp_span_current(), order);
    nsp_span_end(order);
    phase = nsp_span_next(phase, NSP_NAME("phase 3"));
    nsp_span_end(phase);
    nsp_span *root = nsp_span_begin_detached(NSP_NAME("root 1"), NULL);
    root = nsp_span_next(root, NSP_NAME("root 2"));
    assert_null(nsp_span_current());
    nsp_span_end(root);

    capture_settle();
    for (int i = 1; i <= 3; i++) {
        char text[16];
        snprintf(text, sizeof text, "phase %d", i);
        assert_true(captured_child_of(capture_named(text), capture_named("order")));
    }
    assert_int_equal(capture_named("phase 1")->end_ns, capture_named("phase 2")->start_ns);
    assert_int_equal(capture_named("phase 2")->attribute_count, 0);
    assert_true(is_root(capture_named("root 1")) && is_root(capture_named("root 2")));
    assert_memory_not_equal(capture_named("root 1")->trace_id, capture_named("root 2")->trace_id,
                            NSP_TRACE_ID_SIZE);
    assert_int_equal(capture_balance().misused, 0);
}

// ---- enter and leave ----

static void what_happens_within_an_entered_span_is_its_child(void **state)
{
    (void)state;
    nsp_span *order = nsp_span_begin_detached(NSP_NAME("order"), NULL);
    nsp_span *loop = nsp_span_begin(NSP_NAME("loop"));
    nsp_span_enter(order);
    assert_ptr_equal(nsp_span_current(), order);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span *other = nsp_span_begin_detached(NSP_NAME("other"), NULL);
    nsp_span_enter(other);
    nsp_span_enter(order); // nested, and the same one twice
    nsp_span_end(nsp_span_begin(NSP_NAME("grandchild")));
    nsp_span_leave(order);
    assert_ptr_equal(nsp_span_current(), other);
    nsp_span_leave(other);
    assert_ptr_equal(nsp_span_current(), child);
    nsp_span_end(child);
    assert_ptr_equal(nsp_span_current(), order);
    nsp_span_leave(order);
    assert_ptr_equal(nsp_span_current(), loop);
    nsp_span_end(loop);
    nsp_span_end(other);
    nsp_span_end(order);

    capture_settle();
    assert_true(captured_child_of(capture_named("child"), capture_named("order")));
    assert_true(captured_child_of(capture_named("other"), capture_named("child")));
    assert_true(captured_child_of(capture_named("grandchild"), capture_named("order")));
    assert_true(is_root(capture_named("loop")));
    assert_int_equal(capture_balance().misused, 0);
}

static void a_span_may_end_or_go_on_while_it_is_entered(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("ended"), NULL);
    nsp_span_enter(span);
    nsp_span_enter(span);
    nsp_span_end(span);
    assert_null(nsp_span_current());
    nsp_span_leave(span);
    nsp_span_leave(span);
    assert_null(nsp_span_current());

    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    span = nsp_span_begin_detached(NSP_NAME("before"), NULL);
    nsp_span_enter(span);
    nsp_span_enter(span);
    span = nsp_span_next(span, NSP_NAME("after"));
    assert_ptr_equal(nsp_span_current(), span);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_leave(span);
    assert_ptr_equal(nsp_span_current(), span);
    nsp_span_leave(span);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end(span);
    nsp_span_end(root);

    capture_settle();
    assert_true(captured_child_of(capture_named("child"), capture_named("after")));
    assert_true(captured_child_of(capture_named("after"), capture_named("root")));
    assert_int_equal(capture_balance().misused, 0);
}

static void under_an_inert_span_all_is_inert(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_enter(NULL);
    assert_false(nsp_span_recording(nsp_span_current()));
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    assert_non_null(child);
    assert_false(nsp_span_recording(child));
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    assert_false(nsp_span_recording(detached));
    nsp_span_end(detached);
    nsp_span_enter(child);
    nsp_span_leave(child);
    nsp_span_end(child);
    nsp_span_leave(NULL);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end(root);

    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_span *unsampled = nsp_span_begin_detached(NSP_NAME("unsampled"), NULL);
    assert_false(nsp_span_recording(unsampled));
    nsp_span_enter(unsampled);
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("child"))));
    nsp_span_leave(unsampled);
    assert_null(nsp_span_current());
    nsp_span_end(unsampled);
    // Where NULL was entered there is nothing to be a child of, so a detached span has no identity.
    nsp_span_enter(NULL);
    detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_context context;
    nsp_span_context(detached, &context);
    static const nsp_context invalid;
    assert_memory_equal(&context, &invalid, sizeof context);
    nsp_span_end(detached);
    nsp_span_leave(NULL);
    assert_int_equal(capture_balance().misused, 0);
    capture_settle();
    assert_int_equal(capture_count(), 1);
}

static void entering_deeper_than_the_stack_pairs_up(void **state)
{
    (void)state;
    enum { ENTRIES = 50 }; // the limit is 32
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("span"), NULL);
    for (int i = 0; i < ENTRIES; i++)
        nsp_span_enter(span);
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("too deep"))));
    for (int i = 0; i < ENTRIES; i++) {
        assert_ptr_equal(nsp_span_current(), span);
        nsp_span_leave(span);
    }
    assert_null(nsp_span_current());
    nsp_span_end(span);
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.dropped_too_deep, 1);
}

static void reset_leaves_entered_spans_and_ends_the_others(void **state)
{
    (void)state;
    nsp_span *order = nsp_span_begin_detached(NSP_NAME("order"), NULL);
    nsp_span_begin(NSP_NAME("outer"));
    nsp_span_enter(order);
    nsp_span_begin(NSP_NAME("inner"));
    nsp_span_enter(NULL);
    nsp_thread_reset();
    assert_null(nsp_span_current());
    assert_int_equal(capture_balance().leaked, 2);
    nsp_span_end(order);
    // Unsampled ones are ended and counted as well.
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_span_begin(NSP_NAME("unsampled"));
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    nsp_span_begin_with(NSP_NAME("unsampled in a frame"), &options);
    nsp_thread_reset();
    assert_null(nsp_span_current());
    nsp_thread_reset();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.leaked, 4);
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.open, 0);
    capture_settle();
    assert_int_equal(capture_count(), 3);
    assert_true(captured_child_of(capture_named("inner"), capture_named("order")));
}

// ---- threads ----

static void *work_on(void *argument)
{
    nsp_span *span = argument; // handed over by pthread_create
    nsp_span_set_str(span, NSP_KEY("thread"), "other");
    nsp_span_add_event(span, NSP_NAME("moved"));
    nsp_span_enter(span);
    nsp_span_end(nsp_span_begin(NSP_NAME("on the other thread")));
    nsp_span_leave(span);
    span = nsp_span_next(span, NSP_NAME("second half"));
    nsp_span_end(span);
    return NULL;
}

static void *go_on(void *argument)
{
    // The thread's very first call.
    nsp_span_end(nsp_span_next(argument, NSP_NAME("went on")));
    return NULL;
}

static void *end_it(void *argument)
{
    nsp_span_end(argument);
    return NULL;
}

static void a_span_goes_from_thread_to_thread(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("first half"), NULL);
    nsp_span_set_str(span, NSP_KEY("thread"), "one");
    on_a_thread(work_on, span);
    on_a_thread(go_on, nsp_span_begin_detached(NSP_NAME("stopped here"), NULL));
    on_a_thread(end_it, nsp_span_begin_detached(NSP_NAME("only ended"), NULL));
    nsp_span_end(root);

    capture_settle();
    const captured_span *first = capture_named("first half");
    assert_string_equal(captured_text(first, "thread"), "other");
    assert_int_equal(first->attribute_count, 2);
    assert_int_equal(first->event_count, 1);
    assert_true(captured_child_of(capture_named("on the other thread"), first));
    assert_true(captured_child_of(capture_named("second half"), capture_named("root")));
    assert_true(captured_child_of(capture_named("went on"), capture_named("root")));
    assert_true(captured_child_of(capture_named("only ended"), capture_named("root")));
    assert_int_equal(capture_balance().misused, 0);
}

static void *begin_and_leave_open(void *argument)
{
    nsp_span **spans = argument;
    for (size_t i = 0; i < 16; i++)
        spans[i] = nsp_span_begin_detached(NSP_NAME("orphan"), NULL);
    return NULL;
}

static void spans_outlive_the_thread_that_began_them(void **state)
{
    (void)state;
    // More rounds than the pool has places: the places of dead threads are used again.
    nsp_span *spans[16];
    for (int round = 0; round < 20; round++) {
        on_a_thread(begin_and_leave_open, spans);
        assert_int_equal(capture_balance().open, 16);
        for (size_t i = 0; i < 16; i++) {
            assert_true(nsp_span_recording(spans[i]));
            nsp_span_end(spans[i]);
        }
    }
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.leaked, 0);
    assert_int_equal(stats.attempted, 20 * 16);
}

static void a_pool_that_is_used_up_drops_and_counts(void **state)
{
    (void)state;
    enum { POOL = 64, MORE = 10 };
    nsp_span *spans[POOL + MORE];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < POOL + MORE; i++) {
            spans[i] = nsp_span_begin_detached(NSP_NAME("span"), NULL);
            assert_int_equal(nsp_span_recording(spans[i]), i < POOL);
        }
        nsp_span_set_i64(spans[POOL], NSP_KEY("k"), 1);
        nsp_span_enter(spans[POOL]);
        assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("inert"))));
        nsp_span_leave(spans[POOL]);
        for (size_t i = 0; i < POOL + MORE; i++)
            nsp_span_end(spans[i]);
    }
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.dropped_detached_full, 3 * MORE);
    assert_int_equal(stats.exported, 3 * POOL);
    assert_int_equal(stats.misused, 0);
}

enum { WHOLE_POOL = 64 };

static void *open_and_end_the_whole_pool(void *recorded)
{
    nsp_span *spans[WHOLE_POOL];
    for (size_t i = 0; i < WHOLE_POOL; i++) {
        spans[i] = nsp_span_begin_detached(NSP_NAME("span"), NULL);
        *(size_t *)recorded += nsp_span_recording(spans[i]);
    }
    for (size_t i = 0; i < WHOLE_POOL; i++)
        nsp_span_end(spans[i]);
    return NULL;
}

static void places_go_to_the_thread_that_needs_them(void **state)
{
    (void)state;
    size_t here = 0, there = 0;
    // Each time the whole pool was last used by the other thread, and all of it is free.
    for (int round = 0; round < 5; round++) {
        open_and_end_the_whole_pool(&here);
        on_a_thread(open_and_end_the_whole_pool, &there);
    }
    assert_int_equal(here, 5 * WHOLE_POOL);
    assert_int_equal(there, 5 * WHOLE_POOL);
    capture_settle();
    assert_int_equal(capture_balance().dropped, 0);
}

static bool places_taken[64];
static nsp_span *in_use[4][16];

// All spans have a parent, so that no root is refused when the rings fill.
static nsp_context trace;
static nsp_span_options in_a_trace = NSP_SPAN_OPTIONS_INIT;

// Two spans never use one frame at the same time.
static void *grab_and_give_back(void *argument)
{
    size_t me = (size_t)argument;
    for (int round = 0; round < 2000; round++) {
        size_t count = 1 + (size_t)(round * 7 + (int)me) % 16;
        for (size_t i = 0; i < count; i++) {
            in_use[me][i] = nsp_span_begin_detached(NSP_NAME("span"), &in_a_trace);
            if (!nsp_span_recording(in_use[me][i]))
                continue;
            size_t place = place_of(in_use[me][i]);
            assert_false(__atomic_exchange_n(&places_taken[place], true, __ATOMIC_RELAXED));
        }
        for (size_t i = 0; i < count; i++) {
            if (nsp_span_recording(in_use[me][i]))
                __atomic_store_n(&places_taken[place_of(in_use[me][i])], false, __ATOMIC_RELAXED);
            nsp_span_end(in_use[me][i]);
        }
    }
    return NULL;
}

static void no_place_is_handed_out_twice(void **state)
{
    (void)state;
    capture_keep(false);
    nsp_context_parse(&trace, "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01", NULL);
    trace.remote = false;
    in_a_trace.parent = &trace;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, grab_and_give_back, (void *)i), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    // No place was lost on the way.
    capture_settle();
    size_t all = 0;
    open_and_end_the_whole_pool(&all);
    assert_int_equal(all, WHOLE_POOL);
    capture_settle();
    capture_balance();
}

static void without_a_pool_detached_spans_are_dropped(void **state)
{
    (void)state;
    capture_end();
    begin_with_pool(0);
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("span"), NULL);
    assert_false(nsp_span_recording(span));
    nsp_span_end(span);
    assert_int_equal(capture_balance().dropped_detached_full, 1);
}

// Threads in a circle: each begins spans, hands them to the next, and ends those of its predecessor.
enum { THREADS = 4, ROUNDS = 2000 };

static struct stage {
    nsp_span *box; // handed over by release H1 and acquire H2
    char padding[128 - sizeof(nsp_span *)];
} stages[THREADS];

static void *pass_on(void *argument)
{
    struct stage *mine = argument, *next = &stages[(size_t)(mine - stages + 1) % THREADS];
    int begun = 0, ended = 0;
    while (begun < ROUNDS || ended < ROUNDS) {
        if (begun < ROUNDS &&
            __atomic_load_n(&next->box, __ATOMIC_ACQUIRE) == NULL) { // waits for H2's clearing
            nsp_span *span = nsp_span_begin_detached(NSP_NAME("passed"), NULL);
            assert_non_null(span);
            nsp_span_set_i64(span, NSP_KEY("n"), begun);
            __atomic_store_n(&next->box, span, __ATOMIC_RELEASE); // H1
            begun++;
        }
        nsp_span *span = __atomic_load_n(&mine->box, __ATOMIC_ACQUIRE); // H2
        if (span != NULL) {
            nsp_span_set_bool(span, NSP_KEY("arrived"), true);
            nsp_span_end(span);
            __atomic_store_n(&mine->box, NULL, __ATOMIC_RELEASE);
            ended++;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

static void many_spans_change_hands(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    memset(stages, 0, sizeof stages);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass_on, &stages[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.attempted + stats.roots_refused, THREADS * ROUNDS);
    assert_int_equal(capture_count(), stats.exported);
    assert_int_equal(capture_distinct(), capture_count());
    for (size_t i = 0; i < capture_count(); i++)
        assert_string_equal(captured_text(capture_at(i), "arrived"), "true");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_detached_span_is_a_child_of_what_is_current_but_does_not_become_it),
        TEST(next_of_a_detached_span_stays_detached),
        TEST(what_happens_within_an_entered_span_is_its_child),
        TEST(a_span_may_end_or_go_on_while_it_is_entered),
        TEST(under_an_inert_span_all_is_inert),
        TEST(entering_deeper_than_the_stack_pairs_up),
        TEST(reset_leaves_entered_spans_and_ends_the_others),
        TEST(a_span_goes_from_thread_to_thread),
        TEST(spans_outlive_the_thread_that_began_them),
        TEST(a_pool_that_is_used_up_drops_and_counts),
        TEST(places_go_to_the_thread_that_needs_them),
        TEST(no_place_is_handed_out_twice),
        TEST(without_a_pool_detached_spans_are_dropped),
        TEST(many_spans_change_hands),
    };
    return cmocka_run_group_tests_name("detached", tests, NULL, NULL);
}
