// SPDX-License-Identifier: Apache-2.0
//
// Paths among other spans: nesting, parents, contexts, tracestates, options, and what is set on a path's own span.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/capture.h"
#include "support/ring_records.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    PHASE(decode, "decode") I64(size, "size") PHASE(submit, "submit") STR(venue, 8, "venue")
NSP_PATH_DECLARE(order, "order", ORDER)
#define MATCH(PHASE, I64, F64, STR, BOOL) PHASE(fill, "fill") I64(fills, "fills")
NSP_PATH_DECLARE(match, "match", MATCH)

static const char sampled_parent[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    rings_begin(1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_null(nsp_span_current());
    assert_int_equal(rings_balance().misused, 0);
    rings_end();
    return 0;
}

// The id under which a phase of the path, from 1, is a parent; phase 0: the path itself.
static uint64_t id_of(const char *path, uint32_t phase)
{
    const nsp__record *record = ring_record(path);
    return phase != 0 ? nsp__path_phase_id(record->span_id, phase) : record->span_id;
}

static void assert_child(const char *child, const char *path, uint32_t phase)
{
    const nsp__record *record = ring_record(child), *parent = ring_record(path);
    assert_memory_equal(record->trace_id, parent->trace_id, sizeof record->trace_id);
    assert_true(record->local_root_id == parent->local_root_id);
    if (record->parent_id != id_of(path, phase))
        fail_msg("\"%s\" is no child of phase %u of \"%s\"", child, phase, path);
    assert_int_equal(record->flags & NSP_TRACE_FLAG_SAMPLED, NSP_TRACE_FLAG_SAMPLED);
}

static uint64_t context_id(const nsp_context *context)
{
    uint64_t id;
    memcpy(&id, context->span_id, sizeof id);
    return id;
}

static nsp_span *span_ended(const char *name)
{
    nsp_span *span = nsp_span_begin(nsp_intern(name, strlen(name)));
    nsp_span_end(span);
    return span;
}

static void children_are_those_of_the_open_phase(void **state)
{
    (void)state;
    order *path = order_begin();
    span_ended("before");
    NSP_PATH_MARK(path, decode);
    span_ended("in decode");
    match *inner = match_begin();
    span_ended("in the inner one");
    NSP_PATH_MARK(inner, fill);
    span_ended("in fill");
    nsp_span *between = nsp_span_begin(NSP_NAME("between"));
    NSP_PATH_MARK(path, submit); // of the outer one
    span_ended("in between");
    nsp_span_end(between);
    match_end(inner);
    span_ended("in submit");
    order_end(path);
    assert_child("before", "order", 0);
    assert_child("in decode", "order", 1);
    assert_child("match", "order", 1);
    assert_child("in the inner one", "match", 0);
    assert_child("in fill", "match", 1);
    assert_child("between", "match", 1);
    assert_true(ring_record("in between")->parent_id == ring_record("between")->span_id);
    assert_child("in submit", "order", 2);
    assert_false(nsp__record_is_path(ring_record("in submit")));
    assert_int_equal(rings_balance().attempted, 3 + 2 + 7);
}

static void a_phase_that_was_passed_over_is_nobodys_parent(void **state)
{
    (void)state;
    order *path = order_begin();
    NSP_PATH_MARK(path, submit);
    span_ended("child");
    order_end(path);
    assert_child("child", "order", 2);
}

static void siblings_stay_with_their_phase(void **state)
{
    (void)state;
    order *path = order_begin();
    NSP_PATH_MARK(path, decode);
    nsp_span *span = nsp_span_begin(NSP_NAME("first"));
    NSP_PATH_MARK(path, submit);
    span = nsp_span_next(span, NSP_NAME("second"));
    nsp_span_end(span);
    order_end(path);
    assert_child("first", "order", 1);
    assert_child("second", "order", 1);
    assert_false(nsp__record_is_path(ring_record("second")));
}

static void detached_children(void **state)
{
    (void)state;
    order *path = order_begin();
    NSP_PATH_MARK(path, decode);
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("span"), NULL);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = true;
    match *inner = match_begin_with(&options);
    NSP_PATH_MARK(inner, fill);
    assert_ptr_equal(nsp_span_current(), nsp_path_span(path));
    NSP_PATH_MARK(path, submit);
    order_end(path);
    nsp_span_enter(nsp_path_span(inner));
    span_ended("under the inner one");
    nsp_span_leave(nsp_path_span(inner));
    match_end(inner);
    nsp_span_end(span);
    assert_child("span", "order", 1);
    assert_child("match", "order", 1);
    assert_child("under the inner one", "match", 1);
    assert_int_equal(ring_record("match")->detached, 1);
}

static void contexts_name_the_open_phase(void **state)
{
    (void)state;
    nsp_context before, in_decode, current;
    order *path = order_begin();
    nsp_span_context(nsp_path_span(path), &before);
    NSP_PATH_MARK(path, decode);
    nsp_span_context(nsp_path_span(path), &in_decode);
    nsp_span_context(NULL, &current);
    assert_memory_equal(in_decode.span_id, current.span_id, sizeof current.span_id);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &in_decode;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("by context"), &options));
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("by context, detached"), &options));
    nsp_path_options its = NSP_PATH_OPTIONS_INIT;
    its.parent = &in_decode;
    match_end(match_begin_with(&its));
    order_end(path);
    assert_true(context_id(&before) == id_of("order", 0));
    assert_true(context_id(&in_decode) == id_of("order", 1));
    assert_child("by context", "order", 1);
    assert_child("by context, detached", "order", 1);
    assert_child("match", "order", 1);
}

static bool keep_header(void *fields, const char *name, const char *value, size_t length)
{
    assert_true(length < 64);
    if (strcmp(name, "traceparent") == 0)
        snprintf(fields, 64, "%s", value);
    return true;
}

static void headers_name_the_open_phase(void **state)
{
    (void)state;
    char header[64] = "";
    order *path = order_begin();
    NSP_PATH_MARK(path, submit);
    nsp_context parsed;
    const nsp_carrier carrier = {header, NULL, keep_header};
    assert_int_equal(nsp_inject_span(NULL, &carrier), NSP_OK);
    assert_int_equal(nsp_context_parse(&parsed, header, NULL), NSP_OK);
    order_end(path);
    assert_true(context_id(&parsed) == id_of("order", 2));
}

static void tracestates_go_through_paths(void **state)
{
    (void)state;
    static const char list[] = "vendor=a1,other=b2";
    nsp_context parent;
    assert_int_equal(nsp_context_parse(&parent, sampled_parent, list), NSP_OK);
    for (int kind = 0; kind < 4; kind++) {
        nsp_path_options options = NSP_PATH_OPTIONS_INIT;
        options.parent = &parent;
        options.detached = kind & 1;
        options.kind = NSP_KIND_SERVER;
        order *path = order_begin_with(&options);
        nsp_span *span = nsp_path_span(path);
        NSP_PATH_MARK(path, decode);
        path->size = 9;
        nsp_span_set_i64(span, NSP_KEY("own"), 5);
        if (options.detached)
            nsp_span_enter(span);
        match *inner = match_begin(); // inherits it
        span_ended("under both");
        match_end(inner);
        nsp_context context;
        nsp_span_context(span, &context);
        assert_int_equal(context.tracestate_length, sizeof list - 1);
        if (options.detached)
            nsp_span_leave(span);
        if (kind & 2)
            nsp_span_end(nsp_span_next(span, NSP_NAME("next")));
        else
            order_end(path);
        const nsp__record *record = ring_record_number("order", kind);
        assert_string_equal(ring_tracestate(record), list);
        assert_string_equal(ring_text(record, "own"), "5");
        assert_int_equal(record->kind & ~NSP__KIND_PATH, NSP_KIND_SERVER);
        const order *body = ring_body(record);
        assert_int_equal(body->size, 9);
        assert_string_equal(ring_tracestate(ring_record_number("match", kind)), list);
        assert_string_equal(ring_tracestate(ring_record_number("under both", kind)), list);
        assert_true(ring_record_number("match", kind)->parent_id == nsp__path_phase_id(record->span_id, 1));
        if (kind & 2)
            assert_string_equal(ring_tracestate(ring_record_number("next", kind / 3)), list);
    }
}

static void options_are_those_of_spans(void **state)
{
    (void)state;
    nsp_attr attribute = nsp_attr_i64(NSP_KEY("of the link"), 1);
    nsp_context remote;
    assert_int_equal(nsp_context_parse(&remote, sampled_parent, NULL), NSP_OK);
    nsp_link links[2] = {{remote, &attribute, 1}, {remote, NULL, 0}};
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.kind = NSP_KIND_CONSUMER;
    options.links = links;
    options.link_count = 2;
    options.status = NSP_SPAN_STATUS_ERROR;
    options.status_message = "as it began";
    options.start = 77;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    order_end(order_begin_with(&options));
    const nsp__record *record = ring_record("order");
    assert_true(record->parent_id == record->local_root_id);
    assert_int_equal(record->kind, NSP_KIND_CONSUMER | NSP__KIND_PATH);
    assert_int_equal(record->start, 77);
    assert_int_equal(record->status, NSP_SPAN_STATUS_ERROR);
    assert_int_equal(ring_items(record, NSP_ITEM_LINK), 2);
    assert_int_equal(ring_items(record, NSP_ITEM_STATUS_MESSAGE), 1);
    options.new_root = true;
    order *path = order_begin_with(&options);
    NSP_PATH_MARK(path, submit);
    span_ended("in the new trace");
    order_end(path);
    record = ring_record_number("order", 1);
    assert_int_equal(record->parent_id, 0);
    assert_true(ring_record("in the new trace")->parent_id == nsp__path_phase_id(record->span_id, 2));
    options.new_root = false;
    options.parent = &remote;
    order_end(order_begin_with(&options));
    assert_int_equal(ring_record_number("order", 2)->flags & NSP__RECORD_PARENT_REMOTE,
                     NSP__RECORD_PARENT_REMOTE);
    options.kind = (nsp_kind)0x85; // no kind
    order_end(order_begin_with(&options));
    assert_int_equal(ring_record_number("order", 3)->kind, NSP__KIND_PATH);
    // A struct of an older, shorter version.
    options.size = offsetof(nsp_path_options, parent);
    options.kind = NSP_KIND_CLIENT;
    order_end(order_begin_with(&options));
    record = ring_record_number("order", 4);
    assert_true(record->parent_id == record->local_root_id);
    assert_int_equal(record->kind, NSP_KIND_CLIENT | NSP__KIND_PATH);
    nsp_span_end(root);
}

// Setters, events, links and a status lie behind the body.
static void its_span_is_like_any_other(void **state)
{
    (void)state;
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_context context;
    nsp_span_context(root, &context);
    order *path = order_begin();
    nsp_span *span = nsp_path_span(path);
    assert_ptr_equal(nsp_span_current(), span);
    nsp_span_set_i64(span, NSP_KEY("number"), 4);
    NSP_PATH_MARK(path, decode);
    nsp_span_add_event(span, NSP_NAME("event"));
    path->size = 8;
    nsp_span_set_str(span, NSP_KEY("text"), "a longer text than sixteen bytes");
    nsp_span_add_link_with(span, &context, NULL, 0);
    NSP_PATH_STR(path, venue, "XNAS", 4);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "why");
    nsp_span_set_name(span, NSP_NAME("renamed"));
    order_end(path);
    nsp_span_end(root);
    const nsp__record *record = ring_record("renamed");
    const order *body = ring_body(record);
    assert_string_equal(ring_text(record, "number"), "4");
    assert_string_equal(ring_text(record, "text"), "a longer text than sixteen bytes");
    assert_int_equal(ring_items(record, NSP_ITEM_EVENT), 1);
    assert_int_equal(ring_items(record, NSP_ITEM_LINK), 1);
    assert_int_equal(record->status, NSP_SPAN_STATUS_ERROR);
    assert_int_equal(body->size, 8);
    assert_int_equal(body->venue.length, 4);
    assert_true(body->nsp__at_decode != 0);
    assert_int_equal(record->kind, NSP__KIND_PATH);
}

// More than a record holds, and more than are allowed: what cannot be is counted, and the body stays whole.
static void its_span_has_limits(void **state)
{
    (void)state;
    static char long_text[3000];
    static char keys[200][16];
    memset(long_text, 'x', sizeof long_text);
    for (int kind = 0; kind < 3; kind++) {
        order *path = order_begin();
        NSP_PATH_MARK(path, decode);
        path->size = 11;
        nsp_span *span = nsp_path_span(path);
        for (int i = 0; i < 200; i++) {
            snprintf(keys[i], sizeof keys[i], "key %d", kind == 2 ? i % 20 : i);
            const nsp_name key = nsp_intern(keys[i], strlen(keys[i]));
            if (kind == 0)
                nsp_span_set_i64(span, key, i);
            else if (kind == 1)
                nsp_span_set_strn(span, key, long_text, sizeof long_text);
            else
                nsp_span_set_strn(span, key, long_text, 100 + (size_t)i % 7);
        }
        for (int i = 0; i < 300; i++)
            nsp_span_add_event(span, NSP_NAME("event"));
        NSP_PATH_MARK(path, submit);
        NSP_PATH_STR(path, venue, "XNAS", 4);
        order_end(path);
        const nsp__record *record = ring_record_number("order", kind);
        const order *body = ring_body(record);
        assert_int_equal(body->size, 11);
        assert_int_equal(body->venue.length, 4);
        assert_int_equal(nsp__record_spans(record), 3);
        if (kind != 1)
            assert_string_equal(ring_text(record, "key 0"), kind == 0 ? "0" : ring_text(record, "key 0"));
        assert_true(ring_text(record, "key 0") != NULL);
        assert_true(record->bytes <= 4096);
        nsp_span_end(nsp_span_begin(NSP_NAME("after"))); // the frame is as good as before
        assert_int_equal(ring_record_number("after", kind)->bytes, sizeof *record);
    }
}

static void texts_have_the_configured_limit(void **state)
{
    (void)state;
    rings_end();
    nsp_config config;
    rings_config(&config);
    config.attribute_value_length_limit = 3;
    capture_start(&config);
    order *path = order_begin();
    NSP_PATH_STR(path, venue, "abcd", 4);
    order_end(path);
    path = order_begin();
    NSP_PATH_STR(path, venue, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 8);
    order_end(path);
    path = order_begin();
    NSP_PATH_STR(path, venue, "\xc3\xa9\xc3\xa9\xc3\xa9", 6);
    order_end(path);
    assert_int_equal(((const order *)ring_body(ring_record("order")))->venue.length, 3);
    assert_int_equal(((const order *)ring_body(ring_record_number("order", 1)))->venue.length, 6);
    assert_int_equal(((const order *)ring_body(ring_record_number("order", 2)))->venue.length, 6);
    assert_int_equal(rings_balance().values_cut, 2);
}

static void entered_elsewhere(void **state)
{
    (void)state;
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = true;
    order *path = order_begin_with(&options);
    nsp_span_enter(nsp_path_span(path));
    span_ended("before");
    NSP_PATH_MARK(path, decode);
    match *inner = match_begin();
    nsp_span_enter(nsp_path_span(path));
    NSP_PATH_MARK(path, submit);
    span_ended("in submit");
    nsp_span_leave(nsp_path_span(path));
    match_end(inner);
    nsp_span_leave(nsp_path_span(path));
    order_end(path);
    assert_child("before", "order", 0);
    assert_child("match", "order", 1);
    assert_child("in submit", "order", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(children_are_those_of_the_open_phase, begin, end),
        cmocka_unit_test_setup_teardown(a_phase_that_was_passed_over_is_nobodys_parent, begin, end),
        cmocka_unit_test_setup_teardown(siblings_stay_with_their_phase, begin, end),
        cmocka_unit_test_setup_teardown(detached_children, begin, end),
        cmocka_unit_test_setup_teardown(contexts_name_the_open_phase, begin, end),
        cmocka_unit_test_setup_teardown(headers_name_the_open_phase, begin, end),
        cmocka_unit_test_setup_teardown(tracestates_go_through_paths, begin, end),
        cmocka_unit_test_setup_teardown(options_are_those_of_spans, begin, end),
        cmocka_unit_test_setup_teardown(its_span_is_like_any_other, begin, end),
        cmocka_unit_test_setup_teardown(its_span_has_limits, begin, end),
        cmocka_unit_test_setup_teardown(texts_have_the_configured_limit, begin, end),
        cmocka_unit_test_setup_teardown(entered_elsewhere, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
