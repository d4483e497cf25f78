// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Traces of which it is decided at their end whether they are kept: every record, every count, and what may happen
// between their beginning and their end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <nanospan/outlier.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drain/stats.h"
#include "support/capture.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/single_steps.h"
#include "trace/speculation.h"

enum { SLOW_NS = 1000000 };

static nsp_ticks now_ticks;

// Times are supplied, so that nothing depends on how fast the machine is.
static nsp_ticks after_ns(uint64_t ns)
{
    return nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(now_ticks) + ns);
}

static void rule_with(uint32_t conditions, double limit)
{
    const nsp_outlier_rule rule = {
        .size = sizeof rule,
        .slower_ns = (conditions & NSP__OUTLIER_SLOWER) != 0 ? SLOW_NS : 0,
        .errors = (conditions & NSP__OUTLIER_ERRORS) != 0,
        .asked = (conditions & NSP__OUTLIER_ASKED) != 0,
        .measure = (conditions & NSP__OUTLIER_MEASURE) != 0,
        .limit = limit,
    };
    assert_int_equal(nsp_outlier_set_rule("*", &rule), NSP_OK);
}

static void rule(uint32_t conditions)
{
    rule_with(conditions, 0);
}

static bool begun; // the test has a session

static void begin_with(const nsp_config *config)
{
    begun = true;
    capture_start(config);
    now_ticks = nsp_now();
    nsp_span_end(nsp_span_begin(NSP_NAME("first of all"))); // attaches the thread and draws the class
}

static void configure(nsp_config *config, double rate)
{
    capture_config(config);
    config->collector = NSP_COLLECTOR_THREAD;
    config->sample_rate = rate;
}

static int begin(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config, 0);
    begin_with(&config);
    return 0;
}

static nsp_stats stats(void)
{
    nsp_stats now = capture_balance();
    assert_int_equal(now.speculated, now.speculating + now.taken_back + now.kept);
    return now;
}

static int end(void **state)
{
    if (!begun) // the test was skipped
        return capture_teardown(state);
    begun = false;
    nsp_stats now = stats();
    assert_int_equal(now.speculating, 0);
    assert_int_equal(now.open, 0);
    assert_true(nsp__pen_is_home(nsp__producer_self()));
    assert_int_equal(nsp__producer_self()->speculation->slot.published, 0);
    capture_end();
    return capture_teardown(state);
}

static void assert_counts(uint64_t speculated, uint64_t taken_back, uint64_t kept, uint64_t attempted)
{
    nsp_stats now = stats();
    assert_int_equal(now.speculated, speculated);
    assert_int_equal(now.taken_back, taken_back);
    assert_int_equal(now.kept, kept);
    assert_int_equal(now.attempted, attempted);
}

static nsp_span *root_at(nsp_ticks start)
{
    return nsp_span_begin_at(NSP_NAME("order"), start);
}

// A root with two children, of which one has a child; all with attributes.
static void trace_of_four(uint64_t ns)
{
    nsp_span *root = root_at(now_ticks);
    assert_true(nsp_span_recording(root));
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_set_i64(root, NSP_NAME("id"), 42);
    nsp_span *left = nsp_span_begin_at(NSP_NAME("left"), now_ticks);
    nsp_span *inner = nsp_span_begin_at(NSP_NAME("inner"), now_ticks);
    nsp_span_set_str(inner, NSP_NAME("symbol"), "BTCUSDT");
    nsp_span_end_at(inner, after_ns(1000));
    nsp_span_end_at(left, after_ns(2000));
    nsp_span *right = nsp_span_begin_at(NSP_NAME("right"), after_ns(2000));
    nsp_span_set_str(right, NSP_NAME("venue"), "a venue with a long name");
    nsp_span_end_at(right, after_ns(3000));
    nsp_span_end_at(root, after_ns(ns));
    assert_null(nsp_span_current());
}

static void assert_kept(const captured_span *root, const char *why)
{
    assert_string_equal(captured_text(root, "nanospan.kept"), why);
    assert_int_equal(root->threshold, NSP_CONTEXT_UNKNOWN);
    assert_int_equal(root->trace_flags & NSP_TRACE_FLAG_SAMPLED, 0);
}

static void fast_traces_are_taken_back(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < 1000; i++)
        trace_of_four(SLOW_NS - 1);
    capture_settle();
    assert_int_equal(capture_count(), 0);
    assert_counts(4000, 4000, 0, 0);
    assert_int_equal(stats().roots_unsampled, 1001);
}

static void slow_traces_are_kept_whole(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    trace_of_four(SLOW_NS - 1);
    trace_of_four(SLOW_NS);
    trace_of_four(SLOW_NS - 1);
    capture_settle();
    assert_counts(12, 8, 4, 4);
    assert_int_equal(capture_count(), 4);
    assert_int_equal(capture_distinct(), 4);
    assert_string_equal(capture_at(3)->name, "order"); // the root comes last
    const captured_span *root = capture_named("order"), *left = capture_named("left"),
                        *inner = capture_named("inner"), *right = capture_named("right");
    assert_kept(root, "slow");
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
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks);
    nsp_span *phase = nsp_span_begin_at(NSP_NAME("one"), now_ticks);
    phase = nsp_span_next_at(phase, NSP_NAME("two"), after_ns(100));
    phase = nsp_span_next_at(phase, NSP_NAME("three"), after_ns(200));
    nsp_span_end_at(phase, after_ns(SLOW_NS));
    nsp_span *other = nsp_span_next_at(root, NSP_NAME("order of its own"), after_ns(SLOW_NS));
    assert_true(nsp_span_recording(other) && other != root);
    nsp_span_end_at(other, after_ns(SLOW_NS + 10));
    capture_settle();
    assert_counts(5, 1, 4, 4);
    assert_int_equal(capture_count(), 4);
    assert_true(captured_child_of(capture_named("three"), capture_named("order")));
}

static void contexts_say_unsampled(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_context of_root, of_child;
    nsp_span_context(root, &of_root);
    nsp_span_context(child, &of_child);
    assert_true(nsp_context_valid(&of_child));
    assert_int_equal(of_root.flags, NSP_TRACE_FLAG_RANDOM);
    assert_int_equal(of_child.flags, NSP_TRACE_FLAG_RANDOM);
    assert_int_equal(of_child.threshold, NSP_CONTEXT_UNKNOWN);
    assert_memory_equal(of_child.trace_id, of_root.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span_end(child);
    nsp_span_end_at(root, after_ns(SLOW_NS));
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
        rule(measured ? NSP__OUTLIER_MEASURE : NSP__OUTLIER_SLOWER);
        nsp_span_end_at(root_at(now_ticks), after_ns(10));
        next_id_is_another(id);
        for (int how = 0; how < 2 * SIGHTS; how++) {
            nsp_span *root = root_at(now_ticks);
            assert_memory_equal(nsp__frame_of(root)->record.trace_id, id, NSP_TRACE_ID_SIZE);
            nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), now_ticks);
            if (how % 2 == 1)
                see(how / 2, root, child);
            nsp_span_end_at(child, after_ns(5));
            nsp_span_end_at(root, after_ns(10));
            assert_int_equal(next_id_is_another(id), how % 2);
        }
    }
    rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < 3; i++)
        trace_of_four(SLOW_NS);
    capture_settle();
    for (int i = 1; i < 3; i++)
        assert_memory_not_equal(capture_at(0)->trace_id, capture_at((size_t)i * 4)->trace_id,
                                NSP_TRACE_ID_SIZE);
}

static void errors_are_kept(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_ERRORS);
    for (int i = 0; i < 4; i++) {
        nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
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
    assert_counts(8, 4, 4, 4);
    assert_int_equal(capture_count_named("order"), 2);
    assert_kept(capture_named("order"), "error");
    assert_string_equal(capture_named("child")->status_message, "refused");
}

static void asked_for_is_kept(void **state)
{
    (void)state;
    assert_false(nsp_trace_keep());
    rule(NSP__OUTLIER_ASKED);
    assert_false(nsp_trace_keep());
    nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
    assert_true(nsp_trace_keep());
    nsp_span_end(child);
    nsp_span_end(root);
    assert_false(nsp_trace_keep());
    nsp_span_end(root_at(now_ticks));
    capture_settle();
    assert_counts(3, 1, 2, 2);
    assert_kept(capture_named("order"), "asked");
}

static void limits_hold_by_the_clock(void **state)
{
    (void)state;
    rule_with(NSP__OUTLIER_SLOWER, 10);
    for (int i = 0; i < 100; i++) // within 100 ms: one second's worth
        nsp_span_end_at(root_at(after_ns((uint64_t)i * SLOW_NS)), after_ns((uint64_t)(i + 1) * SLOW_NS));
    nsp_stats now = stats();
    assert_in_range(now.kept, 10, 11);
    assert_int_equal(now.kept_limited, 100 - now.kept);
    const uint64_t before = now.kept, second = UINT64_C(1000000000);
    nsp_span_end_at(root_at(after_ns(3 * second)), after_ns(3 * second + SLOW_NS));
    assert_int_equal(stats().kept, before + 1);
    assert_int_equal(stats().kept_limited, now.kept_limited);
}

// The debt of a rule goes with it: the next one of that number begins without.
static void a_limit_is_that_of_its_rule(void **state)
{
    (void)state;
    rule_with(NSP__OUTLIER_SLOWER, 10);
    for (int i = 0; i < 100; i++)
        nsp_span_end_at(root_at(now_ticks), after_ns(SLOW_NS));
    assert_int_equal(stats().kept, 10);
    const nsp_outlier_rule other = {.size = sizeof other, .slower_ns = SLOW_NS, .limit = 20};
    assert_int_equal(nsp_outlier_remove_rule("*"), NSP_OK);
    assert_int_equal(nsp_outlier_set_rule("ord*", &other), NSP_OK);
    for (int i = 0; i < 100; i++)
        nsp_span_end_at(root_at(now_ticks), after_ns(SLOW_NS));
    assert_int_equal(stats().kept, 10 + 20);
}

// ---- what does not fit ----

static void what_outgrows_the_buffer_is_its_root_alone(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    enum { CHILDREN = 2000 };
    for (int round = 0; round < 2; round++) {
        nsp_span *root = root_at(now_ticks);
        for (int i = 0; i < CHILDREN; i++)
            nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        nsp_span_end_at(root, after_ns(round == 0 ? SLOW_NS - 1 : SLOW_NS));
        if (round == 0)
            trace_of_four(SLOW_NS); // whole again
    }
    capture_settle();
    nsp_stats now = stats();
    assert_int_equal(now.kept, 4 + 1);
    assert_int_equal(now.kept_incomplete, 1);
    assert_int_equal(now.speculated, 2 * (1 + CHILDREN) + 4);
    assert_int_equal(now.dropped, 0);
    assert_int_equal(capture_count(), 5);
    const captured_span *root = capture_at(4);
    assert_kept(root, "slow");
    assert_string_equal(captured_text(root, "nanospan.left_out"), "2000");
    assert_null(captured_text(capture_named("order"), "nanospan.left_out"));
}

static void what_is_too_deep_is_counted_as_left_out(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *spans[40], *root = root_at(now_ticks);
    for (int i = 0; i < 40; i++)
        spans[i] = nsp_span_begin(NSP_NAME("child"));
    for (int i = 40; i-- > 0;)
        nsp_span_end(spans[i]);
    nsp_span_end_at(root, after_ns(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 32);
    assert_string_equal(captured_text(capture_named("order"), "nanospan.left_out"), "9");
    nsp_stats now = stats();
    assert_int_equal(now.dropped, 0);
    assert_int_equal(now.kept_incomplete, 1);
}

// ---- other traces on top ----

static nsp_span *apart(nsp_name name, const nsp_context *parent)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = parent == NULL;
    options.parent = parent;
    return nsp_span_begin_with(name, &options);
}

static const nsp_context *sampled_parent(nsp_context *context, bool sampled)
{
    char text[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";
    text[sizeof text - 2] = sampled ? '1' : '0';
    assert_int_equal(nsp_context_parse(context, text, NULL), NSP_OK);
    return context;
}

static void other_traces_on_top_are_recorded_as_always(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    sampled_parent(&parent, true);
    nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span *request = apart(NSP_NAME("request"), &parent);
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
    nsp_span_end_at(root, after_ns(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 7);
    assert_counts(3, 0, 3, 7);
    assert_true(captured_child_of(capture_named("last"), capture_named("child")));
    assert_int_equal(stats().misused, 0);
}

// Unsampled spans on top do not disturb either.
static void unsampled_traces_on_top_do_not_disturb(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks);
    nsp_span *other = apart(NSP_NAME("other"), NULL); // a rule concerns it, but one is open already
    assert_false(nsp_span_recording(other));
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("under it"))));
    nsp_span_end(other);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_enter(NULL);
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("inert"))));
    nsp_span_leave(NULL);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_end_at(root, after_ns(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_int_equal(stats().misused, 0);
}

static nsp_span *detached(nsp_name name, const nsp_context *parent)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = parent;
    return nsp_span_begin_detached(name, &options);
}

static void entered_spans_suspend(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    nsp_span *other = detached(NSP_NAME("other"), sampled_parent(&parent, true));
    assert_true(nsp_span_recording(other));
    nsp_span *root = root_at(now_ticks);
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
    nsp_span_end_at(root, after_ns(SLOW_NS - 1));
    capture_settle();
    assert_int_equal(capture_count_named("of other"), 3);
    assert_int_equal(capture_count(), 4);
    assert_counts(4, 4, 0, 4);
    assert_int_equal(stats().misused, 0);
}

static void detached_spans_end_under_speculation(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    nsp_span *other = detached(NSP_NAME("other"), sampled_parent(&parent, true));
    nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_end(other);
    nsp_span_end(child);
    nsp_span_end_at(root, after_ns(SLOW_NS - 1));
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_counts(2, 2, 0, 1);
}

static void detached_children_are_left_out(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span *away = nsp_span_begin_detached(NSP_NAME("away"), NULL);
    assert_false(nsp_span_recording(away));
    nsp_context of_child, of_away;
    nsp_span_context(child, &of_child);
    nsp_span_context(away, &of_away);
    assert_memory_equal(of_child.trace_id, of_away.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span_end(child);
    nsp_span_end(away);
    nsp_span_end_at(root, after_ns(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_string_equal(captured_text(capture_named("order"), "nanospan.left_out"), "1");
    assert_counts(3, 1, 2, 2);
}

// ---- detached roots ----

static void *end_elsewhere(void *span)
{
    nsp_span_end_at(span, after_ns(SLOW_NS));
    return NULL;
}

static void detached_roots_are_decided_where_they_end(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER | NSP__OUTLIER_ERRORS);
    for (int i = 0; i < 4; i++) {
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.start = now_ticks;
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
            nsp_span_end_at(root, after_ns(SLOW_NS - 1));
    }
    capture_settle();
    assert_int_equal(capture_count(), 3);
    static const char *const why[] = {"slow", "error", "asked"}; // one each; two threads have ended them
    for (size_t i = 0; i < 3; i++) {
        size_t found = 0;
        for (size_t k = 0; k < 3; k++) {
            assert_string_equal(captured_text(capture_at(k), "nanospan.left_out"), "2");
            if (strcmp(captured_text(capture_at(k), "nanospan.kept"), why[i]) == 0) {
                assert_kept(capture_at(k), why[i]);
                found++;
            }
        }
        assert_int_equal(found, 1);
    }
    assert_counts(4, 1, 3, 3);
    assert_int_equal(stats().misused, 0);
}

// ---- remote parents ----

static void unsampled_remote_parents_speculate(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    sampled_parent(&parent, false);
    memcpy(parent.tracestate, "vendor=1", 8);
    parent.tracestate_length = 8;
    for (int i = 0; i < 2; i++) {
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.parent = &parent;
        options.start = now_ticks;
        nsp_span *request = nsp_span_begin_with(NSP_NAME("request"), &options);
        assert_true(nsp_span_recording(request));
        nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        request =
            nsp_span_next_at(request, NSP_NAME("next request"), after_ns(i == 0 ? SLOW_NS - 1 : SLOW_NS));
        assert_true(nsp_span_recording(request));
        nsp_span_end_at(request, after_ns(SLOW_NS + 10));
    }
    capture_settle();
    assert_counts(6, 4, 2, 2);
    const captured_span *request = capture_named("request"), *child = capture_named("child");
    assert_kept(request, "slow");
    assert_memory_equal(request->trace_id, parent.trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_equal(request->parent_id, parent.span_id, NSP_SPAN_ID_SIZE);
    assert_true(request->parent_remote);
    assert_string_equal(request->tracestate, "vendor=1");
    assert_string_equal(child->tracestate, "vendor=1");
    assert_true(captured_child_of(child, request));
}

// ---- what the head samples, and what is only measured ----

static void sampled_roots_keep_their_threshold(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config, 1);
    begin_with(&config);
    rule(NSP__OUTLIER_SLOWER);
    trace_of_four(SLOW_NS - 1);
    trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 9);
    size_t marked = 0;
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(capture_at(i)->threshold, 0);
        assert_int_equal(capture_at(i)->trace_flags, NSP_TRACE_FLAG_RANDOM | NSP_TRACE_FLAG_SAMPLED);
        marked += captured_text(capture_at(i), "nanospan.kept") != NULL;
    }
    assert_int_equal(marked, 1);
    assert_counts(0, 0, 0, 9);
}

static void half_of_the_roots_are_sampled(void **state)
{
    (void)state;
    enum { ROOTS = 4000 };
    nsp_config config;
    configure(&config, 0.5);
    begin_with(&config);
    rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < ROOTS; i++) {
        trace_of_four(i % 2 == 0 ? SLOW_NS : 4000);
        if (i % 500 == 499) // no root may be refused
            capture_settle();
    }
    nsp_stats now = stats();
    uint64_t sampled = (now.attempted - now.kept) / 4;
    assert_in_range(sampled, ROOTS / 2 - 400, ROOTS / 2 + 400); // 12 standard deviations
    assert_int_equal(now.speculated + now.attempted - now.kept - now.attempted % 4, 4 * ROOTS);
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        uint64_t randomness = 0;
        for (size_t k = 9; k < 16; k++)
            randomness = randomness << 8 | span->trace_id[k];
        assert_int_equal(span->threshold == NSP_CONTEXT_UNKNOWN, randomness < UINT64_C(1) << 55);
    }
}

static void measured_roots_do_not_record(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_MEASURE);
    for (int i = 0; i < 10; i++) {
        nsp_span *root = root_at(now_ticks);
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
    assert_counts(0, 0, 0, 0);
    assert_int_equal(stats().roots_unsampled, 21);
    assert_int_equal(stats().misused, 0);
}

static void without_a_buffer_nothing_is_speculated(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config, 0);
    config.outlier_bytes = 0;
    begin_with(&config);
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks);
    assert_false(nsp_span_recording(root));
    nsp_span_end_at(root, after_ns(SLOW_NS));
    capture_settle();
    assert_counts(0, 0, 0, 0);
}

// ---- pressure ----

static void a_full_ring_refuses_nothing_of_it(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config, 0);
    config.ring_bytes = 64 * 1024;
    config.collector = NSP_COLLECTOR_INVOKER;
    begin_with(&config);
    rule(NSP__OUTLIER_SLOWER);
    uint64_t traces = 0;
    while (stats().kept_incomplete == 0) {
        trace_of_four(SLOW_NS);
        traces++;
    }
    nsp_stats now = stats();
    assert_int_equal(now.roots_refused, 0);
    assert_int_equal(now.speculated, 4 * traces);
    capture_settle();
    assert_int_equal(capture_count(), now.kept - now.dropped);
}

// ---- misuse, reset, the ends of threads and sessions ----

static void a_root_that_ends_first_takes_its_children_along(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_end_at(root, after_ns(SLOW_NS));
    assert_null(nsp_span_current());
    nsp_span_end(child);
    trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 5);
    assert_counts(6, 1, 5, 5);
    assert_int_equal(stats().misused, 2);
}

static void a_reset_takes_back(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_context parent;
    for (int i = 0; i < 2; i++) {
        nsp_span *root = root_at(now_ticks);
        nsp_span_begin(NSP_NAME("child"));
        if (i == 1) {
            apart(NSP_NAME("request"), sampled_parent(&parent, true));
            nsp_span_begin(NSP_NAME("inside"));
        }
        (void)root;
        nsp_thread_reset();
        assert_null(nsp_span_current());
    }
    trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 6);
    assert_counts(8, 4, 4, 6);
    assert_int_equal(stats().leaked, 6);
}

static void *leave_open(void *nothing)
{
    nsp_span *root = root_at(now_ticks);
    nsp_span_begin(NSP_NAME("child"));
    return root != NULL ? nothing : NULL;
}

static void the_end_of_a_thread_takes_back(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, leave_open, NULL), 0);
        pthread_join(thread, NULL);
    }
    capture_settle();
    assert_int_equal(capture_count(), 0);
    assert_counts(6, 6, 0, 0);
}

static void a_session_ends_under_it(void **state)
{
    (void)state;
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks), *child = nsp_span_begin(NSP_NAME("child"));
    assert_int_equal(nsp_shutdown(UINT64_C(10000000000)), NSP_OK);
    nsp_span_end(child);
    nsp_span_end(root);
    assert_null(nsp_span_current());
    capture_forget();
    begin(state);
    rule(NSP__OUTLIER_SLOWER);
    trace_of_four(SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 4);
    assert_counts(4, 0, 4, 4);
}

// ---- signal handlers ----

static nsp_context request_parent;
static uint64_t handler_runs, handler_slow;
static bool in_handler_slow;

// What a program may do in one: a child of what is current, a trace of its own on top of it, and, where nothing is open,
// a ruled root.
static void on_trap(int number)
{
    (void)number;
    handler_runs++;
    nsp_span *span = nsp_span_begin_at(NSP_NAME("handler"), now_ticks);
    nsp_span_end_at(span, after_ns(in_handler_slow ? SLOW_NS : 10));
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &request_parent;
    nsp_span *request = nsp_span_begin_with(NSP_NAME("request"), &options);
    nsp_span_end(nsp_span_begin(NSP_NAME("inside")));
    handler_slow += nsp_span_recording(request);
    nsp_span_end(request);
}

static bool stepped_trace(void)
{
    nsp_span *root = root_at(now_ticks);
    nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), now_ticks);
    child = nsp_span_next_at(child, NSP_NAME("sibling"), now_ticks + 10);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &request_parent;
    options.start = now_ticks;
    nsp_span *request = nsp_span_begin_with(NSP_NAME("request"), &options);
    nsp_span_end_at(request, now_ticks + 10);
    nsp_span_end_at(child, now_ticks + 20);
    nsp_span_end_at(root, now_ticks + (in_handler_slow ? UINT64_C(1) << 40 : 30));
    return nsp_span_current() == NULL;
}

static void signals_come_at_every_instruction(void **state)
{
    (void)state;
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    nsp_config config;
    configure(&config, 0);
    config.ring_bytes = 16 << 20;
    config.outlier_bytes = 1 << 20; // sanitized code has many instructions, and each adds a span
    begin_with(&config);
    rule(NSP__OUTLIER_SLOWER);
    sampled_parent(&request_parent, true);
    (void)(NSP_NAME("handler") + NSP_NAME("request") + NSP_NAME("inside") + NSP_NAME("child") +
           NSP_NAME("sibling"));
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_trap;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    for (int slow = 0; slow < 2; slow++) {
        in_handler_slow = slow != 0;
        handler_runs = handler_slow = 0;
        assert_true(run_stepped(stepped_trace));
        assert_true(handler_runs > 300 && handler_slow > 100);
        assert_true(nsp__pen_is_home(nsp__producer_self()));
        capture_settle();
        nsp_stats now = stats();
        assert_int_equal(now.misused, 0);
        assert_int_equal(now.open + now.speculating, 0);
        assert_int_equal(capture_distinct(), capture_count());
        if (slow == 0)
            assert_int_equal(now.kept, 0);
        else
            assert_true(now.kept >= 3 && capture_count_named("order") == 1 &&
                        capture_count_named("sibling") == 1);
    }
    signal(SIGTRAP, SIG_DFL);
}

// ---- crash ----

// What a reader would find if the thread died at this instruction. In the ring are whole traces, the root last, and they
// are what was attempted, but for a trace that was just being kept. No frame counts as open.
static uint64_t looks, found_wrong, found_keeping;

static const nsp__slot *no_slot(void *nothing, uint32_t index)
{
    (void)nothing;
    (void)index;
    return NULL;
}

static void look(int number)
{
    (void)number;
    nsp__producer *producer = nsp__producer_self();
    nsp__slot *slot = producer->home.slot;
    uint64_t records = 0, children = 0;
    bool right = true;
    looks++;
    for (uint64_t at = 0; at < slot->published;) {
        const nsp__record *record =
            (const nsp__record *)(const void *)(producer->home.ring.bytes + (at & producer->home.ring.mask));
        const bool root = record->span_id == record->local_root_id;
        children = root ? 0 : children + 1;
        right = right && record->bytes >= sizeof *record && record->bytes % 8 == 0;
        at += record->bytes;
        records++;
    }
    right = right && children == 0;
    const nsp__speculation *speculation = producer->speculation;
    uint64_t attempted = slot->counters.attempted;
    if (speculation->keeping.position > slot->published && attempted >= speculation->keeping.attempted) {
        attempted -= speculation->keeping.spans;
        found_keeping++;
    }
    right = right && attempted == records;
    for (uint32_t i = 0; i < slot->frame_count; i++)
        right = right && !nsp__stats_open(nsp__frame_at(slot, i), no_slot, NULL);
    found_wrong += !right;
}

static bool kept_and_taken_back(void)
{
    for (int i = 0; i < 3; i++) {
        nsp_span *root = root_at(now_ticks), *child = nsp_span_begin_at(NSP_NAME("child"), now_ticks);
        nsp_span_set_i64(child, NSP_NAME("number"), i);
        child = nsp_span_next_at(child, NSP_NAME("sibling"), now_ticks + 1);
        nsp_span_end_at(child, now_ticks + 2);
        nsp_span_end_at(root, now_ticks + (i == 1 ? 2 : UINT64_C(1) << 40));
    }
    return true;
}

static void a_crash_leaves_whole_traces(void **state)
{
    (void)state;
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    nsp_config config;
    configure(&config, 0);
    config.collector = NSP_COLLECTOR_INVOKER; // nobody drains meanwhile
    begin_with(&config);
    rule(NSP__OUTLIER_SLOWER);
    (void)(NSP_NAME("number") + NSP_NAME("child") + NSP_NAME("sibling"));
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = look;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    looks = found_wrong = found_keeping = 0;
    assert_true(run_stepped(kept_and_taken_back));
    signal(SIGTRAP, SIG_DFL);
    assert_true(looks > 1000 && found_keeping > 50);
    assert_int_equal(found_wrong, 0);
    capture_settle();
    assert_int_equal(capture_count(), 6);
}

// ---- fork ----

static void a_child_process_goes_on_without_it(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN(); // the one of its own session
    rule(NSP__OUTLIER_SLOWER);
    nsp_span *root = root_at(now_ticks), *span = nsp_span_begin(NSP_NAME("child"));
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
    nsp_span_end_at(root, after_ns(SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_counts(2, 0, 2, 2);
    assert_int_equal(stats().misused, 0);
}

// ---- many threads ----

enum { THREADS = 4, TRACES = 3000 };

static uint64_t slow_traces, other_spans; // atomic

// Traces of every shape; which of them are slow, each thread knows.
static void *trace_a_lot(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed;
    for (int i = 0; i < TRACES; i++) {
        uint64_t draw = nsp__random_next(&random);
        const bool slow = draw % 16 == 0, other = draw / 16 % 4 == 0, away = draw / 64 % 8 == 0;
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.start = now_ticks;
        if (away) {
            nsp_span *root = nsp_span_begin_detached(NSP_NAME("order"), &options);
            nsp_span_enter(root);
            nsp_span_end(nsp_span_begin(NSP_NAME("left out")));
            nsp_span_leave(root);
            nsp_span_end_at(root, now_ticks + (slow ? UINT64_C(1) << 40 : 1));
        } else {
            nsp_span *root = root_at(now_ticks);
            for (uint64_t k = 0; k < draw / 512 % 6; k++) {
                nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), now_ticks);
                nsp_span_set_i64(child, NSP_NAME("number"), (int64_t)k);
                if (other && k == 2) {
                    options.parent = &request_parent;
                    nsp_span_end(nsp_span_begin_with(NSP_NAME("request"), &options));
                    __atomic_fetch_add(&other_spans, 1, __ATOMIC_RELAXED);
                }
                nsp_span_end_at(child, now_ticks + 1);
            }
            nsp_span_end_at(root, now_ticks + (slow ? UINT64_C(1) << 40 : 1));
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
    configure(&config, 0);
    config.ring_bytes = 8 << 20; // all of it fits
    begin_with(&config);
    rule(NSP__OUTLIER_SLOWER);
    sampled_parent(&request_parent, true);
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
    nsp_stats now = stats();
    assert_int_equal(capture_count_named("order"), slow_traces);
    assert_int_equal(capture_count_named("request"), other_spans);
    assert_int_equal(capture_distinct(), capture_count());
    assert_int_equal(now.kept + other_spans, capture_count());
    assert_int_equal(now.misused + now.dropped, 0);
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, "child") == 0)
            assert_non_null(captured_text(capture_at(i), "number"));
}

// ---- rules by the public calls ----

static nsp_span *order_of(const char *name, uint64_t ns)
{
    nsp_span *root = nsp_span_begin_at(nsp_intern(name, strlen(name)), now_ticks);
    nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), now_ticks);
    nsp_span_end_at(child, now_ticks + 1);
    const bool recording = nsp_span_recording(root);
    nsp_span_end_at(root, after_ns(ns));
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
            assert_kept(capture_at(i), "slow");
    capture_forget();
    return count;
}

static void rules_change_while_traces_run(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config, 0);
    config.outliers = "order*: slower=50us; noisy: slower=1ms, errors";
    begin_with(&config);
    assert_null(order_of("other", SLOW_NS)); // no rule concerns it
    assert_non_null(order_of("order.new", 49999));
    assert_int_equal(came_out("order.new"), 0);
    assert_non_null(order_of("order.new", 50000));
    assert_int_equal(came_out("order.new"), 2);
    assert_non_null(order_of("noisy", 50000));
    assert_int_equal(came_out("noisy"), 0);
    // Another bound, while a trace is open: that one is decided by either, the next one by the new one.
    nsp_span *open = nsp_span_begin_at(NSP_NAME("order.open"), now_ticks);
    assert_int_equal(nsp_outlier_set_rule("order*", &(nsp_outlier_rule){.slower_ns = 200000}), NSP_OK);
    nsp_span_end_at(open, after_ns(1));
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define OWN(name) cmocka_unit_test_setup_teardown(name, NULL, end)
    const struct CMUnitTest tests[] = {
        TEST(fast_traces_are_taken_back),
        TEST(slow_traces_are_kept_whole),
        TEST(siblings_are_kept_too),
        TEST(contexts_say_unsampled),
        TEST(a_trace_id_that_was_seen_is_not_used_again),
        TEST(errors_are_kept),
        TEST(a_limit_is_that_of_its_rule),
        TEST(asked_for_is_kept),
        TEST(limits_hold_by_the_clock),
        TEST(what_outgrows_the_buffer_is_its_root_alone),
        TEST(what_is_too_deep_is_counted_as_left_out),
        TEST(other_traces_on_top_are_recorded_as_always),
        TEST(unsampled_traces_on_top_do_not_disturb),
        TEST(entered_spans_suspend),
        TEST(detached_spans_end_under_speculation),
        TEST(detached_children_are_left_out),
        TEST(detached_roots_are_decided_where_they_end),
        TEST(unsampled_remote_parents_speculate),
        OWN(sampled_roots_keep_their_threshold),
        OWN(half_of_the_roots_are_sampled),
        TEST(measured_roots_do_not_record),
        OWN(without_a_buffer_nothing_is_speculated),
        OWN(a_full_ring_refuses_nothing_of_it),
        TEST(a_root_that_ends_first_takes_its_children_along),
        TEST(a_reset_takes_back),
        TEST(the_end_of_a_thread_takes_back),
        TEST(a_session_ends_under_it),
        OWN(rules_change_while_traces_run),
        OWN(signals_come_at_every_instruction),
        OWN(a_crash_leaves_whole_traces),
        TEST(a_child_process_goes_on_without_it),
        OWN(many_threads_keep_exactly_what_is_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
