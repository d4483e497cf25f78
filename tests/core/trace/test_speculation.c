// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Traces of which it is decided at their end whether they are kept: every record and every count.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/ruled_trace.h"
#include "trace/speculation.h"

static void fast_traces_are_taken_back(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < 1000; i++)
        ruled_trace_of_four(SLOW_NS - 1);
    capture_settle();
    assert_int_equal(capture_count(), 0);
    ruled_assert_counts(4000, 4000, 0, 0);
    assert_int_equal(ruled_stats().roots_unsampled, 1001);
}

static void slow_traces_are_kept_whole(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    ruled_trace_of_four(SLOW_NS - 1);
    ruled_trace_of_four(SLOW_NS);
    ruled_trace_of_four(SLOW_NS - 1);
    capture_settle();
    ruled_assert_counts(12, 8, 4, 4);
    assert_int_equal(capture_count(), 4);
    assert_int_equal(capture_distinct(), 4);
    assert_string_equal(capture_at(3)->name, "order"); // the root comes last
    const captured_span *root = capture_named("order"), *left = capture_named("left"),
                        *inner = capture_named("inner"), *right = capture_named("right");
    ruled_assert_kept(root, "slow");
    assert_null(captured_text(root, "nanospan.left_out"));
    assert_string_equal(captured_text(root, "id"), "42");
    assert_int_equal(root->attribute_count, 2);
    assert_string_equal(captured_text(inner, "symbol"), "BTCUSDT");
    assert_string_equal(captured_text(right, "venue"), "a venue with a long name");
    assert_true(captured_child_of(left, root) && captured_child_of(right, root) &&
                captured_child_of(inner, left));
    assert_int_equal(root->end_ns - root->start_ns, SLOW_NS);
    assert_int_equal(inner->end_ns - inner->start_ns, 1000);
    for (size_t i = 0; i < 4; i++) {
        assert_memory_equal(capture_at(i)->local_root_id, root->span_id, NSP_SPAN_ID_SIZE);
        assert_int_equal(capture_at(i)->threshold, NSP_CONTEXT_UNKNOWN);
        assert_int_equal(capture_at(i)->trace_flags, NSP_TRACE_FLAG_RANDOM);
    }
}

static void siblings_are_kept_too(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now);
    nsp_span *phase = nsp_span_begin_at(NSP_NAME("one"), ruled_now);
    phase = nsp_span_next_at(phase, NSP_NAME("two"), ruled_after(100));
    phase = nsp_span_next_at(phase, NSP_NAME("three"), ruled_after(200));
    nsp_span_end_at(phase, ruled_after(SLOW_NS));
    nsp_span *other = nsp_span_next_at(root, NSP_NAME("order of its own"), ruled_after(SLOW_NS));
    assert_true(nsp_span_recording(other) && other != root);
    nsp_span_end_at(other, ruled_after(SLOW_NS + 10));
    capture_settle();
    ruled_assert_counts(5, 1, 4, 4);
    assert_int_equal(capture_count(), 4);
    assert_true(captured_child_of(capture_named("three"), capture_named("order")));
}

static void contexts_say_unsampled(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_context of_root, of_child;
    nsp_span_context(root, &of_root);
    nsp_span_context(child, &of_child);
    assert_true(nsp_context_valid(&of_child));
    assert_int_equal(of_root.flags, NSP_TRACE_FLAG_RANDOM);
    assert_int_equal(of_child.flags, NSP_TRACE_FLAG_RANDOM);
    assert_int_equal(of_child.threshold, NSP_CONTEXT_UNKNOWN);
    assert_memory_equal(of_child.trace_id, of_root.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span_end(child);
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    capture_settle();
    assert_memory_equal(capture_named("order")->span_id, of_root.span_id, NSP_SPAN_ID_SIZE);
    assert_memory_equal(capture_named("child")->trace_id, of_root.trace_id, NSP_TRACE_ID_SIZE);
}

// The trace id that the next root of a rule would have.
static bool next_id_is_another(uint64_t before[2])
{
    const uint64_t *now = nsp__producer_self()->ruled_frame->record.trace_id;
    const bool another = memcmp(before, now, NSP_TRACE_ID_SIZE) != 0;
    memcpy(before, now, NSP_TRACE_ID_SIZE);
    return another;
}

// Each way in which a program can see a trace id, or make another trace know it.
static void see(int how, nsp_span *root, nsp_span *child)
{
    nsp_context context;
    char text[64];
    pid_t pid;
    switch (how) {
    case 0: nsp_span_context(root, &context); break;
    case 1: nsp_span_context(child, &context); break;
    case 2: nsp_span_context(NULL, &context); break;
    case 3:
        nsp_span_context(child, &context);
        nsp_context_format(&context, text);
        break;
    case 4: nsp_span_end(nsp_span_begin_detached(NSP_NAME("away"), NULL)); break;
    case 5:
        pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
        break;
    default: break;
    }
}

// Of traces that are taken back nobody can tell whether they had the same id, unless somebody has seen it.
static void a_trace_id_that_was_seen_is_not_used_again(void **state)
{
    (void)state;
    enum { SIGHTS = 6 };
    uint64_t id[2] = {0, 0};
    for (int measured = 0; measured < 2; measured++) {
        ruled_rule(measured ? NSP__OUTLIER_MEASURE : NSP__OUTLIER_SLOWER);
        nsp_span_end_at(ruled_root(ruled_now), ruled_after(10));
        next_id_is_another(id);
        for (int how = 0; how < 2 * SIGHTS; how++) {
            nsp_span *root = ruled_root(ruled_now);
            assert_memory_equal(nsp__frame_of(root)->record.trace_id, id, NSP_TRACE_ID_SIZE);
            nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
            if (how % 2 == 1)
                see(how / 2, root, child);
            nsp_span_end_at(child, ruled_after(5));
            nsp_span_end_at(root, ruled_after(10));
            assert_int_equal(next_id_is_another(id), how % 2);
        }
    }
    ruled_rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < 3; i++)
        ruled_trace_of_four(SLOW_NS);
    capture_settle();
    for (int i = 1; i < 3; i++)
        assert_memory_not_equal(capture_at(0)->trace_id, capture_at((size_t)i * 4)->trace_id,
                                NSP_TRACE_ID_SIZE);
}

static void errors_are_kept(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_ERRORS);
    for (int i = 0; i < 4; i++) {
        nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
        if (i == 1 || i == 2)
            nsp_span_set_status(child, NSP_SPAN_STATUS_ERROR, "refused");
        if (i == 2)
            nsp_span_set_status(child, NSP_SPAN_STATUS_OK, NULL); // no error any more
        nsp_span_end(child);
        if (i == 3)
            nsp_span_set_status(root, NSP_SPAN_STATUS_ERROR, NULL);
        nsp_span_end(root);
    }
    capture_settle();
    ruled_assert_counts(8, 4, 4, 4);
    assert_int_equal(capture_count_named("order"), 2);
    ruled_assert_kept(capture_named("order"), "error");
    assert_string_equal(capture_named("child")->status_message, "refused");
}

static void asked_for_is_kept(void **state)
{
    (void)state;
    assert_false(nsp_trace_keep());
    ruled_rule(NSP__OUTLIER_ASKED);
    assert_false(nsp_trace_keep());
    nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin(NSP_NAME("child"));
    assert_true(nsp_trace_keep());
    nsp_span_end(child);
    nsp_span_end(root);
    assert_false(nsp_trace_keep());
    nsp_span_end(ruled_root(ruled_now));
    capture_settle();
    ruled_assert_counts(3, 1, 2, 2);
    ruled_assert_kept(capture_named("order"), "asked");
}

static void limits_hold_by_the_clock(void **state)
{
    (void)state;
    ruled_rule_with(NSP__OUTLIER_SLOWER, 10);
    // Within 100 ms: one second's worth. They are a little longer than the bound, since the clock may be adjusted between
    // two conversions.
    for (int i = 0; i < 100; i++)
        nsp_span_end_at(ruled_root(ruled_after((uint64_t)i * SLOW_NS)),
                        ruled_after((uint64_t)(i + 1) * SLOW_NS + SLOW_NS / 100));
    nsp_stats now = ruled_stats();
    assert_in_range(now.kept, 10, 11);
    assert_int_equal(now.kept_limited, 100 - now.kept);
    const uint64_t before = now.kept, second = UINT64_C(1000000000);
    nsp_span_end_at(ruled_root(ruled_after(3 * second)), ruled_after(3 * second + SLOW_NS));
    assert_int_equal(ruled_stats().kept, before + 1);
    assert_int_equal(ruled_stats().kept_limited, now.kept_limited);
}

// The debt of a rule goes with it: the next one of that number begins without.
static void a_limit_is_that_of_its_rule(void **state)
{
    (void)state;
    ruled_rule_with(NSP__OUTLIER_SLOWER, 10);
    for (int i = 0; i < 100; i++)
        nsp_span_end_at(ruled_root(ruled_now), ruled_after(SLOW_NS));
    assert_int_equal(ruled_stats().kept, 10);
    const nsp_outlier_rule other = {.size = sizeof other, .slower_ns = SLOW_NS, .limit = 20};
    assert_int_equal(nsp_outlier_remove_rule("*"), NSP_OK);
    assert_int_equal(nsp_outlier_set_rule("ord*", &other), NSP_OK);
    for (int i = 0; i < 100; i++)
        nsp_span_end_at(ruled_root(ruled_now), ruled_after(SLOW_NS));
    assert_int_equal(ruled_stats().kept, 10 + 20);
}

// ---- what does not fit ----

static void what_outgrows_the_buffer_is_its_root_alone(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    enum { CHILDREN = 2000 };
    for (int round = 0; round < 2; round++) {
        nsp_span *root = ruled_root(ruled_now);
        for (int i = 0; i < CHILDREN; i++)
            nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        nsp_span_end_at(root, ruled_after(round == 0 ? SLOW_NS - 1 : SLOW_NS));
        if (round == 0)
            ruled_trace_of_four(SLOW_NS); // whole again
    }
    capture_settle();
    nsp_stats now = ruled_stats();
    assert_int_equal(now.kept, 4 + 1);
    assert_int_equal(now.kept_incomplete, 1);
    assert_int_equal(now.speculated, 2 * (1 + CHILDREN) + 4);
    assert_int_equal(now.dropped, 0);
    assert_int_equal(capture_count(), 5);
    const captured_span *root = capture_at(4);
    ruled_assert_kept(root, "slow");
    assert_string_equal(captured_text(root, "nanospan.left_out"), "2000");
    assert_null(captured_text(capture_named("order"), "nanospan.left_out"));
}

static void what_is_too_deep_is_counted_as_left_out(void **state)
{
    (void)state;
    ruled_rule(NSP__OUTLIER_SLOWER);
    nsp_span *spans[40], *root = ruled_root(ruled_now);
    for (int i = 0; i < 40; i++)
        spans[i] = nsp_span_begin(NSP_NAME("child"));
    for (int i = 40; i-- > 0;)
        nsp_span_end(spans[i]);
    nsp_span_end_at(root, ruled_after(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 32);
    assert_string_equal(captured_text(capture_named("order"), "nanospan.left_out"), "9");
    nsp_stats now = ruled_stats();
    assert_int_equal(now.dropped, 0);
    assert_int_equal(now.kept_incomplete, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULED_TEST(fast_traces_are_taken_back),
        RULED_TEST(slow_traces_are_kept_whole),
        RULED_TEST(siblings_are_kept_too),
        RULED_TEST(contexts_say_unsampled),
        RULED_TEST(a_trace_id_that_was_seen_is_not_used_again),
        RULED_TEST(errors_are_kept),
        RULED_TEST(a_limit_is_that_of_its_rule),
        RULED_TEST(asked_for_is_kept),
        RULED_TEST(limits_hold_by_the_clock),
        RULED_TEST(what_outgrows_the_buffer_is_its_root_alone),
        RULED_TEST(what_is_too_deep_is_counted_as_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
