// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Traces that may be kept, by what the head samples, by what is only measured, and while the rules change.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/ruled_trace.h"

static void sampled_roots_keep_their_threshold(void **state)
{
    (void)state;
    nsp_config config;
    ruled_configure(&config, 1);
    ruled_begin_with(&config);
    ruled_rule(NSP__OUTLIER_SLOWER);
    ruled_trace_of_four(SLOW_NS - 1);
    ruled_trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 9);
    size_t marked = 0;
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(capture_at(i)->threshold, 0);
        assert_int_equal(capture_at(i)->trace_flags, NSP_TRACE_FLAG_RANDOM | NSP_TRACE_FLAG_SAMPLED);
        marked += captured_text(capture_at(i), "nanospan.kept") != NULL;
    }
    assert_int_equal(marked, 1);
    ruled_assert_counts(0, 0, 0, 9);
}

static void half_of_the_roots_are_sampled(void **state)
{
    (void)state;
    enum { ROOTS = 4000 };
    nsp_config config;
    ruled_configure(&config, 0.5);
    ruled_begin_with(&config);
    ruled_rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < ROOTS; i++) {
        ruled_trace_of_four(i % 2 == 0 ? SLOW_NS : 4000);
        if (i % 500 == 499) // no root may be refused
            capture_settle();
    }
    nsp_stats now = ruled_stats();
    uint64_t sampled = (now.attempted - now.kept) / 4;
    assert_in_range(sampled, ROOTS / 2 - 400, ROOTS / 2 + 400); // 12 standard deviations
    assert_int_equal(now.speculated + now.attempted - now.kept - now.attempted % 4, 4 * ROOTS);
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        const uint64_t randomness = ruled_randomness(span);
        assert_int_equal(span->threshold == NSP_CONTEXT_UNKNOWN, randomness < UINT64_C(1) << 55);
    }
}

static void measured_roots_do_not_record(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_MEASURE);
    for (int i = 0; i < 10; i++) {
        nsp_span *root = ruled_root(ruled_now);
        assert_false(nsp_span_recording(root));
        assert_ptr_equal(nsp_span_current(), root);
        assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("child"))));
        nsp_context context;
        nsp_span_context(root, &context);
        assert_true(nsp_context_valid(&context));
        root = nsp_span_next(root, NSP_NAME("sibling"));
        assert_false(nsp_span_recording(root));
        nsp_span_end(root);
        assert_null(nsp_span_current());
    }
    capture_settle();
    assert_int_equal(capture_count(), 0);
    ruled_assert_counts(0, 0, 0, 0);
    assert_int_equal(ruled_stats().roots_unsampled, 21);
    assert_int_equal(ruled_stats().misused, 0);
}

static void without_a_buffer_nothing_is_speculated(void **state)
{
    (void)state;
    nsp_config config;
    ruled_configure(&config, 0);
    config.outlier_bytes = 0;
    ruled_begin_with(&config);
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now);
    assert_false(nsp_span_recording(root));
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    capture_settle();
    ruled_assert_counts(0, 0, 0, 0);
}

// ---- pressure ----

static void a_full_ring_refuses_nothing_of_it(void **state)
{
    (void)state;
    nsp_config config;
    ruled_configure(&config, 0);
    config.ring_bytes = 64 * 1024;
    config.collector = NSP_COLLECTOR_INVOKER;
    ruled_begin_with(&config);
    ruled_rule(NSP__OUTLIER_SLOWER);
    uint64_t traces = 0;
    while (ruled_stats().kept_incomplete == 0) {
        ruled_trace_of_four(SLOW_NS);
        traces++;
    }
    nsp_stats now = ruled_stats();
    assert_int_equal(now.roots_refused, 0);
    assert_int_equal(now.speculated, 4 * traces);
    capture_settle();
    assert_int_equal(capture_count(), now.kept - now.dropped);
}

// ---- rules by the public calls ----

static nsp_span *order_of(const char *name, uint64_t ns)
{
    nsp_span *root = nsp_span_begin_at(nsp_intern(name, strlen(name)), ruled_now);
    nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
    nsp_span_end_at(child, ruled_now + 1);
    const bool recording = nsp_span_recording(root);
    nsp_span_end_at(root, ruled_after(ns));
    return recording ? root : NULL;
}

// What has come out since the last call: how many spans, and all of them of this name or its children.
static size_t came_out(const char *name)
{
    capture_settle();
    const size_t count = capture_count();
    assert_int_equal(capture_count_named(name) + capture_count_named("child"), count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(capture_at(i)->name, name) == 0)
            ruled_assert_kept(capture_at(i), "slow");
    capture_forget();
    return count;
}

static void rules_change_while_traces_run(void **state)
{
    (void)state;
    nsp_config config;
    ruled_configure(&config, 0);
    config.outliers = "order*: slower=50us; noisy: slower=1ms, errors";
    ruled_begin_with(&config);
    assert_null(order_of("other", SLOW_NS)); // no rule concerns it
    assert_non_null(order_of("order.new", 49999));
    assert_int_equal(came_out("order.new"), 0);
    assert_non_null(order_of("order.new", 50000));
    assert_int_equal(came_out("order.new"), 2);
    assert_non_null(order_of("noisy", 50000));
    assert_int_equal(came_out("noisy"), 0);
    // Another bound, while a trace is open: that one is decided by either, the next one by the new one.
    nsp_span *open = nsp_span_begin_at(NSP_NAME("order.open"), ruled_now);
    assert_int_equal(nsp_outlier_set_rule("order*", &(nsp_outlier_rule){.slower_ns = 200000}), NSP_OK);
    nsp_span_end_at(open, ruled_after(1));
    assert_non_null(order_of("order.new", 199999));
    assert_int_equal(came_out("order.new"), 0);
    assert_non_null(order_of("order.new", 200000));
    assert_int_equal(came_out("order.new"), 2);
    assert_int_equal(nsp_outlier_remove_rule("order*"), NSP_OK);
    assert_null(order_of("order.new", SLOW_NS));
    assert_non_null(order_of("noisy", SLOW_NS));
    assert_int_equal(came_out("noisy"), 2);
    assert_int_equal(nsp_outlier_set_rules("x: slower=1x"), NSP_ERR_INVALID); // the old ones stay in force
    assert_non_null(order_of("noisy", SLOW_NS));
    assert_int_equal(came_out("noisy"), 2);
    assert_int_equal(nsp_outlier_set_rules(NULL), NSP_OK);
    assert_null(order_of("noisy", SLOW_NS));
    assert_int_equal(came_out("noisy"), 0);
    // The head samples all of them: each keeps its threshold, and says that it was slow.
    assert_int_equal(nsp_outlier_set_rules("*: slower=1ms"), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    assert_non_null(order_of("order.new", SLOW_NS));
    capture_settle();
    assert_int_equal(capture_named("order.new")->threshold, 0);
    assert_string_equal(captured_text(capture_named("order.new"), "nanospan.kept"), "slow");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULED_OWN(sampled_roots_keep_their_threshold), RULED_OWN(half_of_the_roots_are_sampled),
        RULED_TEST(measured_roots_do_not_record),      RULED_OWN(without_a_buffer_nothing_is_speculated),
        RULED_OWN(a_full_ring_refuses_nothing_of_it),  RULED_OWN(rules_change_while_traces_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
