// SPDX-License-Identifier: Apache-2.0
//
// ctest: TIMEOUT 300
// Many threads with paths at once: nested ones, detached ones that go from thread to thread while they are marked, the
// account read meanwhile. Every span that arrives is checked, against what its trace says of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/capture.h"
#include "support/sanitizer.h"

enum { THREADS = 4, ROUNDS = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 300 : 1500 };

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    I64(number, "number")                                                                                    \
    PHASE(decode, "decode")                                                                                  \
    I64(decoded, "number")                                                                                   \
    PHASE(check, "check")                                                                                    \
    I64(checked, "number") PHASE(submit, "submit") I64(submitted, "number") STR(text, 24, "text")
NSP_PATH_DECLARE(order, "order", ORDER)
#define MATCH(PHASE, I64, F64, STR, BOOL) I64(number, "number") PHASE(fill, "fill") I64(filled, "number")
NSP_PATH_DECLARE(match, "match", MATCH)

static uint64_t expected; // spans
static uint32_t reader_ends;

static void expect(uint64_t spans)
{
    __atomic_fetch_add(&expected, spans, __ATOMIC_RELAXED);
}

// The number of an order: what its thread gave it, and in the lower half which phases it marks.
static void begin_order(order *path, int64_t number)
{
    path->number = number;
    if (number & 1) {
        NSP_PATH_MARK(path, decode);
        path->decoded = number;
    }
    if (number & 2) {
        NSP_PATH_MARK(path, check);
        path->checked = number;
    }
}

static void finish_order(order *path, int64_t number)
{
    char text[32];
    if (number & 4) {
        NSP_PATH_MARK(path, submit);
        path->submitted = number;
        const int length = snprintf(text, sizeof text, "number %" PRId64, number);
        NSP_PATH_STR(path, text, text, (size_t)length);
    }
    order_end(path);
}

static void match_once(int64_t number)
{
    match *path = match_begin();
    path->number = number;
    if (number & 8) {
        NSP_PATH_MARK(path, fill);
        path->filled = number;
    }
    match_end(path);
    expect(1 + (number >> 3 & 1));
}

static uint64_t spans_of(int64_t number)
{
    return 1 + (uint64_t)__builtin_popcountll(number & 7);
}

// An order on its way to another thread. What it is lies beside it, since a path's fields are not to be read.
typedef struct letter {
    order *path;
    int64_t number;
} letter;

static letter letters[THREADS][ROUNDS];
static letter *mailbox;

static void finish_letter(const letter *its)
{
    nsp_span_enter(nsp_path_span(its->path));
    match_once(its->number);
    nsp_span_leave(nsp_path_span(its->path));
    finish_order(its->path, its->number);
}

// Whoever finds a letter in the box goes on with that one too.
static void hand_over(letter *its)
{
    letter *other = __atomic_exchange_n(&mailbox, its, __ATOMIC_ACQ_REL);
    if (other != NULL)
        finish_letter(other);
}

static void *work(void *argument)
{
    const size_t thread = (size_t)(uintptr_t)argument;
    for (int64_t i = 0; i < ROUNDS; i++) {
        const int64_t number = ((int64_t)thread << 40 | i) + 1;
        order *path = order_begin();
        begin_order(path, number);
        match_once(number);
        finish_order(path, number);
        expect(spans_of(number));
        nsp_path_options options = NSP_PATH_OPTIONS_INIT;
        options.detached = true;
        path = order_begin_with(&options);
        begin_order(path, number);
        expect(spans_of(number));
        letters[thread][i] = (letter){path, number};
        hand_over(&letters[thread][i]);
    }
    return NULL;
}

static void *read_statistics(void *argument)
{
    (void)argument;
    uint64_t reads = 0;
    while (!__atomic_load_n(&reader_ends, __ATOMIC_ACQUIRE)) {
        nsp_stats stats = NSP_STATS_INIT;
        if (nsp_stats_get(&stats) != NSP_OK)
            continue;
        const uint64_t sum = stats.open + stats.dropped + stats.discarded + stats.in_rings +
                             stats.in_batches + stats.unconfirmed + stats.rejected + stats.exported +
                             stats.spooled;
        if (stats.attempted < sum)
            abort();
        reads++;
    }
    return (void *)(uintptr_t)reads;
}

static const captured_span *order_of(const captured_span *phase)
{
    for (size_t i = 0; i < capture_count(); i++)
        if (captured_child_of(phase, capture_at(i)))
            return capture_at(i);
    return NULL;
}

static void check_order(const captured_span *span, size_t at)
{
    const int64_t number = strtoll(captured_text(span, "number"), NULL, 10);
    static const char *const names[] = {"decode", "check", "submit"};
    size_t phase = at - (size_t)__builtin_popcountll(number & 7); // in front of it
    for (size_t i = 0; i < 3; i++) {
        if ((number >> i & 1) == 0)
            continue;
        const captured_span *its = capture_at(phase++);
        assert_string_equal(its->name, names[i]);
        assert_true(captured_child_of(its, span));
        assert_string_equal(captured_text(its, "number"), captured_text(span, "number"));
        assert_true(its->start_ns >= span->start_ns && its->end_ns <= span->end_ns + 1);
        if (i == 2) {
            char text[32];
            snprintf(text, sizeof text, "number %" PRId64, number);
            text[24] = 0;
            assert_string_equal(captured_text(its, "text"), text);
        }
    }
}

static void many_threads(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.ring_bytes = 4 << 20;
    config.watermark = 1;
    capture_start(&config);
    pthread_t threads[THREADS], reader;
    assert_int_equal(pthread_create(&reader, NULL, read_statistics, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    finish_letter(mailbox);
    __atomic_store_n(&reader_ends, 1, __ATOMIC_RELEASE);
    void *reads;
    assert_int_equal(pthread_join(reader, &reads), 0);
    assert_true((uintptr_t)reads > 0);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.misused + stats.open + stats.dropped_invalid, 0);
    assert_int_equal(stats.attempted, expected);
    assert_int_equal(stats.exported, expected - stats.dropped);
    assert_int_equal(capture_count(), stats.exported);
    assert_int_equal(capture_distinct(), capture_count());
    size_t orders = 0;
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, "order") == 0) {
            check_order(capture_at(i), i);
            orders++;
        } else if (strcmp(capture_at(i)->name, "match") == 0 && i % 97 == 0 && stats.dropped == 0) {
            const captured_span *parent = order_of(capture_at(i)); // an order, or its phase: never a root
            assert_non_null(parent);
            assert_string_equal(captured_text(parent, "number"), captured_text(capture_at(i), "number"));
        }
    if (stats.dropped == 0)
        assert_int_equal(orders, 2 * THREADS * ROUNDS);
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(many_threads, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
