// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Which history an outlier keeps, and what it takes to choose it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/history_trace.h"
#include "trace/speculation_history.h"

static void without_the_rule_nothing_stays(void **state)
{
    (void)state;
    history_begin(65536);
    history_rule(0);
    for (uint64_t i = 0; i < 20; i++)
        history_trace(i, 2, 10 * i, 10 * i + 5);
    assert_int_equal(history_of_thread()->history_end, 0);
    assert_int_equal(history_of_thread()->slot.published, 0);
    history_trace(20, 0, 300, 300 + SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_null(captured_text(capture_at(0), "nanospan.history"));
}

// Names with history and names without share the buffer.
static void traces_of_another_rule_use_the_room_behind_it(void **state)
{
    (void)state;
    history_begin(8192);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    const nsp_outlier_rule plain = {.size = sizeof plain, .slower_ns = SLOW_NS};
    assert_int_equal(nsp_outlier_set_rule("plain", &plain), NSP_OK);
    for (uint64_t i = 0; i < 200; i++) {
        history_trace(i, 1, 10 * i, 10 * i + 5);
        const uint64_t before = history_of_thread()->history_end;
        nsp_span *root = nsp_span_begin_at(NSP_NAME("plain"), ruled_after(10 * i + 6));
        for (int k = 0; k < 12; k++)
            nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        nsp_span_end_at(root, ruled_after(10 * i + 7));
        assert_int_equal(history_of_thread()->history_end, before);
        assert_int_equal(history_of_thread()->slot.published, before);
    }
    history_trace(200, 1, 3000, 3000 + SLOW_NS);
    capture_settle();
    assert_in_range(history_kept(), 15, 199);
    for (size_t i = 0; i < capture_count(); i++)
        assert_string_not_equal(capture_at(i)->name, "plain");
}

static void an_outlier_without_history_leaves_it_to_the_next_one(void **state)
{
    (void)state;
    history_begin(65536);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    const nsp_outlier_rule plain = {.size = sizeof plain, .slower_ns = SLOW_NS};
    assert_int_equal(nsp_outlier_set_rule("plain", &plain), NSP_OK);
    for (uint64_t i = 0; i < 10; i++)
        history_trace(i, 1, 10 * i, 10 * i + 5);
    nsp_span_end_at(nsp_span_begin_at(NSP_NAME("plain"), ruled_after(200)), ruled_after(200 + SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 1);
    for (uint64_t i = 10; i < 15; i++)
        history_trace(i, 1, SLOW_NS + 10 * i + 200, SLOW_NS + 10 * i + 205);
    history_trace(15, 0, SLOW_NS + 500, 2 * SLOW_NS + 500);
    capture_settle();
    assert_int_equal(history_kept(), 15);
    history_trace(16, 0, 2 * SLOW_NS + 600, 3 * SLOW_NS + 600);
    capture_settle();
    assert_int_equal(history_kept(), 15); // each once
}

// Whoever drains finds that the wall clock was set, after the thread has chosen what it keeps.
static void step_the_clock(const char *name)
{
    if (strcmp(name, "speculation: counted as attempted") != 0)
        return;
    nsp__clock *clock = (nsp__clock *)(uintptr_t)&nsp__producer_self()->control->clock;
    for (size_t i = 0; i < NSP__CLOCK_BREAKPOINTS; i++)
        clock->breakpoints[i].offset -= UINT64_C(1000000000);
}

static void a_clock_that_is_set_meanwhile_changes_nothing(void **state)
{
    (void)state;
    history_begin(65536);
    history_rule(100000000);
    for (uint64_t i = 0; i < 30; i++)
        history_trace(i, 1, 10 * i, 10 * i + 5);
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), ruled_after(1000));
    history_describe(root, 30, 0);
    const nsp_ticks slow = ruled_after(1000 + SLOW_NS);
    __atomic_store_n(&nsp__testpoint_hook, step_the_clock, __ATOMIC_RELEASE);
    nsp_span_end_at(root, slow);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    capture_settle();
    assert_int_equal(history_kept(), 30);
    assert_int_equal(capture_count(), 61);
    assert_int_equal(capture_balance().dropped_invalid, 0);
}

static void what_outgrows_the_buffer_is_no_history(void **state)
{
    (void)state;
    history_begin(4096);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    history_trace(0, 2, 0, 5);
    const uint64_t before = history_of_thread()->history_end;
    history_trace(1, 200, 10, 15);
    assert_int_equal(history_of_thread()->history_end, before);
    assert_int_equal(history_of_thread()->slot.published, before);
    assert_int_equal(history_of_thread()->slot.consumed, before); // it has overwritten what was there
    history_trace(2, 2, 20, 25);
    history_trace(3, 200, 30, 30 + SLOW_NS);
    capture_settle();
    assert_int_equal(history_kept(), 0);
    assert_string_equal(captured_text(capture_named("order"), "nanospan.left_out"), "200");
    history_trace(4, 2, 2 * SLOW_NS, 2 * SLOW_NS + 1);
    history_trace(5, 2, 2 * SLOW_NS + 2, 3 * SLOW_NS + 2);
    capture_settle();
    assert_int_equal(history_kept(), 1);
}

static void errors_and_what_was_asked_for_bring_it_along(void **state)
{
    (void)state;
    history_begin(65536);
    history_rule(1000);
    for (int why = 0; why < 2; why++) {
        const uint64_t now_ns = (uint64_t)why * 1000000;
        history_trace(1, 2, now_ns, now_ns + 5);
        history_trace(2, 2, now_ns + 10, now_ns + 15);
        nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), ruled_after(now_ns + 20));
        if (why == 0)
            nsp_span_set_status(root, NSP_SPAN_STATUS_ERROR, "x");
        else
            assert_true(nsp_trace_keep());
        nsp_span_end_at(root, ruled_after(now_ns + 30));
        capture_settle();
        assert_int_equal(history_kept(), 2);
        const captured_span *last = capture_at(capture_count() - 1);
        assert_string_equal(captured_text(last, "nanospan.kept"), why == 0 ? "error" : "asked");
        assert_string_equal(captured_text(last, "nanospan.history"), "2");
        assert_int_equal(last->link_count, 2);
        capture_forget();
    }
}

// What a limit takes back becomes history, and is kept with the next.
static void what_the_limit_takes_back_is_history(void **state)
{
    (void)state;
    history_begin(65536);
    const nsp_outlier_rule rule = {
        .size = sizeof rule, .slower_ns = SLOW_NS, .limit = 1, .history_ns = NSP_OUTLIER_HISTORY_MAX};
    assert_int_equal(nsp_outlier_set_rule("order", &rule), NSP_OK);
    history_trace(0, 0, 0, SLOW_NS);
    history_trace(1, 1, 2 * SLOW_NS, 3 * SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_balance().kept_limited, 1);
    history_trace(2, 0, UINT64_C(3000000000), UINT64_C(3000000000) + SLOW_NS);
    capture_settle();
    assert_int_equal(history_kept(), 1);
    assert_int_equal(capture_count(), 4);
}

// It leaves the ring the room that new traces find at least; the newest is kept of what is too much.
static void a_ring_that_is_nearly_full_keeps_the_newest(void **state)
{
    (void)state;
    nsp_config config;
    history_configure(&config, 262144);
    config.ring_bytes = 65536;
    ruled_begin_with(&config);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    enum { TRACES = 1500 };
    for (uint64_t i = 0; i < TRACES; i++)
        history_trace(i, 0, 10 * i, 10 * i + 5);
    history_trace(TRACES, 0, 10 * TRACES, 10 * TRACES + SLOW_NS);
    const nsp__producer *producer = nsp__producer_self();
    assert_true(nsp__slot_fill(producer->home.slot) <= producer->watermark);
    assert_true(nsp__slot_fill(producer->home.slot) > producer->watermark * 3 / 4);
    capture_settle();
    const uint64_t kept = history_kept();
    assert_in_range(kept, 100, TRACES - 100);
    for (size_t i = 0; i <= kept; i++)
        assert_int_equal(history_number(capture_at(i)), TRACES - kept + i);
    capture_forget();
    // With no room at all it comes alone.
    for (uint64_t i = 0; nsp__slot_fill(producer->home.slot) < producer->watermark; i++)
        history_trace(i, 0, 10 * i, 10 * i + SLOW_NS);
    const uint64_t before = capture_balance().kept;
    history_trace(1, 0, UINT64_C(1000000000), UINT64_C(1000000001));
    history_trace(2, 0, UINT64_C(1000000010), UINT64_C(1000000010) + SLOW_NS);
    assert_int_equal(capture_balance().kept, before + 1);
}

static void *slow_on_another_thread(void *nothing)
{
    history_trace(2, 0, 20, 20 + SLOW_NS);
    return nothing;
}

static void *fast_on_another_thread(void *nothing)
{
    history_trace(1, 0, 10, 15);
    return nothing;
}

// Also not of one that had the slot before.
static void history_is_of_the_same_thread(void **state)
{
    (void)state;
    history_begin(65536);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    pthread_t thread;
    history_trace(0, 0, 0, 5);
    assert_int_equal(pthread_create(&thread, NULL, fast_on_another_thread, NULL), 0);
    pthread_join(thread, NULL);
    capture_settle(); // the slot may be taken again
    assert_int_equal(pthread_create(&thread, NULL, slow_on_another_thread, NULL), 0);
    pthread_join(thread, NULL);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_balance().taken_back, 2);
}

// Each has its own trace id, whatever the rate, and an id that was seen is not used again.
static void trace_ids_are_distinct(void **state)
{
    (void)state;
    nsp_config config;
    history_configure(&config, 65536);
    config.sample_rate = 0.25;
    ruled_begin_with(&config);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    for (uint64_t i = 0; i < 200; i++)
        history_trace(i, 0, 10 * i, 10 * i + 5);
    history_trace(200, 0, 10000, 10000 + SLOW_NS);
    capture_settle();
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        const uint64_t randomness = ruled_randomness(span);
        assert_int_equal(span->threshold == NSP_CONTEXT_UNKNOWN,
                         randomness < (UINT64_C(1) << 56) / 4 * 3); // as the head would have decided
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(span->trace_id, capture_at(k)->trace_id, NSP_TRACE_ID_SIZE);
    }
}

// ---- what it takes to choose it ----

static uint64_t looked_at;

static void count_looks(const char *name)
{
    looked_at += strcmp(name, "speculation: a record is looked at") == 0;
}

// How many records are looked at when an outlier keeps so many traces of a buffer that is full.
static uint64_t looks_of_an_outlier(size_t outlier_bytes, size_t ring_bytes, uint64_t wanted, uint64_t *kept)
{
    nsp_config config;
    history_configure(&config, outlier_bytes);
    config.ring_bytes = ring_bytes;
    ruled_begin_with(&config);
    history_rule(10 * wanted);
    uint64_t number = 0;
    for (; history_of_thread()->slot.consumed == 0; number++)
        history_trace(number, number % 2, 10 * number, 10 * number + 5);
    looked_at = 0;
    __atomic_store_n(&nsp__testpoint_hook, count_looks, __ATOMIC_RELEASE);
    history_trace(number, 0, 10 * number, 10 * number + SLOW_NS);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    capture_settle();
    *kept = history_kept();
    ruled_finish();
    return looked_at;
}

// Those that are kept, twice, and those of a piece of the buffer or two; not the thousands of which it consists.
static void what_an_outlier_looks_at_follows_what_it_keeps(void **state)
{
    static const uint64_t wanted[] = {1, 10, 100};
    for (size_t bytes = 65536; bytes <= 16 << 20; bytes *= 16)
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            uint64_t kept;
            const uint64_t looks = looks_of_an_outlier(bytes, 4 << 20, wanted[i], &kept);
            const uint64_t piece = UINT64_C(1) << nsp__history_shift_of(bytes);
            assert_in_range(kept, wanted[i], wanted[i] + 1);
            assert_in_range(looks, 2 * kept, 2 * 2 * kept + 2 * piece / sizeof(nsp__record));
            capture_teardown(state);
        }
    // Of more than there is room for, what has no room is not looked through either.
    uint64_t kept;
    const uint64_t looks = looks_of_an_outlier(16 << 20, 65536, 1000000, &kept);
    assert_in_range(kept, 100, 65536 / sizeof(nsp__record));
    assert_in_range(looks, 2 * kept, 3 * 65536 / sizeof(nsp__record) + 2 * 65536 / sizeof(nsp__record));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_the_rule_nothing_stays, ruled_end_with_history),
        cmocka_unit_test_teardown(traces_of_another_rule_use_the_room_behind_it, ruled_end_with_history),
        cmocka_unit_test_teardown(an_outlier_without_history_leaves_it_to_the_next_one,
                                  ruled_end_with_history),
        cmocka_unit_test_teardown(a_clock_that_is_set_meanwhile_changes_nothing, ruled_end_with_history),
        cmocka_unit_test_teardown(what_outgrows_the_buffer_is_no_history, ruled_end_with_history),
        cmocka_unit_test_teardown(errors_and_what_was_asked_for_bring_it_along, ruled_end_with_history),
        cmocka_unit_test_teardown(what_the_limit_takes_back_is_history, ruled_end_with_history),
        cmocka_unit_test_teardown(a_ring_that_is_nearly_full_keeps_the_newest, ruled_end_with_history),
        cmocka_unit_test_teardown(history_is_of_the_same_thread, ruled_end_with_history),
        cmocka_unit_test_teardown(trace_ids_are_distinct, ruled_end_with_history),
        cmocka_unit_test_teardown(what_an_outlier_looks_at_follows_what_it_keeps, ruled_end_with_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
