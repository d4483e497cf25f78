// SPDX-License-Identifier: Apache-2.0
//
// Spans on a thread's stack: nesting, supplied ticks, siblings, options, status, scope.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/capture.h"

static uint64_t misused(void)
{
    return capture_balance().misused;
}

static bool is_root(const captured_span *span)
{
    static const uint8_t none[NSP_SPAN_ID_SIZE];
    return memcmp(span->parent_id, none, sizeof none) == 0;
}

static void assert_same_trace(const captured_span *a, const captured_span *b, bool same)
{
    assert_int_equal(memcmp(a->trace_id, b->trace_id, sizeof a->trace_id) == 0, same);
}

static void assert_local_root(const captured_span *span, const captured_span *root)
{
    assert_memory_equal(span->local_root_id, root->span_id, NSP_SPAN_ID_SIZE);
}

// ---- nesting ----

static void spans_nest(void **state)
{
    (void)state;
    assert_null(nsp_span_current());
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    assert_ptr_equal(nsp_span_current(), root);
    assert_true(nsp_span_recording(root));
    nsp_span *first = nsp_span_begin(NSP_NAME("first"));
    nsp_span *inner = nsp_span_begin(NSP_NAME("inner"));
    assert_ptr_equal(nsp_span_current(), inner);
    nsp_span_end(inner);
    assert_ptr_equal(nsp_span_current(), first);
    nsp_span_end(first);
    nsp_span *second = nsp_span_begin(NSP_NAME("second"));
    nsp_span_end(second);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end(root);
    assert_null(nsp_span_current());
    nsp_span_end(nsp_span_begin(NSP_NAME("another")));
    assert_int_equal(misused(), 0);

    capture_settle();
    assert_int_equal(capture_count(), 5);
    assert_int_equal(capture_distinct(), 5);
    const captured_span *top = capture_named("root"), *other = capture_named("another");
    assert_true(is_root(top) && is_root(other));
    assert_same_trace(top, other, false);
    assert_true(captured_child_of(capture_named("first"), top));
    assert_true(captured_child_of(capture_named("second"), top));
    assert_true(captured_child_of(capture_named("inner"), capture_named("first")));
    static const char *const family[] = {"root", "first", "inner", "second"};
    for (size_t i = 0; i < 4; i++) {
        const captured_span *span = capture_named(family[i]);
        assert_local_root(span, top);
        assert_int_equal(span->kind, NSP_KIND_INTERNAL);
        assert_int_equal(span->status, NSP_SPAN_STATUS_UNSET);
        assert_int_equal(span->trace_flags, NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
        assert_int_equal(span->threshold, 0);
        assert_false(span->parent_remote);
        assert_int_equal(span->attribute_count + span->event_count + span->link_count, 0);
        assert_true(span->start_ns >= top->start_ns && span->end_ns <= top->end_ns);
    }
    assert_local_root(other, other);
}

static void supplied_ticks_are_kept_to_the_nanosecond(void **state)
{
    (void)state;
    nsp_ticks t[4];
    for (size_t i = 0; i < 4; i++) {
        t[i] = nsp_now();
        for (int spin = 0; spin < 2000; spin++)
            __asm__ __volatile__("");
    }
    nsp_span *root = nsp_span_begin_at(NSP_NAME("root"), t[0]);
    nsp_span *phase = nsp_span_begin_at(NSP_NAME("one"), t[0]);
    phase = nsp_span_next_at(phase, NSP_NAME("two"), t[1]);
    phase = nsp_span_next_at(phase, NSP_NAME("three"), t[2]);
    nsp_span_end_at(phase, t[3]);
    nsp_span_end_at(root, t[3]);
    // An end before the start is moved to the start, and the duration that is sent is at least 1 ns.
    nsp_span_end_at(nsp_span_begin_at(NSP_NAME("backwards"), t[3]), t[0]);

    capture_settle();
    const captured_span *spans[] = {capture_named("one"), capture_named("two"), capture_named("three")};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(spans[i]->start_ns, nsp_ticks_to_unix_ns(t[i]));
        assert_int_equal(spans[i]->end_ns, nsp_ticks_to_unix_ns(t[i + 1]));
        assert_true(captured_child_of(spans[i], capture_named("root")));
    }
    assert_int_equal(capture_named("root")->start_ns, spans[0]->start_ns);
    assert_int_equal(capture_named("root")->end_ns, spans[2]->end_ns);
    const captured_span *backwards = capture_named("backwards");
    assert_int_equal(backwards->start_ns, nsp_ticks_to_unix_ns(t[3]));
    assert_int_equal(backwards->end_ns, backwards->start_ns + 1);
}

static void a_recording_span_tells_its_start(void **state)
{
    (void)state;
    nsp_ticks before = nsp_now();
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_ticks after = nsp_now();
    assert_in_range(nsp_span_start(root), before, after);
    nsp_span *phase = nsp_span_begin_at(NSP_NAME("phase"), nsp_span_start(root));
    assert_int_equal(nsp_span_start(phase), nsp_span_start(root));
    phase = nsp_span_next_at(phase, NSP_NAME("phase"), after);
    assert_int_equal(nsp_span_start(phase), after);
    nsp_span_end(phase);
    nsp_span_end(root);
    assert_int_equal(nsp_span_start(NULL), 0);
    nsp_sampler_set_rate(0);
    nsp_span *unsampled = nsp_span_begin_at(NSP_NAME("root"), after);
    assert_non_null(unsampled);
    assert_int_equal(nsp_span_start(unsampled), 0);
    nsp_span_end(unsampled);
}

// ---- next ----

static void next_is_a_sibling_without_the_attributes_of_the_first(void **state)
{
    (void)state;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_CLIENT;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *span = nsp_span_begin_with(NSP_NAME("a"), &options);
    nsp_span_set_i64(span, NSP_KEY("k"), 1);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "no");
    nsp_span *sibling = nsp_span_next(span, NSP_NAME("b"));
    assert_ptr_not_equal(sibling, span);
    assert_ptr_equal(nsp_span_current(), sibling);
    nsp_span_set_i64(sibling, NSP_KEY("k"), 2);
    nsp_span *child = nsp_span_begin(NSP_NAME("under b"));
    nsp_span_end(child);
    nsp_span_end(sibling);
    nsp_span_end(root);

    capture_settle();
    const captured_span *a = capture_named("a"), *b = capture_named("b");
    assert_true(captured_child_of(a, capture_named("root")) && captured_child_of(b, capture_named("root")));
    assert_true(captured_child_of(capture_named("under b"), b));
    assert_int_equal(a->end_ns, b->start_ns);
    assert_int_equal(a->kind, NSP_KIND_CLIENT);
    assert_int_equal(b->kind, NSP_KIND_INTERNAL);
    assert_int_equal(b->status, NSP_SPAN_STATUS_UNSET);
    assert_string_equal(b->status_message, "");
    assert_string_equal(captured_text(a, "k"), "1");
    assert_string_equal(captured_text(b, "k"), "2");
    assert_int_equal(b->attribute_count, 1);
    assert_local_root(b, capture_named("root"));
}

static void next_of_a_root_is_a_new_trace(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin(NSP_NAME("first"));
    span = nsp_span_next(span, NSP_NAME("second"));
    assert_ptr_equal(nsp_span_current(), span);
    nsp_span_end(span);

    // The sibling gets a decision of its own.
    span = nsp_span_begin(NSP_NAME("third"));
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    span = nsp_span_next(span, NSP_NAME("left out"));
    assert_non_null(span);
    assert_false(nsp_span_recording(span));
    nsp_span *under = nsp_span_begin(NSP_NAME("left out too"));
    assert_ptr_equal(nsp_span_next(under, NSP_NAME("and this")), under);
    nsp_span_end(under);
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    span = nsp_span_next(span, NSP_NAME("fourth"));
    assert_true(nsp_span_recording(span));
    nsp_span_end(span);
    assert_null(nsp_span_current());

    capture_settle();
    assert_int_equal(capture_count(), 4);
    const captured_span *first = capture_named("first"), *second = capture_named("second");
    assert_true(is_root(first) && is_root(second) && is_root(capture_named("fourth")));
    assert_same_trace(first, second, false);
    assert_int_equal(first->end_ns, second->start_ns);
    assert_local_root(second, second);
}

static void next_of_a_root_within_another_trace_stays_there(void **state)
{
    (void)state;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    nsp_span *outer = nsp_span_begin(NSP_NAME("outer"));
    nsp_span *inner = nsp_span_begin_with(NSP_NAME("inner"), &options);
    inner = nsp_span_next(inner, NSP_NAME("inner 2"));
    nsp_span_end(nsp_span_begin(NSP_NAME("under inner 2")));
    nsp_span_end(inner);
    assert_ptr_equal(nsp_span_current(), outer);
    nsp_span_end(nsp_span_begin(NSP_NAME("under outer")));
    nsp_span_end(outer);

    capture_settle();
    const captured_span *two = capture_named("inner 2");
    assert_true(is_root(capture_named("inner")) && is_root(two) && is_root(capture_named("outer")));
    assert_same_trace(capture_named("inner"), two, false);
    assert_same_trace(capture_named("outer"), two, false);
    assert_true(captured_child_of(capture_named("under inner 2"), two));
    assert_true(captured_child_of(capture_named("under outer"), capture_named("outer")));
    assert_int_equal(misused(), 0);
}

// ---- options ----

static void options_are_all_used(void **state)
{
    (void)state;
    nsp_ticks start = nsp_now();
    nsp_span *other = nsp_span_begin(NSP_NAME("other"));
    nsp_context context;
    nsp_span_context(other, &context);
    nsp_span_end(other);
    const nsp_attr attributes[] = {nsp_attr_str(NSP_KEY("why"), "batch"), nsp_attr_i64(NSP_KEY("n"), -7)};
    const nsp_link links[] = {{context, attributes, 2}, {context, NULL, 0}};
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_PRODUCER;
    options.start = start;
    options.links = links;
    options.link_count = 2;

    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *span = nsp_span_begin_with(NSP_NAME("all"), &options);
    assert_ptr_equal(nsp_span_current(), span);
    nsp_span_end(span);
    options.parent = &context;
    options.kind = (nsp_kind)99;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("explicit"), &options));
    nsp_span_end(nsp_span_begin_with(NSP_NAME("none"), NULL));
    nsp_span_end(root);

    capture_settle();
    const captured_span *all = capture_named("all");
    assert_int_equal(all->kind, NSP_KIND_PRODUCER);
    assert_int_equal(all->start_ns, nsp_ticks_to_unix_ns(start));
    assert_true(captured_child_of(all, capture_named("root")));
    assert_int_equal(all->link_count, 2);
    assert_memory_equal(all->links[0].span_id, capture_named("other")->span_id, NSP_SPAN_ID_SIZE);
    assert_memory_equal(all->links[0].trace_id, capture_named("other")->trace_id, NSP_TRACE_ID_SIZE);
    assert_int_equal(all->links[0].attribute_count, 2);
    assert_string_equal(all->links[0].attributes[0].text, "batch");
    assert_string_equal(all->links[0].attributes[1].text, "-7");
    assert_int_equal(all->links[1].attribute_count, 0);
    const captured_span *explicit = capture_named("explicit");
    assert_true(captured_child_of(explicit, capture_named("other")));
    assert_local_root(explicit, capture_named("other"));
    assert_false(explicit->parent_remote);
    assert_int_equal(explicit->kind, NSP_KIND_INTERNAL); // 99 is not a kind
    assert_int_equal(explicit->link_count, 2);
    assert_true(captured_child_of(capture_named("none"), capture_named("root")));
}

static void every_kind_arrives(void **state)
{
    (void)state;
    static const char *const names[] = {"internal", "server", "client", "producer", "consumer"};
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    for (unsigned kind = 0; kind < 5; kind++) {
        options.kind = (nsp_kind)kind;
        nsp_span_end(nsp_span_begin_with(nsp_intern(names[kind], strlen(names[kind])), &options));
    }
    capture_settle();
    for (unsigned kind = 0; kind < 5; kind++)
        assert_int_equal(capture_named(names[kind])->kind, kind);
}

static void an_older_options_struct_gives_what_it_has(void **state)
{
    (void)state;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_SERVER;
    options.new_root = true;
    options.start = 1; // beyond the end of the older struct, so it is not read
    options.size = offsetof(nsp_span_options, start);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_end(nsp_span_begin_with(NSP_NAME("older"), &options));
    options.size = 0;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("not set up"), &options));
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("not set up, detached"), &options));
    nsp_span_end(root);

    capture_settle();
    const captured_span *older = capture_named("older");
    assert_int_equal(older->kind, NSP_KIND_SERVER);
    assert_true(is_root(older));
    assert_true(older->start_ns >= capture_named("root")->start_ns);
    assert_true(captured_child_of(capture_named("not set up"), capture_named("root")));
    assert_int_equal(capture_named("not set up")->kind, NSP_KIND_INTERNAL);
    assert_true(captured_child_of(capture_named("not set up, detached"), capture_named("root")));
}

static void an_explicit_parent_overrides_an_unsampled_root_for_its_time(void **state)
{
    (void)state;
    nsp_span *first = nsp_span_begin(NSP_NAME("recorded"));
    nsp_context context, invalid;
    nsp_span_context(first, &context);
    memset(&invalid, 0, sizeof invalid);
    nsp_span_end(first);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &context;

    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_span *unsampled = nsp_span_begin(NSP_NAME("unsampled"));
    assert_false(nsp_span_recording(unsampled));
    nsp_span *child = nsp_span_begin_with(NSP_NAME("child"), &options);
    assert_true(nsp_span_recording(child));
    nsp_span *grandchild = nsp_span_begin(NSP_NAME("grandchild"));
    assert_true(nsp_span_recording(grandchild));
    nsp_span_end(grandchild);
    nsp_span_end(child);
    nsp_span *again = nsp_span_begin(NSP_NAME("unsampled again"));
    assert_false(nsp_span_recording(again));
    nsp_span_end(again);
    options.parent = &invalid; // an invalid parent counts as none, so the current span is the parent
    again = nsp_span_begin_with(NSP_NAME("unsampled as well"), &options);
    assert_false(nsp_span_recording(again));
    nsp_span_end(again);
    nsp_span_end(unsampled);
    assert_null(nsp_span_current());
    assert_int_equal(misused(), 0);

    capture_settle();
    assert_int_equal(capture_count(), 3);
    assert_true(captured_child_of(capture_named("child"), capture_named("recorded")));
    assert_true(captured_child_of(capture_named("grandchild"), capture_named("child")));
}

// ---- status ----

static void status_follows_its_rules(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct {
            nsp_span_status status;
            const char *message;
        } set[4];
        nsp_span_status status;
        const char *message;
    } cases[] = {
        {"unset", {{0, NULL}}, NSP_SPAN_STATUS_UNSET, ""},
        {"error", {{NSP_SPAN_STATUS_ERROR, "refused"}}, NSP_SPAN_STATUS_ERROR, "refused"},
        {"error without", {{NSP_SPAN_STATUS_ERROR, NULL}}, NSP_SPAN_STATUS_ERROR, ""},
        {"last message",
         {{NSP_SPAN_STATUS_ERROR, "a"}, {NSP_SPAN_STATUS_ERROR, "b"}},
         NSP_SPAN_STATUS_ERROR,
         "b"},
        {"taken back",
         {{NSP_SPAN_STATUS_ERROR, "a"}, {NSP_SPAN_STATUS_ERROR, NULL}},
         NSP_SPAN_STATUS_ERROR,
         ""},
        {"unset changes nothing",
         {{NSP_SPAN_STATUS_ERROR, "a"}, {NSP_SPAN_STATUS_UNSET, "x"}},
         NSP_SPAN_STATUS_ERROR,
         "a"},
        {"ok is final",
         {{NSP_SPAN_STATUS_OK, "x"}, {NSP_SPAN_STATUS_ERROR, "late"}, {NSP_SPAN_STATUS_UNSET, NULL}},
         NSP_SPAN_STATUS_OK,
         ""},
        {"no such status", {{(nsp_span_status)7, "x"}}, NSP_SPAN_STATUS_UNSET, ""},
    };
    const size_t count = sizeof cases / sizeof cases[0];
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(nsp_intern(cases[i].name, strlen(cases[i].name)));
        for (size_t k = 0; k < 4 && (cases[i].set[k].status != 0 || cases[i].set[k].message != NULL); k++)
            nsp_span_set_status(span, cases[i].set[k].status, cases[i].set[k].message);
        nsp_span_end(span);
    }
    nsp_span *beaten = nsp_span_begin(NSP_NAME("ok beats error"));
    nsp_span_set_status(beaten, NSP_SPAN_STATUS_ERROR, "at first");
    nsp_span_set_status(beaten, NSP_SPAN_STATUS_OK, NULL);
    nsp_span_end(beaten);

    capture_settle();
    for (size_t i = 0; i < count; i++) {
        const captured_span *span = capture_named(cases[i].name);
        assert_int_equal(span->status, cases[i].status);
        assert_string_equal(span->status_message, cases[i].message);
    }
    assert_int_equal(capture_named("ok beats error")->status, NSP_SPAN_STATUS_OK);
}

// ---- scope ----

static int leaves_early(int how)
{
    for (int i = 0; i < 3; i++) {
        NSP_SPAN(scope, "scope");
        nsp_span_set_i64(scope, NSP_KEY("how"), how);
        if (how == 1)
            break;
        if (how == 2)
            return i;
        if (how == 3)
            continue;
        if (how == 4)
            goto out;
    }
out:
    return -1;
}

static void a_scope_ends_however_it_is_left(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    for (int how = 0; how <= 4; how++) {
        leaves_early(how);
        assert_ptr_equal(nsp_span_current(), root);
    }
    nsp_span_end(root);
    assert_int_equal(misused(), 0);
    capture_settle();
    assert_int_equal(capture_count_named("scope"), 3 + 1 + 1 + 3 + 1);
    for (size_t i = 0; i < capture_count_named("scope"); i++)
        assert_true(captured_child_of(capture_at(i), capture_named("root")));
}

// ---- bounds ----

static void a_span_too_deep_is_dropped_whole(void **state)
{
    (void)state;
    enum { DEPTH = 32, BEYOND = 5 };
    nsp_span *spans[DEPTH + BEYOND];
    for (size_t i = 0; i < DEPTH + BEYOND; i++) {
        spans[i] =
            i % 7 != 6 ? nsp_span_begin(NSP_NAME("deep")) : nsp_span_begin_with(NSP_NAME("deep"), NULL);
        assert_int_equal(nsp_span_recording(spans[i]), i < DEPTH);
    }
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    assert_false(nsp_span_recording(nsp_span_begin_with(NSP_NAME("deep"), &options)));
    nsp_span_set_i64(spans[DEPTH], NSP_KEY("k"), 1);
    assert_ptr_equal(nsp_span_next(spans[DEPTH], NSP_NAME("deep")), spans[DEPTH]);
    assert_ptr_equal(nsp_span_current(), spans[DEPTH - 1]);
    for (size_t i = DEPTH + BEYOND; i-- > 0;)
        nsp_span_end(spans[i]);
    assert_null(nsp_span_current());
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.dropped_too_deep, BEYOND + 1);
    assert_int_equal(stats.attempted, DEPTH + BEYOND + 1);
    assert_int_equal(stats.exported, DEPTH);
    assert_int_equal(stats.misused, 0);
}

static void a_full_ring_drops_whole_spans_and_refuses_traces_before(void **state)
{
    (void)state;
    capture_end();
    nsp_config config;
    capture_config(&config);
    config.ring_bytes = 64 * 1024;
    config.collector = NSP_COLLECTOR_INVOKER; // nothing drains until the flush
    capture_start(&config);
    static char text[1000];
    memset(text, 'x', sizeof text);
    // One long trace: its root was accepted, so its spans are recorded until there is no room.
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    size_t begun = 0;
    for (; begun < 100; begun++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("child"));
        assert_true(nsp_span_recording(span));
        nsp_span_set_strn(span, NSP_KEY("text"), text, sizeof text);
        nsp_span_end(span);
    }
    nsp_span_end(root);
    nsp_stats stats = capture_balance();
    assert_true(stats.dropped_ring_full > 30 && stats.dropped_ring_full < 50);
    assert_int_equal(stats.in_rings + stats.dropped_ring_full, begun + 1);
    // New traces are left out as a whole.
    nsp_span *refused = nsp_span_begin(NSP_NAME("refused"));
    assert_false(nsp_span_recording(refused));
    nsp_span_end(nsp_span_begin(NSP_NAME("refused child")));
    nsp_context context;
    nsp_span_context(refused, &context);
    assert_true(nsp_context_valid(&context));
    assert_int_equal(context.flags, NSP_TRACE_FLAG_RANDOM);
    nsp_span_end(refused);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("refused"), &options));
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("refused"), NULL));
    assert_int_equal(capture_balance().roots_refused, 3);
    // Once there is room, tracing works as before.
    capture_settle();
    nsp_span *span = nsp_span_begin(NSP_NAME("accepted"));
    assert_true(nsp_span_recording(span));
    nsp_span_end(span);
    capture_settle();
    stats = capture_balance();
    assert_int_equal(stats.attempted, begun + 2);
    assert_int_equal(stats.exported, begun + 2 - stats.dropped_ring_full);
    assert_int_equal(capture_count_named("refused"), 0);
}

static void inert_handles_do_nothing(void **state)
{
    (void)state;
    nsp_span *none = NULL;
    nsp_context context;
    assert_false(nsp_span_recording(none));
    nsp_span_set_i64(none, NSP_KEY("k"), 1);
    nsp_span_set_str(none, NSP_KEY("k"), "v");
    nsp_span_add_event(none, NSP_NAME("e"));
    nsp_span_set_status(none, NSP_SPAN_STATUS_OK, NULL);
    assert_null(nsp_span_next(none, NSP_NAME("n")));
    nsp_span_end(none);
    nsp_span_end_at(none, 1);
    nsp_span_context(none, &context);
    assert_false(nsp_context_valid(&context));
    nsp_span_add_link(none, &context);
    assert_int_equal(misused(), 0);
    assert_int_equal(capture_balance().attempted, 0);
}

static void the_last_name_counts(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("GET"));
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span_set_name(root, NSP_NAME("POST"));
    nsp_span_set_name(child, 0);
    nsp_span_end(child);
    nsp_span_end(root);
    assert_int_equal(misused(), 0);
    nsp_span_set_name(child, NSP_NAME("too late"));
    assert_int_equal(misused(), 1);
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_true(captured_child_of(capture_named("child"), capture_named("POST")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, capture_sampled, capture_reset)
    const struct CMUnitTest tests[] = {
        TEST(spans_nest),
        TEST(supplied_ticks_are_kept_to_the_nanosecond),
        TEST(a_recording_span_tells_its_start),
        TEST(next_is_a_sibling_without_the_attributes_of_the_first),
        TEST(next_of_a_root_is_a_new_trace),
        TEST(next_of_a_root_within_another_trace_stays_there),
        TEST(options_are_all_used),
        TEST(every_kind_arrives),
        TEST(an_older_options_struct_gives_what_it_has),
        TEST(an_explicit_parent_overrides_an_unsampled_root_for_its_time),
        TEST(status_follows_its_rules),
        TEST(the_last_name_counts),
        TEST(a_scope_ends_however_it_is_left),
        TEST(a_span_too_deep_is_dropped_whole),
        TEST(a_full_ring_drops_whole_spans_and_refuses_traces_before),
        TEST(inert_handles_do_nothing),
    };
    return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
