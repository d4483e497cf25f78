// SPDX-License-Identifier: Apache-2.0
//
// Paths that do not record: left out by the sampler or a limit, with tracing off, before nsp_init and after
// nsp_shutdown. They have room that no other thread has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/capture.h"
#include "support/ring_records.h"
#include "trace/trace_state.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    STR(symbol, 16, "symbol") PHASE(decode, "decode") I64(size, "size") PHASE(submit, "submit")
NSP_PATH_DECLARE(order, "order", ORDER)
#define LARGE(PHASE, I64, F64, STR, BOOL) STR(text, 1000, "text") PHASE(all, "all")
NSP_PATH_DECLARE(large, "large", LARGE)
#define FIRST(PHASE, I64, F64, STR, BOOL) PHASE(a, "a", NSP_PATH_AT_START)
NSP_PATH_DECLARE(first, "first", FIRST)

static const char unsampled_parent[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";

static void use(order *path)
{
    NSP_PATH_STR(path, symbol, "a text that is too long", 23);
    NSP_PATH_MARK(path, submit);
    NSP_PATH_MARK(path, decode); // which would be misuse
    path->size = 5;
    NSP_PATH_MARK_AT(path, submit, nsp_path_start(path));
}

static void use_and_end(order *path)
{
    assert_non_null(path);
    assert_int_equal((uintptr_t)path % 16, 0);
    assert_false(nsp__path_records(path));
    assert_false(nsp_span_recording(nsp_path_span(path)));
    assert_int_equal(nsp_path_start(path), 0);
    use(path);
    order_end(path);
}

static void before_anything(void **state)
{
    (void)state;
    use_and_end(order_begin());
    use_and_end(order_begin_at(5));
    use_and_end(order_begin_with(NULL));
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = true;
    use_and_end(order_begin_with(&options));
}

static void left_out_by_the_sampler(void **state)
{
    (void)state;
    rings_begin(0);
    order *path = order_begin();
    assert_ptr_equal(nsp_span_current(), nsp_path_span(path));
    order *inner = order_begin();
    assert_ptr_not_equal(inner, path);
    assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("child"))));
    use_and_end(inner);
    use_and_end(path);
    assert_null(nsp_span_current());
    use_and_end(order_begin_with(NULL));
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted + stats.misused + stats.values_cut, 0);
    assert_int_equal(stats.roots_unsampled, 2);
    rings_end();
}

static void with_a_parent_that_is_left_out(void **state)
{
    (void)state;
    rings_begin(1);
    nsp_context parent;
    assert_int_equal(nsp_context_parse(&parent, unsampled_parent, NULL), NSP_OK);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.parent = &parent;
    for (int i = 0; i < 3; i++) {
        order *path = order_begin_with(&options);
        assert_ptr_equal(nsp_span_current(), nsp_path_span(path));
        nsp_context context;
        nsp_span_context(NULL, &context);
        assert_memory_equal(context.trace_id, parent.trace_id, sizeof context.trace_id);
        order *inner = order_begin();
        assert_ptr_not_equal(inner, path);
        use_and_end(inner);
        use_and_end(path);
        assert_null(nsp_span_current());
    }
    options.detached = true;
    for (int i = 0; i < 3; i++) {
        order *path = order_begin_with(&options), *another = order_begin_with(&options);
        assert_ptr_not_equal(path, another);
        use_and_end(path);
        use_and_end(another);
    }
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted + stats.misused + stats.values_cut, 0);
    rings_end();
}

static void *room_of_a_thread(void *argument)
{
    (void)argument;
    order *path = order_begin();
    void *room = path;
    use_and_end(path);
    return room;
}

static void *room_and_one_more(void *argument)
{
    void **rooms = argument;
    rooms[0] = room_of_a_thread(NULL);
    rooms[1] = thread_result(room_of_a_thread, NULL);
    return NULL;
}

static void threads_share_no_room(void **state)
{
    (void)state;
    for (int on = 0; on < 2; on++) {
        if (on)
            rings_begin(0);
        void *rooms[3] = {room_of_a_thread(NULL), NULL, NULL};
        thread_result(room_and_one_more, &rooms[1]);
        assert_ptr_not_equal(rooms[0], rooms[1]);
        assert_ptr_not_equal(rooms[0], rooms[2]);
        assert_ptr_not_equal(rooms[1], rooms[2]);
        if (on)
            rings_end();
    }
}

static void with_no_place_in_the_pool(void **state)
{
    (void)state;
    nsp_config config;
    rings_config(&config);
    config.sample_rate = 0;
    config.detached_spans = 1;
    capture_start(&config);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = true;
    order *path = order_begin_with(&options), *second = order_begin_with(&options);
    assert_ptr_not_equal(path, second);
    assert_int_equal(nsp__trace_state.control->paths.shared, 1);
    use_and_end(second);
    use_and_end(path);
    path = order_begin_with(&options);
    assert_int_equal(nsp__trace_state.control->paths.shared, 1);
    use_and_end(path);
    assert_int_equal(rings_balance().misused, 0);
    rings_end();
}

// Whatever was open when its session ended, the thread records again once that has ended.
static void across_sessions(void **state)
{
    (void)state;
    nsp_context parent;
    assert_int_equal(nsp_context_parse(&parent, unsampled_parent, NULL), NSP_OK);
    for (int kind = 0; kind < 6; kind++) {
        nsp_path_options options = NSP_PATH_OPTIONS_INIT;
        options.parent = kind & 1 ? &parent : NULL;
        options.detached = kind >= 4;
        rings_begin(1);
        nsp_span *under = kind == 2 ? nsp_span_begin(NSP_NAME("under")) : NULL;
        order *path = order_begin_with(&options);
        assert_true(nsp__path_records(path) == ((kind & 1) == 0));
        if (kind & 2)
            NSP_PATH_MARK(path, decode);
        nsp_shutdown(1000000000);
        use(path);
        assert_int_equal(nsp_path_start(path), 0);
        assert_false(nsp_span_recording(nsp_path_span(path)));
        rings_begin(1);
        use(path);
        order_end(path);
        nsp_span_end(under);
        assert_null(nsp_span_current());
        assert_int_equal(rings_balance().misused, 0);
        order *next = order_begin();
        if (!nsp__path_records(next))
            fail_msg("kind %d: the thread does not record any more", kind);
        order_end(next);
        assert_int_equal(rings_balance().attempted, 1);
        rings_end();
    }
    use_and_end(order_begin());
}

// The session ends while a path begins or ends: its memory reads as zero from then on.
static const char *ends_at;

static void end_session(const char *at)
{
    if (ends_at == NULL || strcmp(at, ends_at) != 0)
        return;
    ends_at = NULL;
    nsp_shutdown(1000000000);
}

static void whenever_the_session_ends(void **state)
{
    (void)state;
    static const char *const points[] = {
        "begin: no tag yet",    "path: no body yet",      "path: about to count its phases",
        "path: phases counted", "commit: position noted", "commit: half copied",
        "commit: published"};
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    __atomic_store_n(&nsp__testpoint_hook, end_session, __ATOMIC_RELEASE);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int kind = 0; kind < 6; kind++) {
            options.new_root = kind % 3 == 1;
            options.detached = kind % 3 == 2;
            rings_begin(1);
            nsp_span *under = kind >= 3 ? nsp_span_begin(NSP_NAME("under")) : NULL;
            ends_at = points[i];
            order *path = kind % 3 == 0 ? order_begin() : order_begin_with(&options);
            use(path);
            order_end(path);
            nsp_span_end(under);
            const bool reached = ends_at == NULL;
            ends_at = NULL;
            assert_true(reached || i < 2); // of the ways to begin, each has one of the first two
            nsp_thread_reset();
            nsp_shutdown(1000000000);
            rings_begin(1);
            path = order_begin();
            assert_true(nsp__path_records(path));
            order_end(path);
            rings_end();
        }
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
}

static void too_large_for_a_record(void **state)
{
    (void)state;
    nsp_config config;
    rings_config(&config);
    config.record_bytes = 512;
    capture_start(&config);
    for (int i = 0; i < 3; i++) {
        large *path = i < 2 ? large_begin() : large_begin_with(NULL);
        assert_false(nsp__path_records(path));
        NSP_PATH_MARK(path, all);
        NSP_PATH_STR(path, text, "text", 4);
        assert_false(nsp_span_recording(nsp_span_begin(NSP_NAME("child"))));
        large_end(path);
        assert_null(nsp_span_current());
    }
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.dropped, 3);
    assert_int_equal(stats.attempted, 3);
    order *path = order_begin();
    assert_true(nsp__path_records(path));
    order_end(path);
    assert_int_equal(rings_balance().misused, 0);
    rings_end();
}

// One whose sampler would leave it out anyway is not dropped.
static void too_large_and_left_out(void **state)
{
    (void)state;
    nsp_config config;
    rings_config(&config);
    config.record_bytes = 512;
    config.sample_rate = 0;
    capture_start(&config);
    large *path = large_begin();
    large_end(path);
    large_end(large_begin_with(NULL));
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 0);
    assert_int_equal(stats.roots_unsampled, 2);
    rings_end();
}

static void too_deep(void **state)
{
    (void)state;
    nsp_config config;
    rings_config(&config);
    config.open_spans = 2;
    capture_start(&config);
    order *first_one = order_begin(), *second = order_begin(), *third = order_begin();
    assert_true(nsp__path_records(second));
    use_and_end(third);
    order_end(second);
    order_end(first_one);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.dropped_too_deep, 1);
    assert_int_equal(stats.attempted, 3);
    assert_int_equal(stats.misused, 0);
    rings_end();
}

static void a_ring_that_is_full(void **state)
{
    (void)state;
    nsp_config config;
    rings_config(&config);
    config.ring_bytes = 64 * 1024;
    config.watermark = 1;
    capture_start(&config);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    uint64_t begun = 0;
    for (int i = 0; i < 1000; i++) {
        order *path = order_begin();
        assert_true(nsp__path_records(path));
        NSP_PATH_MARK(path, decode);
        if (i % 2 == 0)
            NSP_PATH_MARK(path, submit);
        order_end(path);
        begun += i % 2 == 0 ? 3 : 2;
    }
    nsp_span_end(root);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, begun + 1);
    assert_true(stats.dropped_ring_full > 500);
    rings_end();
}

static void roots_that_are_refused(void **state)
{
    (void)state;
    nsp_config config;
    rings_config(&config);
    config.ring_bytes = 64 * 1024;
    config.watermark = 0.5;
    capture_start(&config);
    for (int i = 0; i < 1000; i++) {
        order *path = order_begin();
        if (!nsp__path_records(path))
            assert_ptr_equal(nsp_path_span(path), nsp_span_current());
        use(path);
        order_end(path);
        assert_null(nsp_span_current());
    }
    nsp_stats stats = rings_balance();
    assert_true(stats.roots_refused > 400);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.attempted, (1000 - stats.roots_refused) * 2);
    rings_end();
}

// With other classes of roots beside it, a tenth of the roots are chosen and no root is skipped twice.
static void one_in_ten(void **state)
{
    (void)state;
    nsp_config config;
    enum { ROOTS = 20000 };
    rings_config(&config);
    config.sample_rate = 0.1;
    config.ring_bytes = 4 << 20;
    capture_start(&config);
    uint64_t recorded = 0;
    for (int i = 0; i < ROOTS; i++) {
        order *path = i % 2 ? order_begin() : order_begin_with(NULL);
        recorded += nsp__path_records(path);
        NSP_PATH_MARK(path, decode);
        order_end(path);
    }
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 2 * recorded);
    assert_int_equal(stats.roots_unsampled + recorded, ROOTS);
    // The number has a standard deviation of 42. Further than 12 of these is no chance.
    assert_in_range(recorded, ROOTS / 10 - 510, ROOTS / 10 + 510);
    rings_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_anything), // must be the first
        cmocka_unit_test_teardown(threads_share_no_room, capture_teardown),
        cmocka_unit_test_teardown(left_out_by_the_sampler, capture_teardown),
        cmocka_unit_test_teardown(with_a_parent_that_is_left_out, capture_teardown),
        cmocka_unit_test_teardown(with_no_place_in_the_pool, capture_teardown),
        cmocka_unit_test_teardown(across_sessions, capture_teardown),
        cmocka_unit_test_teardown(whenever_the_session_ends, capture_teardown),
        cmocka_unit_test_teardown(too_large_for_a_record, capture_teardown),
        cmocka_unit_test_teardown(too_large_and_left_out, capture_teardown),
        cmocka_unit_test_teardown(too_deep, capture_teardown),
        cmocka_unit_test_teardown(a_ring_that_is_full, capture_teardown),
        cmocka_unit_test_teardown(roots_that_are_refused, capture_teardown),
        cmocka_unit_test_teardown(one_in_ten, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
