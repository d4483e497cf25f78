// SPDX-License-Identifier: Apache-2.0
//
// Paths and outlier rules: as roots that a rule looks at, below such roots, detached, and as history.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nanospan/latency.h>
#include <nanospan/outlier.h>
#include <string.h>

#include "support/capture.h"
#include "support/ring_records.h"
#include "trace/speculation.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    PHASE(decode, "decode") I64(size, "size") PHASE(submit, "submit") I64(fills, "fills")
NSP_PATH_DECLARE(order, "order", ORDER)
#define MATCH(PHASE, I64, F64, STR, BOOL) PHASE(fill, "fill") I64(fills, "fills")
NSP_PATH_DECLARE(match, "match", MATCH)
#define LARGE(PHASE, I64, F64, STR, BOOL) PHASE(all, "all") STR(text, 1000, "text")
NSP_PATH_DECLARE(large, "large", LARGE)

static nsp_ticks slow_ticks;

static void start_with(const char *rules, double rate, size_t ring_bytes, uint32_t record_bytes)
{
    nsp_config config;
    nsp_thread_reset();
    rings_config(&config);
    config.sample_rate = rate;
    config.outliers = rules;
    config.outlier_bytes = 16 * 1024;
    config.ring_bytes = ring_bytes;
    config.record_bytes = record_bytes;
    config.detached_spans = 2;
    capture_start(&config);
    slow_ticks = nsp_ticks_from_unix_ns(UINT64_C(2000000000)) - nsp_ticks_from_unix_ns(UINT64_C(1000000000));
}

static void start(const char *rules)
{
    start_with(rules, 0, 1 << 20, 4096);
}

static order *begun(bool detached)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = detached;
    options.start = nsp_now();
    order *path = detached ? order_begin_with(&options) : order_begin_at(options.start);
    NSP_PATH_MARK(path, decode);
    path->size = 6;
    return path;
}

static void end_after(order *path, nsp_ticks ticks)
{
    NSP_PATH_MARK(path, submit);
    path->fills = 7;
    order_end_at(path, nsp_path_start(path) + ticks);
}

static void assert_kept(const char *why, size_t number)
{
    const nsp__record *record = ring_record_number("order", number);
    const order *body = ring_body(record);
    assert_string_equal(ring_text(record, "nanospan.kept"), why);
    assert_int_equal(body->size, 6);
    assert_int_equal(body->fills, 7);
    assert_int_equal(nsp__record_spans(record), 3);
    assert_int_equal(record->kind, NSP__KIND_PATH);
}

static void slow_ones_are_kept(void **state)
{
    (void)state;
    start("*: slower=500ms");
    order *path = begun(false);
    assert_true(nsp__path_records(path));
    assert_int_equal(rings_balance().speculating, 1);
    end_after(path, slow_ticks);
    assert_kept("slow", 0);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.kept, 3);
    assert_int_equal(stats.attempted, 3);
    end_after(begun(false), 1);
    stats = rings_balance();
    assert_int_equal(stats.taken_back, 3);
    assert_int_equal(stats.attempted, 3);
    assert_int_equal(stats.misused, 0);
    // With more on the record than its body.
    path = begun(false);
    nsp_span_set_i64(nsp_path_span(path), NSP_KEY("own"), 4);
    end_after(path, slow_ticks);
    assert_kept("slow", 1);
    assert_string_equal(ring_text(ring_record_number("order", 1), "own"), "4");
    rings_end();
}

static void errors_and_what_is_asked_for(void **state)
{
    (void)state;
    start("*: errors, asked");
    order *path = begun(false);
    nsp_span_set_status(nsp_path_span(path), NSP_SPAN_STATUS_ERROR, NULL);
    end_after(path, 1);
    assert_kept("error", 0);
    path = begun(false);
    assert_true(nsp_trace_keep());
    end_after(path, 1);
    assert_kept("asked", 1);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.status = NSP_SPAN_STATUS_ERROR;
    options.start = nsp_now();
    path = order_begin_with(&options);
    path->size = 6;
    NSP_PATH_MARK(path, decode);
    end_after(path, 1);
    assert_kept("error", 2);
    path = begun(false);
    match *inner = match_begin(); // the error of a path below
    nsp_span_set_status(nsp_path_span(inner), NSP_SPAN_STATUS_ERROR, NULL);
    match_end(inner);
    end_after(path, 1);
    assert_kept("error", 3);
    end_after(begun(false), slow_ticks);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 3 * 4 + 1);
    assert_int_equal(stats.taken_back, 3);
    rings_end();
}

static void whole_traces_of_paths(void **state)
{
    (void)state;
    start("*: slower=500ms");
    for (int kept = 0; kept < 2; kept++) {
        order *path = begun(false);
        match *inner = match_begin();
        NSP_PATH_MARK(inner, fill);
        nsp_span_end(nsp_span_begin(NSP_NAME("leaf")));
        inner->fills = 3;
        match_end(inner);
        match_end(match_begin());
        end_after(path, kept ? slow_ticks : 1);
        assert_null(nsp_span_current());
    }
    assert_kept("slow", 0);
    const nsp__record *root = ring_record("order"), *inner = ring_record("match"),
                      *leaf = ring_record("leaf");
    assert_true(inner->parent_id == nsp__path_phase_id(root->span_id, 1));
    assert_true(leaf->parent_id == nsp__path_phase_id(inner->span_id, 1));
    assert_true(leaf->local_root_id == root->span_id);
    assert_null(ring_text(root, "nanospan.left_out"));
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 3 + 2 + 1 + 1);
    assert_int_equal(stats.kept, 7);
    assert_int_equal(stats.taken_back, 7);
    assert_int_equal(stats.kept_incomplete, 0);
    rings_end();
}

static void paths_below_a_span(void **state)
{
    (void)state;
    start("root: slower=500ms");
    for (int kept = 0; kept < 2; kept++) {
        const nsp_ticks start = nsp_now();
        nsp_span *root = nsp_span_begin_at(NSP_NAME("root"), start);
        order *path = begun(false);
        NSP_PATH_MARK(path, submit);
        path->fills = 7;
        order_end(path);
        nsp_span_end_at(root, start + (kept ? slow_ticks : 1));
    }
    assert_int_equal(rings_read(), 2);
    assert_int_equal(nsp__record_spans(ring_record("order")), 3);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.kept, 4);
    assert_int_equal(stats.taken_back, 4);
    rings_end();
}

static void detached_ones(void **state)
{
    (void)state;
    start("*: slower=500ms, asked");
    order *path = begun(true);
    assert_true(nsp__path_records(path));
    end_after(path, slow_ticks);
    assert_kept("slow", 0);
    end_after(begun(true), 1);
    path = begun(true);
    nsp_span_enter(nsp_path_span(path));
    assert_true(nsp_trace_keep());
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("left out"))));
    nsp_span_leave(nsp_path_span(path));
    end_after(path, 1);
    assert_kept("asked", 1);
    assert_string_equal(ring_text(ring_record_number("order", 1), "nanospan.left_out"), "1");
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 6);
    assert_int_equal(stats.kept, 6);
    assert_int_equal(stats.taken_back, 3);
    assert_int_equal(stats.misused, 0);
    // The pool is as full as before.
    order *one = begun(true), *two = begun(true);
    assert_true(nsp__path_records(one) && nsp__path_records(two));
    end_after(one, 1);
    end_after(two, 1);
    assert_int_equal(rings_balance().speculating, 0);
    rings_end();
}

static void those_that_the_head_samples(void **state)
{
    (void)state;
    start_with("*: slower=500ms", 1, 1 << 20, 4096);
    end_after(begun(false), slow_ticks);
    end_after(begun(true), slow_ticks);
    end_after(begun(false), 1);
    assert_kept("slow", 0);
    assert_kept("slow", 1);
    assert_null(ring_text(ring_record_number("order", 2), "nanospan.kept"));
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 9);
    assert_int_equal(stats.speculated, 0);
    rings_end();
}

static uint64_t measured_of(const char *name)
{
    nsp_latency latency = NSP_LATENCY_INIT;
    return nsp_latency_get(name, &latency) == NSP_OK ? latency.count : 0;
}

static void those_that_are_measured(void **state)
{
    (void)state;
    start("*: measure");
    for (int kind = 0; kind < 2; kind++) {
        order *path = begun(kind);
        assert_false(nsp__path_records(path));
        match *inner = match_begin();
        NSP_PATH_MARK(inner, fill);
        match_end(inner);
        NSP_PATH_MARK(path, submit);
        path->fills = 7;
        order_end(path);
        assert_null(nsp_span_current());
    }
    assert_int_equal(measured_of("order"), 2);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted + stats.speculated + stats.misused, 0);
    rings_end();
}

// The buffer is too small for the trace: the root is kept, and says how many it left out.
static void outgrown(void **state)
{
    (void)state;
    start("*: slower=500ms");
    enum { MANY = 300 };
    order *path = begun(false);
    for (int i = 0; i < MANY; i++) {
        match *inner = match_begin();
        if (i % 3 != 0)
            NSP_PATH_MARK(inner, fill);
        match_end(inner);
    }
    end_after(path, slow_ticks);
    assert_kept("slow", 0);
    assert_int_equal(rings_read(), 1);
    assert_string_equal(ring_text(ring_record("order"), "nanospan.left_out"), "500");
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 3);
    assert_int_equal(stats.kept, 3);
    assert_int_equal(stats.taken_back, 500);
    assert_int_equal(stats.kept_incomplete, 1);
    rings_end();
}

static void no_room_in_the_ring(void **state)
{
    (void)state;
    start_with("order: slower=500ms", 0, 64 * 1024, 4096);
    nsp_context parent;
    assert_int_equal(
        nsp_context_parse(&parent, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", NULL), NSP_OK);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.parent = &parent;
    for (int i = 0; i < 700; i++) // fills it
        match_end(match_begin_with(&options));
    rings_balance();
    const uint64_t before = rings_balance().dropped_ring_full;
    order *path = begun(false);
    match_end(match_begin());
    end_after(path, slow_ticks);
    if (rings_balance().dropped_ring_full > before)
        assert_int_equal(rings_balance().dropped_ring_full, before + 3);
    path = begun(true);
    end_after(path, slow_ticks);
    rings_balance();
    assert_true(rings_balance().roots_refused + rings_balance().dropped_ring_full > 0);
    rings_end();
}

static void with_a_limit(void **state)
{
    (void)state;
    start("*: slower=500ms, limit=2");
    for (int i = 0; i < 20; i++)
        end_after(begun(i % 2), slow_ticks);
    nsp_stats stats = rings_balance();
    assert_true(stats.kept_limited >= 15);
    assert_int_equal(stats.attempted, 3 * (20 - stats.kept_limited));
    rings_end();
}

// What was taken back before the outlier comes with it.
static void as_history(void **state)
{
    (void)state;
    start("*: slower=500ms, history=10s");
    for (int i = 0; i < 5; i++) {
        order *path = begun(false);
        match *inner = match_begin();
        NSP_PATH_MARK(inner, fill);
        match_end(inner);
        end_after(path, 1);
    }
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.speculated, 25);
    order *path = begun(false);
    end_after(path, slow_ticks);
    assert_int_equal(ring_count("order"), 6);
    for (size_t i = 0; i < 5; i++)
        assert_kept("history", i);
    assert_kept("slow", 5);
    assert_string_equal(ring_text(ring_record_number("order", 5), "nanospan.history"), "5");
    stats = rings_balance();
    assert_int_equal(stats.attempted, 28);
    assert_int_equal(stats.kept, 28);
    // More than the buffer holds: it is overwritten all the time.
    for (int i = 0; i < 1000; i++) {
        large *one = large_begin();
        NSP_PATH_MARK(one, all);
        large_end_at(one, nsp_path_start(one) + 1);
        if (i % 100 == 50) {
            end_after(begun(false), slow_ticks);
            rings_balance();
        }
    }
    rings_end();
}

static void taken_back_by_a_reset(void **state)
{
    (void)state;
    start("*: slower=1ns");
    begun(false);
    match *inner = match_begin();
    NSP_PATH_MARK(inner, fill);
    nsp_thread_reset();
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted + stats.speculating, 0);
    assert_int_equal(stats.leaked, 2);
    assert_true(stats.taken_back >= 2);
    rings_end();
}

static void while_the_rules_change(void **state)
{
    (void)state;
    start("*: slower=500ms");
    order *path = begun(false), *apart = begun(true);
    assert_int_equal(nsp_outlier_set_rules(""), NSP_OK);
    match *inner = match_begin();
    NSP_PATH_MARK(inner, fill);
    match_end(inner);
    end_after(path, slow_ticks);
    end_after(apart, slow_ticks);
    rings_balance();
    path = begun(false);
    assert_false(nsp__path_records(path));
    assert_int_equal(nsp_outlier_set_rules("*: slower=500ms"), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    order_end(path);
    end_after(begun(false), slow_ticks);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.speculating, 0);
    assert_int_equal(stats.misused, 0);
    rings_end();
}

// A path that finds no room for its body is dropped, and its trace with it.
static void too_large_for_a_record(void **state)
{
    (void)state;
    start_with("*: slower=500ms", 0, 1 << 20, 512);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    for (int kind = 0; kind < 8; kind++) {
        options.detached = kind & 1;
        order *root = kind & 2 ? begun(false) : NULL;
        large *path = kind & 4 ? large_begin() : large_begin_with(&options);
        NSP_PATH_MARK(path, all);
        NSP_PATH_STR(path, text, "text", 4);
        if (!(kind & 1))
            assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("below"))));
        large_end(path);
        if (root != NULL)
            end_after(root, slow_ticks);
        assert_null(nsp_span_current());
        nsp_stats stats = rings_balance();
        assert_int_equal(stats.speculating, 0);
        assert_int_equal(stats.misused, 0);
        end_after(begun(false), slow_ticks); // all is as before
        assert_int_equal(rings_balance().attempted, stats.attempted + 3);
    }
    rings_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(slow_ones_are_kept, capture_teardown),
        cmocka_unit_test_teardown(errors_and_what_is_asked_for, capture_teardown),
        cmocka_unit_test_teardown(whole_traces_of_paths, capture_teardown),
        cmocka_unit_test_teardown(paths_below_a_span, capture_teardown),
        cmocka_unit_test_teardown(detached_ones, capture_teardown),
        cmocka_unit_test_teardown(those_that_the_head_samples, capture_teardown),
        cmocka_unit_test_teardown(those_that_are_measured, capture_teardown),
        cmocka_unit_test_teardown(outgrown, capture_teardown),
        cmocka_unit_test_teardown(no_room_in_the_ring, capture_teardown),
        cmocka_unit_test_teardown(with_a_limit, capture_teardown),
        cmocka_unit_test_teardown(as_history, capture_teardown),
        cmocka_unit_test_teardown(taken_back_by_a_reset, capture_teardown),
        cmocka_unit_test_teardown(while_the_rules_change, capture_teardown),
        cmocka_unit_test_teardown(too_large_for_a_record, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
