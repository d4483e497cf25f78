// SPDX-License-Identifier: Apache-2.0
//
// Spans in traces of other processes: which side decides about sampling, and what is sent on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "context/threshold.h"
#include "support/capture.h"

static int end(void **state)
{
    (void)state;
    nsp_thread_reset();
    assert_int_equal(capture_balance().misused, 0);
    capture_end();
    return 0;
}

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static nsp_context incoming(const char *flags, const char *tracestate)
{
    char traceparent[NSP_TRACEPARENT_SIZE];
    nsp_context context;
    snprintf(traceparent, sizeof traceparent, "00-" TRACE "-" PARENT "-%s", flags);
    assert_int_equal(nsp_context_parse(&context, traceparent, tracestate), NSP_OK);
    return context;
}

static nsp_span *begin_under(const char *name, const nsp_context *parent)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = parent;
    options.kind = NSP_KIND_SERVER;
    return nsp_span_begin_with(nsp_intern(name, strlen(name)), &options);
}

// What the span would send: the traceparent without its span id, then the tracestate.
static const char *sent(const nsp_span *span)
{
    static char text[NSP_TRACEPARENT_SIZE + NSP_TRACESTATE_MAX + 8];
    char traceparent[NSP_TRACEPARENT_SIZE], tracestate[NSP_TRACESTATE_MAX + 1];
    nsp_context context;
    nsp_span_context(span, &context);
    assert_false(context.remote);
    nsp_context_format(&context, traceparent);
    nsp_context_format_state(&context, tracestate, sizeof tracestate);
    snprintf(text, sizeof text, "%.35s%s %s", traceparent, traceparent + 52, tracestate);
    return text;
}

#define SENT(flags, tracestate) "00-" TRACE "-" flags " " tracestate

// ---- follow ----

static void the_senders_flag_is_followed_and_its_state_passed_on(void **state)
{
    (void)state;
    // R of this trace id is 0x48eb211c80319c. In: flags and tracestate. Out: what a child of that span sends.
    static const struct {
        const char *flags, *in;
        bool recorded;
        const char *out;
    } cases[] = {
        {"01", NULL, true, SENT("01", "")},
        {"03", NULL, true, SENT("03", "")},
        {"00", NULL, false, SENT("00", "")},
        {"02", NULL, false, SENT("02", "")},
        {"01", "vendor=x,other=y", true, SENT("01", "vendor=x,other=y")},
        {"00", "vendor=x,other=y", false, SENT("00", "vendor=x,other=y")},
        // Thresholds that agree with the flag are kept and others are dropped, because the flag decides.
        {"03", "ot=th:4", true, SENT("03", "ot=th:4")},
        {"03", "ot=th:48eb211c80319c", true, SENT("03", "ot=th:48eb211c80319c")},
        {"03", "ot=th:48eb211c80319d", true, SENT("03", "")},
        {"03", "ot=th:c,vendor=x", true, SENT("03", "vendor=x")},
        {"03", "vendor=x,ot=th:4", true, SENT("03", "vendor=x,ot=th:4")},
        {"02", "ot=th:c", false, SENT("02", "")},
        {"02", "ot=th:4,vendor=x", false, SENT("02", "vendor=x")},
        // Explicit randomness is passed on, and the threshold is compared with it.
        {"01", "ot=rv:abcdef01234567", true, SENT("01", "ot=rv:abcdef01234567")},
        {"01", "ot=th:a;rv:abcdef01234567", true, SENT("01", "ot=th:a;rv:abcdef01234567")},
        {"01", "ot=th:b;rv:abcdef01234567", true, SENT("01", "ot=rv:abcdef01234567")},
        {"00", "ot=rv:abcdef01234567,vendor=x", false, SENT("00", "ot=rv:abcdef01234567,vendor=x")},
        {"03", "ot=th:4;other:kept", true, SENT("03", "ot=th:4;other:kept")},
    };
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK); // it must have no effect
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int detached = 0; detached < 2; detached++) {
            nsp_context parent = incoming(cases[i].flags, cases[i].in);
            nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
            options.parent = &parent;
            nsp_span *span = detached ? nsp_span_begin_detached(NSP_NAME("span"), &options)
                                      : nsp_span_begin_with(NSP_NAME("span"), &options);
            assert_int_equal(nsp_span_recording(span), cases[i].recorded);
            assert_string_equal(sent(span), cases[i].out);
            // All descendants send the same.
            if (detached)
                nsp_span_enter(span);
            nsp_span *child = nsp_span_begin(NSP_NAME("child"));
            assert_int_equal(nsp_span_recording(child), cases[i].recorded);
            assert_string_equal(sent(child), cases[i].out);
            child = nsp_span_next(child, NSP_NAME("next child"));
            assert_string_equal(sent(child), cases[i].out);
            nsp_span_end(child);
            nsp_span *other = nsp_span_begin_detached(NSP_NAME("detached child"), NULL);
            assert_int_equal(nsp_span_recording(other), cases[i].recorded);
            assert_string_equal(sent(other), cases[i].out);
            nsp_span_end(other);
            if (detached)
                nsp_span_leave(span);
            span = nsp_span_next(span, NSP_NAME("next"));
            assert_int_equal(nsp_span_recording(span), cases[i].recorded);
            assert_string_equal(sent(span), cases[i].out);
            nsp_span_end(span);
            assert_null(nsp_span_current());
        }
}

static void what_is_exported_says_where_it_came_from(void **state)
{
    (void)state;
    nsp_context parent = incoming("03", "ot=th:4,vendor=x");
    nsp_context long_state = incoming("03", "ot=th:4");
    nsp_span *span = begin_under("server", &parent);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    span = nsp_span_next(span, NSP_NAME("next server"));
    nsp_span_end(span);
    nsp_span_end(begin_under("short", &long_state));
    capture_settle();
    const captured_span *server = capture_named("server"), *next = capture_named("next server");
    assert_memory_equal(server->trace_id, parent.trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_equal(server->parent_id, parent.span_id, NSP_SPAN_ID_SIZE);
    assert_memory_equal(server->local_root_id, server->span_id, NSP_SPAN_ID_SIZE);
    assert_true(server->parent_remote);
    assert_int_equal(server->kind, NSP_KIND_SERVER);
    assert_string_equal(server->tracestate, "ot=th:4,vendor=x");
    assert_int_equal(server->trace_flags, 3);
    const captured_span *child = capture_named("child");
    assert_true(captured_child_of(child, server));
    assert_false(child->parent_remote);
    assert_memory_equal(child->local_root_id, server->span_id, NSP_SPAN_ID_SIZE);
    assert_string_equal(child->tracestate, "ot=th:4,vendor=x");
    assert_memory_equal(next->parent_id, parent.span_id, NSP_SPAN_ID_SIZE);
    assert_memory_equal(next->local_root_id, next->span_id, NSP_SPAN_ID_SIZE);
    assert_true(next->parent_remote);
    assert_int_equal(next->kind, NSP_KIND_INTERNAL);
    assert_string_equal(next->tracestate, "ot=th:4,vendor=x");
    assert_true(capture_named("short")->threshold == UINT64_C(0x40000000000000));
}

static void the_longest_tracestate_is_passed_on(void **state)
{
    (void)state;
    char text[NSP_TRACESTATE_MAX + 1] = "vendor=";
    size_t length = strlen(text);
    memset(text + length, 'x', 256);
    memcpy(text + length + 256, ",other=", 7);
    memset(text + length + 263, 'y', NSP_TRACESTATE_MAX - length - 263);
    text[NSP_TRACESTATE_MAX] = 0;
    nsp_context parent = incoming("01", text), context;
    assert_int_equal(parent.tracestate_length, NSP_TRACESTATE_MAX);
    nsp_span *span = begin_under("span", &parent);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_context(child, &context);
    assert_int_equal(context.tracestate_length, NSP_TRACESTATE_MAX);
    assert_memory_equal(context.tracestate, text, NSP_TRACESTATE_MAX);
    nsp_span_end(child);
    nsp_span_end(span);
    capture_settle();
    assert_string_equal(capture_named("child")->tracestate, text);
}

// ---- decide ----

static void this_process_decides_by_the_traces_own_randomness(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE), NSP_OK);
    static const struct {
        double rate;
        const char *flags, *in;
        bool recorded;
        const char *out;
    } cases[] = {
        // R = 0x48eb211c80319c is above T = 0x40... (rate 3/4) and below T = 0x80... (1/2). The sender's flag
        // does not matter.
        {0.75, "03", NULL, true, SENT("03", "ot=th:4")},
        {0.75, "02", NULL, true, SENT("03", "ot=th:4")},
        {0.75, "02", "ot=th:c,vendor=x", true, SENT("03", "ot=th:4,vendor=x")},
        {0.5, "03", NULL, false, SENT("02", "")},
        {0.5, "03", "ot=th:4,vendor=x", false, SENT("02", "vendor=x")},
        {1, "00", NULL, true, SENT("01", "ot=th:0")},
        {0, "03", "ot=th:0", false, SENT("02", "")},
        // Explicit randomness takes the place of the trace id's.
        {0.5, "00", "ot=rv:80000000000000", true, SENT("01", "ot=th:8;rv:80000000000000")},
        {0.5, "03", "ot=rv:7fffffffffffff", false, SENT("02", "ot=rv:7fffffffffffff")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nsp_context parent = incoming(cases[i].flags, cases[i].in);
        assert_int_equal(nsp_sampler_set_rate(cases[i].rate), NSP_OK);
        nsp_span *span = begin_under("span", &parent);
        assert_int_equal(nsp_span_recording(span), cases[i].recorded);
        assert_string_equal(sent(span), cases[i].out);
        nsp_span_end(span);
    }
    // Rules match the name of the local root.
    nsp_context parent = incoming("03", NULL);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("kept.*", 1), NSP_OK);
    nsp_span *span = begin_under("kept.span", &parent);
    assert_true(nsp_span_recording(span));
    assert_true(nsp_span_recording(nsp_span_current()));
    nsp_span_end(span);
    span = begin_under("left out", &parent);
    assert_false(nsp_span_recording(span));
    nsp_span_end(span);
    // Back to the other policy, while tracing runs.
    assert_int_equal(nsp_sampler_set_parent_policy(NSP_PARENT_FOLLOW), NSP_OK);
    span = begin_under("left out", &parent);
    assert_true(nsp_span_recording(span));
    nsp_span_end(span);
}

// Under either policy local explicit parents are followed, because their decision was made here.
static void local_parents_are_followed(void **state)
{
    (void)state;
    nsp_context sampled, unsampled;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_context(root, &sampled);
    nsp_span_end(root);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    assert_int_equal(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE), NSP_OK);
    nsp_span *unsampled_root = nsp_span_begin(NSP_NAME("unsampled_root"));
    nsp_span_context(unsampled_root, &unsampled);
    nsp_span_end(unsampled_root);
    nsp_span *span = begin_under("under sampled", &sampled);
    assert_true(nsp_span_recording(span));
    nsp_span_end(span);
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    span = begin_under("under unsampled", &unsampled);
    assert_false(nsp_span_recording(span));
    nsp_context context;
    nsp_span_context(span, &context);
    assert_memory_equal(context.trace_id, unsampled.trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_not_equal(context.span_id, unsampled.span_id, NSP_SPAN_ID_SIZE);
    nsp_span_end(span);
}

// ---- agreement ----

static void processes_downstream_decide_alike(void **state)
{
    (void)state;
    // A process that decides reads what roots at rate 1/4 send on. At the same rate it agrees on each of
    // them; at a higher rate it keeps all that are sampled; at a lower rate it leaves out all that are not.
    static const double downstream[] = {0.25, 0.6, 0.05};
    for (int i = 0; i < 6000; i++) {
        assert_int_equal(nsp_sampler_set_rate(0.25), NSP_OK);
        nsp_context context, arrived;
        nsp_span *root =
            i % 2 == 0 ? nsp_span_begin(NSP_NAME("root")) : nsp_span_begin_detached(NSP_NAME("root"), NULL);
        bool sampled = nsp_span_recording(root);
        nsp_span_context(root, &context);
        nsp_span_end(root);
        uint8_t bytes[NSP_CONTEXT_PACKED_SIZE];
        nsp_context_pack(&context, bytes);
        assert_int_equal(nsp_context_unpack(&arrived, bytes, nsp_context_packed_size(&context)), NSP_OK);
        assert_true(arrived.remote);
        // To save time, the rates are set only once for each root.
        size_t k = (size_t)i / 2 % 3;
        assert_int_equal(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE), NSP_OK);
        assert_int_equal(nsp_sampler_set_rate(downstream[k]), NSP_OK);
        nsp_span *span = begin_under("downstream", &arrived);
        bool kept = nsp_span_recording(span);
        nsp_span_end(span);
        if (k == 0)
            assert_int_equal(kept, sampled);
        else if (k == 1)
            assert_true(kept || !sampled);
        else
            assert_true(sampled || !kept);
    }
}

// ---- unsampled traces have an identity ----

static void an_unsampled_trace_is_one_trace(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_context root, again, child, none, detached_child;
    nsp_span *span = nsp_span_begin(NSP_NAME("root"));
    nsp_span *inner = nsp_span_begin(NSP_NAME("inner"));
    nsp_span_context(inner, &child);
    nsp_span_context(span, &root);
    nsp_span_context(NULL, &again);
    assert_true(nsp_context_valid(&root));
    assert_memory_equal(&root, &again, sizeof root);
    assert_memory_equal(root.trace_id, child.trace_id, NSP_TRACE_ID_SIZE);
    assert_int_equal(root.flags, NSP_TRACE_FLAG_RANDOM);
    assert_int_equal(root.tracestate_length, 0);
    assert_true(root.threshold == NSP_CONTEXT_UNKNOWN && root.randomness == NSP_CONTEXT_UNKNOWN);
    char text[NSP_TRACESTATE_MAX + 1];
    assert_int_equal(nsp_context_format_state(&root, text, sizeof text), 0);
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span_context(detached, &detached_child);
    assert_memory_equal(detached_child.trace_id, root.trace_id, NSP_TRACE_ID_SIZE);
    assert_int_equal(detached_child.flags, NSP_TRACE_FLAG_RANDOM);
    // While another trace is current, the handle still stands for this root.
    nsp_context remote = incoming("00", NULL), other;
    nsp_span *above = begin_under("above", &remote);
    nsp_span_context(span, &again);
    assert_memory_equal(&root, &again, sizeof root);
    nsp_span_context(NULL, &other);
    assert_memory_equal(other.trace_id, remote.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span_end(above);
    nsp_span_end(inner);
    nsp_span_end(span);
    nsp_span_context(detached, &again);
    assert_memory_equal(&again, &detached_child, sizeof again); // drawn once and then kept
    nsp_span_end(detached);
    nsp_span_context(NULL, &none);
    assert_false(nsp_context_valid(&none));
    // The next root has another one.
    span = nsp_span_begin(NSP_NAME("root"));
    nsp_span_context(NULL, &again);
    assert_memory_not_equal(root.trace_id, again.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span *next = nsp_span_next(span, NSP_NAME("root"));
    nsp_span_context(next, &root);
    assert_memory_not_equal(root.trace_id, again.trace_id, NSP_TRACE_ID_SIZE);
    nsp_span_end(next);
}

static bool same_span(const nsp_context *a, const nsp_context *b)
{
    return memcmp(a->span_id, b->span_id, NSP_SPAN_ID_SIZE) == 0;
}

// Requests under one unsampled root must not all carry the same parent id.
static void children_of_an_unsampled_span_have_ids_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_context remote = incoming("00", "vendor=x"), root, again, asked[3];
    for (int framed = 0; framed < 2; framed++) {
        nsp_span *span = framed ? begin_under("root", &remote) : nsp_span_begin(NSP_NAME("root"));
        assert_false(nsp_span_recording(span));
        nsp_span_context(span, &root);
        for (int i = 0; i < 3; i++) {
            nsp_span *child = nsp_span_begin(NSP_NAME("child"));
            nsp_span_context(child, &asked[i]);
            nsp_span_end(child);
            assert_true(nsp_context_valid(&asked[i]));
            assert_memory_equal(asked[i].trace_id, root.trace_id, NSP_TRACE_ID_SIZE);
            assert_int_equal(asked[i].flags, root.flags);
            assert_int_equal(asked[i].tracestate_length, root.tracestate_length);
            assert_true(asked[i].local_root == root.local_root);
            assert_false(same_span(&asked[i], &root));
        }
        assert_false(same_span(&asked[0], &asked[1]) || same_span(&asked[1], &asked[2]) ||
                     same_span(&asked[0], &asked[2]));
        nsp_span_context(span, &again);
        assert_memory_equal(&root, &again, sizeof root);
        nsp_span_end(span);
    }
}

// A span that found no room is not exported, so its parent is sent in its place.
static void a_dropped_child_passes_for_its_parent(void **state)
{
    (void)state;
    nsp_span *spans[40]; // the stack holds 32
    size_t depth = 0;
    do
        spans[depth] = nsp_span_begin(NSP_NAME("span"));
    while (nsp_span_recording(spans[depth]) && ++depth < 40);
    assert_in_range(depth, 1, 39);
    nsp_context last, dropped;
    nsp_span_context(spans[depth - 1], &last);
    nsp_span_context(spans[depth], &dropped);
    assert_memory_equal(&last, &dropped, sizeof last);
    while (depth-- > 0)
        nsp_span_end(spans[depth]);
}

static void a_recording_spans_context_is_its_own(void **state)
{
    (void)state;
    nsp_context root, child, current;
    nsp_span *span = nsp_span_begin(NSP_NAME("root"));
    nsp_span_context(span, &root);
    nsp_span *inner = nsp_span_begin(NSP_NAME("child"));
    nsp_span_context(inner, &child);
    nsp_span_context(NULL, &current);
    assert_memory_equal(&child, &current, sizeof child);
    assert_memory_equal(root.trace_id, child.trace_id, NSP_TRACE_ID_SIZE);
    assert_true(root.local_root == child.local_root);
    nsp_span_end(inner);
    nsp_span_end(span);
    capture_settle();
    assert_memory_equal(capture_named("root")->span_id, root.span_id, NSP_SPAN_ID_SIZE);
    assert_memory_equal(capture_named("child")->span_id, child.span_id, NSP_SPAN_ID_SIZE);
    assert_memory_equal(capture_named("child")->trace_id, child.trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_equal(&root.local_root, root.span_id, NSP_SPAN_ID_SIZE);
    assert_int_equal(root.flags, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, capture_sampled, end)
    const struct CMUnitTest tests[] = {
        TEST(the_senders_flag_is_followed_and_its_state_passed_on),
        TEST(what_is_exported_says_where_it_came_from),
        TEST(the_longest_tracestate_is_passed_on),
        TEST(this_process_decides_by_the_traces_own_randomness),
        TEST(local_parents_are_followed),
        TEST(processes_downstream_decide_alike),
        TEST(an_unsampled_trace_is_one_trace),
        TEST(children_of_an_unsampled_span_have_ids_of_their_own),
        TEST(a_dropped_child_passes_for_its_parent),
        TEST(a_recording_spans_context_is_its_own),
    };
    return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
