// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Traces that may be kept, and what else a thread does meanwhile: other traces on top of them, detached spans, and roots
// whose parent is remote.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "support/ruled_trace.h"

// ---- other traces on top ----

static void other_traces_on_top_are_recorded_as_always(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    ruled_parent(&parent, true);
    nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span *request = ruled_apart(NSP_NAME("request"), &parent);
    assert_true(nsp_span_recording(request));
    nsp_span *inside = nsp_span_begin(NSP_NAME("inside"));
    capture_settle();
    assert_int_equal(capture_count(), 0);
    nsp_span_end(inside);
    inside = nsp_span_begin(NSP_NAME("inside"));
    inside = nsp_span_next(inside, NSP_NAME("inside too"));
    nsp_span_end(inside);
    assert_ptr_equal(nsp_span_current(), request);
    nsp_span_end(request);
    assert_ptr_equal(nsp_span_current(), child);
    nsp_span *last = nsp_span_begin(NSP_NAME("last"));
    assert_true(nsp_span_recording(last));
    nsp_span_end(last);
    nsp_span_end(child);
    capture_settle(); // the others are there, although the root is not yet decided
    assert_int_equal(capture_count(), 4);
    assert_true(captured_child_of(capture_named("inside too"), capture_named("request")));
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 7);
    ruled_assert_counts(3, 0, 3, 7);
    assert_true(captured_child_of(capture_named("last"), capture_named("child")));
    assert_int_equal(ruled_stats().misused, 0);
}

// Unsampled spans on top do not disturb either.
static void unsampled_traces_on_top_do_not_disturb(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now);
    nsp_span *other = ruled_apart(NSP_NAME("other"), NULL); // a rule concerns it, but one is open already
    assert_false(nsp_span_recording(other));
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("under it"))));
    nsp_span_end(other);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_enter(NULL);
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("inert"))));
    nsp_span_leave(NULL);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_int_equal(ruled_stats().misused, 0);
}

// ---- detached spans ----

static nsp_span *detached(nsp_name name, const nsp_context *parent)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = parent;
    return nsp_span_begin_detached(name, &options);
}

static void entered_spans_suspend(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    nsp_span *other = detached(NSP_NAME("other"), ruled_parent(&parent, true));
    assert_true(nsp_span_recording(other));
    nsp_span *root = ruled_root(ruled_now);
    for (int i = 0; i < 3; i++) {
        nsp_span_enter(other);
        assert_ptr_equal(nsp_span_current(), other);
        nsp_span_end(nsp_span_begin(NSP_NAME("of other")));
        if (i == 2)
            nsp_span_end(other); // while it is entered
        else
            nsp_span_leave(other);
        assert_ptr_equal(nsp_span_current(), root);
        nsp_span_end(nsp_span_begin(NSP_NAME("of root")));
    }
    nsp_span_end_at(root, ruled_after(SLOW_NS - 1));
    capture_settle();
    assert_int_equal(capture_count_named("of other"), 3);
    assert_int_equal(capture_count(), 4);
    ruled_assert_counts(4, 4, 0, 4);
    assert_int_equal(ruled_stats().misused, 0);
}

static void detached_spans_end_under_speculation(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    nsp_span *other = detached(NSP_NAME("other"), ruled_parent(&parent, true));
    nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_end(other);
    nsp_span_end(child);
    nsp_span_end_at(root, ruled_after(SLOW_NS - 1));
    capture_settle();
    assert_int_equal(capture_count(), 1);
    ruled_assert_counts(2, 2, 0, 1);
}

static void detached_children_are_left_out(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span *away = nsp_span_begin_detached(NSP_NAME("away"), NULL);
    assert_false(nsp_span_recording(away));
    nsp_context of_child, of_away;
    nsp_span_context(child, &of_child);
    nsp_span_context(away, &of_away);
    assert_memory_equal(of_child.trace_id, of_away.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span_end(child);
    nsp_span_end(away);
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_string_equal(captured_text(capture_named("order"), "nanospan.left_out"), "1");
    ruled_assert_counts(3, 1, 2, 2);
}

// ---- detached roots ----

static void *end_elsewhere(void *span)
{
    nsp_span_end_at(span, ruled_after(SLOW_NS));
    return NULL;
}

static void detached_roots_are_decided_where_they_end(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER | NSP__OUTLIER_ERRORS);
    for (int i = 0; i < 4; i++) {
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.start = ruled_now;
        nsp_span *root = nsp_span_begin_detached(NSP_NAME("order"), &options);
        assert_true(nsp_span_recording(root));
        nsp_span_enter(root);
        assert_ptr_equal(nsp_span_current(), root);
        nsp_span *child = nsp_span_begin(NSP_NAME("child"));
        assert_false(nsp_span_recording(child));
        nsp_span_end(child);
        nsp_span_end(nsp_span_begin_detached(NSP_NAME("child"), NULL));
        if (i == 3)
            assert_true(nsp_trace_keep());
        nsp_span_leave(root);
        assert_null(nsp_span_current());
        if (i == 2)
            nsp_span_set_status(root, NSP_SPAN_STATUS_ERROR, "x");
        pthread_t thread;
        if (i == 1)
            assert_int_equal(pthread_create(&thread, NULL, end_elsewhere, root), 0);
        if (i == 1)
            pthread_join(thread, NULL);
        else
            nsp_span_end_at(root, ruled_after(SLOW_NS - 1));
    }
    capture_settle();
    assert_int_equal(capture_count(), 3);
    static const char *const why[] = {"slow", "error", "asked"}; // one each; two threads have ended them
    for (size_t i = 0; i < 3; i++) {
        size_t found = 0;
        for (size_t k = 0; k < 3; k++) {
            assert_string_equal(captured_text(capture_at(k), "nanospan.left_out"), "2");
            if (strcmp(captured_text(capture_at(k), "nanospan.kept"), why[i]) == 0) {
                ruled_assert_kept(capture_at(k), why[i]);
                found++;
            }
        }
        assert_int_equal(found, 1);
    }
    ruled_assert_counts(4, 1, 3, 3);
    assert_int_equal(ruled_stats().misused, 0);
}

// ---- remote parents ----

static void unsampled_remote_parents_speculate(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    ruled_parent(&parent, false);
    memcpy(parent.tracestate, "vendor=1", 8);
    parent.tracestate_length = 8;
    for (int i = 0; i < 2; i++) {
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.parent = &parent;
        options.start = ruled_now;
        nsp_span *request = nsp_span_begin_with(NSP_NAME("request"), &options);
        assert_true(nsp_span_recording(request));
        nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        request =
            nsp_span_next_at(request, NSP_NAME("next request"), ruled_after(i == 0 ? SLOW_NS - 1 : SLOW_NS));
        assert_true(nsp_span_recording(request));
        nsp_span_end_at(request, ruled_after(SLOW_NS + 10));
    }
    capture_settle();
    ruled_assert_counts(6, 4, 2, 2);
    const captured_span *request = capture_named("request"), *child = capture_named("child");
    ruled_assert_kept(request, "slow");
    assert_memory_equal(request->trace_id, parent.trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_equal(request->parent_id, parent.span_id, NSP_SPAN_ID_SIZE);
    assert_true(request->parent_remote);
    assert_string_equal(request->tracestate, "vendor=1");
    assert_string_equal(child->tracestate, "vendor=1");
    assert_true(captured_child_of(child, request));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULED_TEST(other_traces_on_top_are_recorded_as_always),
        RULED_TEST(unsampled_traces_on_top_do_not_disturb),
        RULED_TEST(entered_spans_suspend),
        RULED_TEST(detached_spans_end_under_speculation),
        RULED_TEST(detached_children_are_left_out),
        RULED_TEST(detached_roots_are_decided_where_they_end),
        RULED_TEST(unsampled_remote_parents_speculate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
