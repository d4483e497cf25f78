// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Traces that may be kept, and what takes them back: misuse, a reset, the ends of threads and sessions, a fork. And many
// threads at once.
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
#include "support/emulator.h"
#include "support/ruled_trace.h"

static void a_root_that_ends_first_takes_its_children_along(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    assert_null(nsp_span_current());
    nsp_span_end(child);
    ruled_trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 5);
    ruled_assert_counts(6, 1, 5, 5);
    assert_int_equal(ruled_stats().misused, 2);
}

static void a_reset_takes_back(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    for (int i = 0; i < 2; i++) {
        nsp_span *root = ruled_root(ruled_now);
        nsp_span_begin(NSP_NAME("child"));
        if (i == 1) {
            ruled_apart(NSP_NAME("request"), ruled_parent(&parent, true));
            nsp_span_begin(NSP_NAME("inside"));
        }
        (void)root;
        nsp_thread_reset();
        assert_null(nsp_span_current());
    }
    ruled_trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 6);
    ruled_assert_counts(8, 4, 4, 6);
    assert_int_equal(ruled_stats().leaked, 6);
}

static void *leave_open(void *nothing)
{
    nsp_span *root = ruled_root(ruled_now);
    nsp_span_begin(NSP_NAME("child"));
    return root != NULL ? nothing : NULL;
}

static void the_end_of_a_thread_takes_back(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, leave_open, NULL), 0);
        pthread_join(thread, NULL);
    }
    capture_settle();
    assert_int_equal(capture_count(), 0);
    ruled_assert_counts(6, 6, 0, 0);
}

static void a_session_ends_under_it(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
    assert_int_equal(nsp_shutdown(UINT64_C(10000000000)), NSP_OK);
    nsp_span_end(child);
    nsp_span_end(root);
    assert_null(nsp_span_current());
    capture_forget();
    ruled_begin(state);
    ruled_rule(NSP__OUTLIER_SLOWER);
    ruled_trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 4);
    ruled_assert_counts(4, 0, 4, 4);
}

// ---- fork ----

static void a_child_process_goes_on_without_it(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN(); // the one of its own session
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now), *span = nsp_span_begin(NSP_NAME("child"));
    nsp_context before, in_child;
    nsp_span_context(span, &before);
    pid_t pid = fork();
    if (pid == 0) {
        nsp_span_context(span, &in_child);
        bool same = memcmp(before.trace_id, in_child.trace_id, sizeof before.trace_id) == 0 &&
                    (in_child.flags & NSP_TRACE_FLAG_SAMPLED) == 0;
        nsp_span_end(nsp_span_begin(NSP_NAME("in the child")));
        nsp_span_end(span);
        nsp_span_end(root);
        _exit(same && nsp_span_current() == NULL && !nsp_trace_keep() ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    nsp_span_end(span);
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 2);
    ruled_assert_counts(2, 0, 2, 2);
    assert_int_equal(ruled_stats().misused, 0);
}

// ---- many threads ----

enum { THREADS = 4, TRACES = 3000 };

static nsp_context request_parent;

static uint64_t slow_traces, other_spans; // atomic

// Traces of every shape; which of them are slow, each thread knows.
static void *trace_a_lot(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed;
    for (int i = 0; i < TRACES; i++) {
        uint64_t draw = nsp__random_next(&random);
        const bool slow = draw % 16 == 0, other = draw / 16 % 4 == 0, away = draw / 64 % 8 == 0;
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.start = ruled_now;
        if (away) {
            nsp_span *root = nsp_span_begin_detached(NSP_NAME("order"), &options);
            nsp_span_enter(root);
            nsp_span_end(nsp_span_begin(NSP_NAME("left out")));
            nsp_span_leave(root);
            nsp_span_end_at(root, ruled_now + (slow ? UINT64_C(1) << 40 : 1));
        } else {
            nsp_span *root = ruled_root(ruled_now);
            for (uint64_t k = 0; k < draw / 512 % 6; k++) {
                nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
                nsp_span_set_i64(child, NSP_NAME("number"), (int64_t)k);
                if (other && k == 2) {
                    options.parent = &request_parent;
                    nsp_span_end(nsp_span_begin_with(NSP_NAME("request"), &options));
                    __atomic_fetch_add(&other_spans, 1, __ATOMIC_RELAXED);
                }
                nsp_span_end_at(child, ruled_now + 1);
            }
            nsp_span_end_at(root, ruled_now + (slow ? UINT64_C(1) << 40 : 1));
        }
        if (slow)
            __atomic_fetch_add(&slow_traces, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void many_threads_keep_exactly_what_is_slow(void **state)
{
    (void)state;
    nsp_config config;
    ruled_configure(&config, 0);
    config.ring_bytes = 8 << 20; // all of it fits
    ruled_begin_with(&config);
    ruled_rule(NSP__OUTLIER_SLOWER);
    ruled_parent(&request_parent, true);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trace_a_lot, (void *)(uintptr_t)(i + 1)), 0);
    for (int times = 0; times < 50; times++) { // while they run: never less than what there is
        nsp_stats now = NSP_STATS_INIT;
        assert_int_equal(nsp_stats_get(&now), NSP_OK);
        assert_true(now.speculated >= now.kept);
        assert_true(now.attempted >= now.open + now.dropped + now.in_rings + now.in_batches + now.exported);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    capture_settle();
    nsp_stats now = ruled_stats();
    assert_int_equal(capture_count_named("order"), slow_traces);
    assert_int_equal(capture_count_named("request"), other_spans);
    assert_int_equal(capture_distinct(), capture_count());
    assert_int_equal(now.kept + other_spans, capture_count());
    assert_int_equal(now.misused + now.dropped, 0);
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, "child") == 0)
            assert_non_null(captured_text(capture_at(i), "number"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULED_TEST(a_root_that_ends_first_takes_its_children_along),
        RULED_TEST(a_reset_takes_back),
        RULED_TEST(the_end_of_a_thread_takes_back),
        RULED_TEST(a_session_ends_under_it),
        RULED_TEST(a_child_process_goes_on_without_it),
        RULED_OWN(many_threads_keep_exactly_what_is_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
