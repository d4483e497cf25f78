// SPDX-License-Identifier: Apache-2.0
//
// Paths where they are recorded: what begin, marks, fields and end leave in the ring. Each mark and each end is counted
// once, wherever it happens.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "support/capture.h"
#include "support/ring_records.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    STR(symbol, 16, "symbol")                                                                                \
    I64(quantity, "quantity")                                                                                \
    PHASE(decode, "decode")                                                                                  \
    BOOL(valid, "valid")                                                                                     \
    PHASE(check, "check")                                                                                    \
    F64(available, "available")                                                                              \
    STR(note, 5, "note")                                                                                     \
    PHASE(submit, "submit") I64(fills, "fills")
NSP_PATH_DECLARE(order, "order", ORDER)

#define QUICK(PHASE, I64, F64, STR, BOOL)                                                                    \
    PHASE(first, "first", NSP_PATH_AT_START) PHASE(second, "second") I64(count, "count", 0)
NSP_PATH_DECLARE(quick, "quick", QUICK)

#define FLAT(PHASE, I64, F64, STR, BOOL) I64(number, "number") STR(text, 20, "text")
NSP_PATH_DECLARE(flat, "flat", FLAT)

#define BARE(PHASE, I64, F64, STR, BOOL)
NSP_PATH_DECLARE(bare, "bare", BARE)

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
    rings_end();
    return 0;
}

static nsp_stats stats_now(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    return stats;
}

#define assert_no_text(body, field) assert_int_equal((body)->field.length, 0xffff)
#define assert_text_is(body, field, expected)                                                                \
    do {                                                                                                     \
        assert_int_equal((body)->field.length, sizeof(expected) - 1);                                        \
        assert_memory_equal((body)->field.bytes, expected, sizeof(expected) - 1);                            \
    } while (0)

static bool is_no_f64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits == UINT64_C(0x7ff800006e616e6f);
}

static void a_whole_path_is_one_record(void **state)
{
    (void)state;
    order *path = order_begin_at(1000);
    assert_int_equal((uintptr_t)path % 256, 128);
    path->quantity = 100;
    NSP_PATH_STR(path, symbol, "AAPL", 4);
    NSP_PATH_MARK_AT(path, decode, 1010);
    path->valid = 1;
    NSP_PATH_MARK_AT(path, check, 1020);
    path->available = 2.5;
    NSP_PATH_STR(path, note, "fifth", 5);
    NSP_PATH_MARK_AT(path, submit, 1030);
    path->fills = 3;
    assert_int_equal(nsp_path_start(path), 1000);
    assert_int_equal(stats_now().attempted, 1);
    assert_int_equal(stats_now().open, 1);
    order_end_at(path, 1040);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 4);
    assert_int_equal(stats.open + stats.misused, 0);
    assert_int_equal(rings_read(), 1);
    const nsp__record *record = ring_record("order");
    const order *body = ring_body(record);
    assert_int_equal(record->bytes, sizeof *record + sizeof *body);
    assert_int_equal(record->start, 1000);
    assert_int_equal(record->end, 1040);
    assert_int_equal(record->parent_id, 0);
    assert_true(record->local_root_id == record->span_id);
    assert_int_equal(record->kind, NSP__KIND_PATH | NSP_KIND_INTERNAL);
    assert_int_equal(body->nsp__at_decode, 1010);
    assert_int_equal(body->nsp__at_check, 1020);
    assert_int_equal(body->nsp__at_submit, 1030);
    assert_int_equal(body->quantity, 100);
    assert_int_equal(body->valid, 1);
    assert_true(body->available == 2.5);
    assert_int_equal(body->fills, 3);
    assert_text_is(body, symbol, "AAPL");
    assert_text_is(body, note, "fifth");
    assert_int_equal(body->nsp__head.open & ~NSP__PATH_BY_CALL, 3);
    assert_int_equal(body->nsp__head.skipped, 0);
}

static void what_is_not_set_says_so(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { // the second in a frame that has been used
        order *path = order_begin();
        const order *body = path;
        assert_no_text(body, symbol);
        assert_no_text(body, note);
        assert_true(body->quantity == INT64_MIN && body->fills == INT64_MIN);
        assert_true(is_no_f64(body->available));
        assert_int_equal(body->valid, 2);
        if (i == 0) {
            memset(&path->symbol, 0x55, sizeof path->symbol);
            path->quantity = path->fills = 5;
            path->available = 1;
            NSP_PATH_MARK(path, submit);
        }
        order_end(path);
    }
    const order *body = ring_body(ring_record_number("order", 1));
    assert_no_text(body, symbol);
    assert_true(body->quantity == INT64_MIN && body->fills == INT64_MIN);
    assert_int_equal(body->nsp__head.open, 0);
    assert_int_equal(body->nsp__at_submit, 0);
    quick *path = quick_begin();
    assert_int_equal(path->count, 0);
    quick_end(path);
    assert_int_equal(rings_balance().attempted, 2 + 1 + 2);
}

static void readings_follow_each_other(void **state)
{
    (void)state;
    const nsp_ticks before = nsp_now();
    order *path = order_begin();
    NSP_PATH_MARK(path, decode);
    NSP_PATH_MARK(path, check);
    NSP_PATH_MARK(path, submit);
    order_end(path);
    const nsp_ticks after = nsp_now();
    const nsp__record *record = ring_record("order");
    const order *body = ring_body(record);
    assert_in_range(record->start, before, after);
    assert_in_range(body->nsp__at_decode, record->start, after);
    assert_in_range(body->nsp__at_check, body->nsp__at_decode, after);
    assert_in_range(body->nsp__at_submit, body->nsp__at_check, after);
    assert_in_range(record->end, body->nsp__at_submit, after);
}

static void phases_can_be_passed_over(void **state)
{
    (void)state;
    for (unsigned marks = 0; marks < 8; marks++) {
        order *path = order_begin();
        if (marks & 1)
            NSP_PATH_MARK(path, decode);
        if (marks & 2)
            NSP_PATH_MARK(path, check);
        if (marks & 4)
            NSP_PATH_MARK(path, submit);
        order_end(path);
        const nsp__record *record = ring_record_number("order", marks);
        assert_int_equal(nsp__record_spans(record), 1u + (unsigned)__builtin_popcount(marks));
        const order *body = ring_body(record);
        assert_int_equal(body->nsp__at_decode != 0, (marks & 1) != 0);
        assert_int_equal(body->nsp__at_check != 0, (marks & 2) != 0);
        assert_int_equal(body->nsp__at_submit != 0, (marks & 4) != 0);
        rings_balance();
    }
    assert_int_equal(rings_balance().attempted, 8 + 12);
    assert_int_equal(rings_balance().misused, 0);
}

// The first mark counts, and only phases behind the open one can be marked.
static void other_marks_are_misuse(void **state)
{
    (void)state;
    order *path = order_begin();
    NSP_PATH_MARK_AT(path, check, 20);
    NSP_PATH_MARK_AT(path, check, 21);
    assert_int_equal(stats_now().misused, 1);
    NSP_PATH_MARK_AT(path, decode, 22);
    assert_int_equal(stats_now().misused, 2);
    NSP_PATH_MARK_AT(path, submit, 30);
    NSP_PATH_MARK_AT(path, submit, 31);
    NSP_PATH_MARK_AT(path, check, 32);
    assert_int_equal(stats_now().misused, 4);
    order_end_at(path, 40);
    const order *body = ring_body(ring_record("order"));
    assert_int_equal(body->nsp__at_decode, 0);
    assert_int_equal(body->nsp__at_check, 20);
    assert_int_equal(body->nsp__at_submit, 30);
    nsp_stats stats = rings_balance();
    assert_int_equal(stats.attempted, 3);
    assert_int_equal(stats.misused, 4);
}

static void a_phase_can_begin_with_its_path(void **state)
{
    (void)state;
    quick *path = quick_begin_at(50);
    NSP_PATH_MARK_AT(path, first, 51);
    assert_int_equal(stats_now().misused, 1);
    NSP_PATH_MARK_AT(path, second, 60);
    quick_end_at(path, 70);
    const quick *body = ring_body(ring_record("quick"));
    assert_int_equal(body->nsp__at_first, 50);
    assert_int_equal(body->nsp__at_second, 60);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.start = 80;
    path = quick_begin_with(&options);
    assert_int_equal(path->nsp__at_first, 80);
    quick_end_at(path, 90);
    order *other = order_begin();
    NSP_PATH_MARK_AT(other, decode, nsp_path_start(other));
    order_end(other);
    const nsp__record *record = ring_record("order");
    const order *its = ring_body(record);
    assert_true(its->nsp__at_decode == record->start);
    assert_int_equal(rings_balance().attempted, 3 + 2 + 2);
}

static void paths_without_phases_or_fields(void **state)
{
    (void)state;
    flat *path = flat_begin();
    path->number = -1;
    NSP_PATH_STR(path, text, "twenty bytes in here", 20);
    flat_end(path);
    bare_end(bare_begin());
    const flat *body = ring_body(ring_record("flat"));
    assert_int_equal(body->number, -1);
    assert_text_is(body, text, "twenty bytes in here");
    assert_int_equal(ring_record("bare")->bytes, sizeof(nsp__record) + 16);
    assert_int_equal(rings_balance().attempted, 2);
}

static void texts_are_cut_at_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length, kept;
    } cases[] = {
        {"abcde", 5, 5},
        {"abcdef", 6, 5},
        {"abcd\xc3\xa9", 6, 4},
        {"abc\xc3\xa9", 5, 5},
        {"a\xe2\x82\xac", 4, 4},
        {"ab\xe2\x82\xac!", 6, 5},
        {"abc\xe2\x82\xac", 6, 3},
        {"", 0, 0},
        {NULL, 9, 0},
        {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 8, 4},
    };
    uint64_t cut = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        order *path = order_begin();
        path->fills = 77; // right behind
        NSP_PATH_STR(path, note, cases[i].text, cases[i].length);
        order_end(path);
        cut += cases[i].text != NULL && cases[i].kept < cases[i].length;
        const order *body = ring_body(ring_record_number("order", i));
        assert_int_equal(body->note.length, cases[i].kept);
        assert_memory_equal(body->note.bytes, cases[i].kept != 0 ? cases[i].text : "", cases[i].kept);
        assert_int_equal(body->fills, 77);
        assert_int_equal(stats_now().values_cut, cut);
    }
}

// All lengths, by the inline copies of short fields, and of a longer one.
static void texts_of_all_lengths(void **state)
{
    (void)state;
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    for (size_t length = 0; length <= 20; length++) {
        volatile size_t unknown = length;
        order *path = order_begin();
        NSP_PATH_STR(path, symbol, text, unknown);
        order_end(path);
        const order *body = ring_body(ring_record_number("order", length));
        assert_int_equal(body->symbol.length, length < 16 ? length : 16);
        assert_memory_equal(body->symbol.bytes, text, body->symbol.length);
        flat *other = flat_begin();
        NSP_PATH_STR(other, text, text, unknown);
        flat_end(other);
        const flat *its = ring_body(ring_record_number("flat", length));
        assert_int_equal(its->text.length, length);
        assert_memory_equal(its->text.bytes, text, length);
    }
    assert_int_equal(stats_now().values_cut, 4);
}

static void macros_evaluate_once(void **state)
{
    (void)state;
    order *path = order_begin(), *next = path;
    nsp_ticks at[] = {11, 12}, *tick = at;
    const char *texts[] = {"one", "two"}, **text = texts;
    size_t lengths[] = {3, 1}, *length = lengths;
    NSP_PATH_MARK_AT(next++, decode, *tick++);
    assert_ptr_equal(next, path + 1);
    assert_ptr_equal(tick, at + 1);
    next = path;
    NSP_PATH_STR(next++, symbol, *text++, *length++);
    assert_ptr_equal(next, path + 1);
    assert_ptr_equal(text, texts + 1);
    assert_ptr_equal(length, lengths + 1);
    order_end(path);
}

// Readings may come from elsewhere, and lie in any order; they count all the same.
static void readings_may_lie_in_any_order(void **state)
{
    (void)state;
    order *path = order_begin_at(100);
    NSP_PATH_MARK_AT(path, decode, 90);
    NSP_PATH_MARK_AT(path, check, UINT64_MAX);
    NSP_PATH_MARK_AT(path, submit, 1);
    order_end_at(path, 50);
    const nsp__record *record = ring_record("order");
    const order *body = ring_body(record);
    assert_int_equal(record->end, 50);
    assert_true(body->nsp__at_check == UINT64_MAX);
    assert_int_equal(rings_balance().attempted, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_path_is_one_record, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_set_says_so, begin, end),
        cmocka_unit_test_setup_teardown(readings_follow_each_other, begin, end),
        cmocka_unit_test_setup_teardown(phases_can_be_passed_over, begin, end),
        cmocka_unit_test_setup_teardown(other_marks_are_misuse, begin, end),
        cmocka_unit_test_setup_teardown(a_phase_can_begin_with_its_path, begin, end),
        cmocka_unit_test_setup_teardown(paths_without_phases_or_fields, begin, end),
        cmocka_unit_test_setup_teardown(texts_are_cut_at_characters, begin, end),
        cmocka_unit_test_setup_teardown(texts_of_all_lengths, begin, end),
        cmocka_unit_test_setup_teardown(macros_evaluate_once, begin, end),
        cmocka_unit_test_setup_teardown(readings_may_lie_in_any_order, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
