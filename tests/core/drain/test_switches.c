// SPDX-License-Identifier: Apache-2.0
//
// Context switches in spans: rings that this test writes as the kernel does, and spans that lie around their records.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drain/span_view.h"
#include "drain/switches.h"

// ---- a ring ----

static struct perf_event_mmap_page *page;
static size_t ring_bytes;

static void *map(size_t data_pages)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    ring_bytes = data_pages * size;
    void *memory = mmap(NULL, size + ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return page = memory;
}

static size_t mapped(void)
{
    return (size_t)sysconf(_SC_PAGESIZE) + ring_bytes;
}

static void write_bytes(const void *bytes, size_t count)
{
    uint8_t *data = (uint8_t *)page + sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < count; i++)
        data[(page->data_head + i) % ring_bytes] = ((const uint8_t *)bytes)[i];
    page->data_head += count;
}

// words: those between the header and the time.
static void write_record(uint32_t type, uint16_t misc, uint16_t size, const uint64_t *words, size_t count,
                         uint64_t time)
{
    uint64_t record[16] = {0};
    const struct perf_event_header header = {.type = type, .misc = misc, .size = size};
    memcpy(record, &header, sizeof header);
    for (size_t i = 0; i < count; i++)
        record[1 + i] = words[i];
    record[1 + count] = time;
    write_bytes(record, (2 + count) * sizeof *record);
}

enum { OUT = PERF_RECORD_MISC_SWITCH_OUT, PREEMPT = OUT | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT };

static void write_switch(uint16_t misc, uint64_t time)
{
    write_record(PERF_RECORD_SWITCH, misc, 16, NULL, 0, time);
}

static void write_lost(uint64_t lost, uint64_t time)
{
    write_record(PERF_RECORD_LOST, 0, 32, (const uint64_t[]){4711, lost}, 2, time);
}

static void assert_next(nsp__switch_ring *ring, nsp__switch_kind kind, uint64_t time, uint64_t lost)
{
    nsp__switch_record record;
    assert_true(nsp__switch_ring_next(ring, &record));
    assert_int_equal(record.kind, kind);
    assert_int_equal(record.lost, lost);
    if (kind != NSP__SWITCH_LOST || time != 0)
        assert_int_equal(record.monotonic, time);
}

static void assert_no_next(nsp__switch_ring *ring)
{
    nsp__switch_record record;
    assert_false(nsp__switch_ring_next(ring, &record));
}

static nsp__switch_ring open_ring(size_t data_pages)
{
    nsp__switch_ring ring;
    map(data_pages);
    nsp__switch_ring_use(&ring, page, mapped());
    return ring;
}

static void records_are_told_apart(void **state)
{
    (void)state;
    nsp__switch_ring ring = open_ring(1);
    assert_no_next(&ring);
    write_switch(OUT, 10);
    write_switch(0, 20);
    write_record(PERF_RECORD_THROTTLE, 0, 40, (const uint64_t[]){1, 2, 3}, 3, 25); // of no interest
    write_switch(PREEMPT, 30);
    write_lost(7, 40);
    assert_next(&ring, NSP__SWITCH_WAITS, 10, 0);
    assert_next(&ring, NSP__SWITCH_IN, 20, 0);
    assert_next(&ring, NSP__SWITCH_PREEMPTED, 30, 0);
    assert_next(&ring, NSP__SWITCH_LOST, 40, 7);
    assert_no_next(&ring);
    assert_int_equal(page->data_tail, 0);
    nsp__switch_ring_release(&ring);
    assert_int_equal(page->data_tail, page->data_head);
    nsp__switch_ring_close(&ring);
    assert_no_next(&ring);
}

// Records of 24 bytes go over the end in every way that there is.
static void records_go_over_the_end(void **state)
{
    (void)state;
    nsp__switch_ring ring = open_ring(1);
    for (uint64_t i = 1; i < 3000; i++) {
        write_record(PERF_RECORD_SWITCH, i % 2 ? OUT : 0, 24, (const uint64_t[]){0}, 1, i);
        if (i % 100 != 0)
            continue;
        assert_int_equal(nsp__switch_ring_fills(&ring), true);
        for (uint64_t read = i - 99; read <= i; read++)
            assert_next(&ring, read % 2 ? NSP__SWITCH_WAITS : NSP__SWITCH_IN, read, 0);
        assert_no_next(&ring);
        nsp__switch_ring_release(&ring);
        assert_false(nsp__switch_ring_fills(&ring));
    }
    nsp__switch_ring_close(&ring);
}

static void damaged_sizes_end_it_and_it_goes_on(void **state)
{
    (void)state;
    static const uint16_t sizes[] = {0, 4, 7, 12, 17, 1000, 65528, 65535};
    nsp__switch_ring ring = open_ring(1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_switch(OUT, 1);
        write_record(PERF_RECORD_SWITCH, 0, sizes[i], NULL, 0, 2);
        write_switch(0, 3);
        assert_next(&ring, NSP__SWITCH_WAITS, 1, 0);
        assert_next(&ring, NSP__SWITCH_LOST, 0, 1);
        assert_no_next(&ring);
        write_switch(OUT, 5);
        assert_next(&ring, NSP__SWITCH_WAITS, 5, 0);
        nsp__switch_ring_release(&ring);
    }
    // More than there can be, and less than a header.
    page->data_head += 2 * ring_bytes + 16;
    assert_next(&ring, NSP__SWITCH_LOST, 0, 1);
    assert_no_next(&ring);
    page->data_head += 4;
    assert_next(&ring, NSP__SWITCH_LOST, 0, 1);
    page->data_head -= 24; // back
    assert_next(&ring, NSP__SWITCH_LOST, 0, 1);
    assert_no_next(&ring);
    // Too short, or too long, for what they say that they are: passed over.
    page->data_head = 4096;
    ring.at = ring.head = 4096;
    write_record(PERF_RECORD_LOST, 0, 16, NULL, 0, 9);
    uint64_t words[7] = {0};
    write_record(PERF_RECORD_SWITCH, 0, 72, words, 7, 9);
    write_switch(0, 10);
    assert_next(&ring, NSP__SWITCH_IN, 10, 0);
    nsp__switch_ring_close(&ring);
}

// ---- spans ----

static nsp__switches *switches;
static nsp__slot *slot;
static nsp__ring_source source;
static nsp__figures *figures;
static nsp__clock *no_counter; // ticks are nanoseconds
static nsp_config config;
static struct nsp__clock_segment segment;
static nsp__record record;
static nsp_span_view view;

enum { OFF_CPU = 11, PREEMPTED = 12, WAITED = 13 };

static int begin(void **state)
{
    (void)state;
    config = (nsp_config){.size = sizeof config, .threads = 2, .event_count_limit = 128};
    switches = nsp__switches_new(&(nsp__switch_names){OFF_CPU, PREEMPTED, WAITED}, 0, &config);
    assert_non_null(switches);
    slot = calloc(1, sizeof *slot);
    figures = calloc(1, sizeof *figures);
    no_counter = calloc(1, sizeof *no_counter);
    assert_true(slot != NULL && figures != NULL && no_counter != NULL);
    slot->tid = switches->threads[0].tid = 77;
    source = (nsp__ring_source){.slot = slot, .available = true};
    map(8);
    nsp__switch_ring_use(&switches->threads[0].ring, page, mapped());
    segment = (struct nsp__clock_segment){.length = UINT64_MAX, .rate = UINT64_C(1) << NSP__CLOCK_RATE_BITS};
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp__switches_free(switches);
    free(slot);
    free(figures);
    free(no_counter);
    return 0;
}

static void read_them(void)
{
    nsp__notices notices = {.any = false};
    nsp__switches_read(switches, &source, 1, no_counter, figures, &notices);
    assert_false(notices.any);
}

static void off(uint16_t misc, uint64_t from, uint64_t to)
{
    write_switch(misc, from);
    write_switch(0, to);
}

// What becomes of a span that was described: it is on its way, or is if its path is.
static void (*own)(nsp__switches *switches) = nsp__switches_taken;

// Describes a span, with an attribute of its own. False: nothing is to be said.
static bool span(uint64_t start, uint64_t finish, bool root)
{
    static uint64_t items[2];
    items[0] = nsp__item_tag(1, NSP_TYPE_I64, 0, 8);
    items[1] = 42;
    record = (nsp__record){.start = start, .end = finish, .span_id = 5, .local_root_id = root ? 5 : 6};
    view = (nsp_span_view){.start_ns = start,
                           .end_ns = finish,
                           .items = (const uint8_t *)items,
                           .items_bytes = sizeof items,
                           .clock = &segment};
    if (!nsp__switches_concern(switches, 0, &record) ||
        !nsp__switches_describe(switches, 0, &record, &view)) {
        assert_ptr_equal(view.items, items);
        return false;
    }
    own(switches);
    return true;
}

static uint64_t number_of(const nsp_item *item)
{
    uint64_t number;
    assert_int_equal(item->key, OFF_CPU);
    assert_int_equal(item->type, NSP_TYPE_I64);
    assert_int_equal(item->length, 8);
    memcpy(&number, item->payload, sizeof number);
    return number;
}

typedef struct event {
    nsp_name name;
    uint64_t at, ns;
} event;

// events: up to one with no name.
static void assert_says(uint64_t sum, const event *events)
{
    nsp_item_cursor cursor = {view.items, view.items + view.items_bytes};
    nsp_item item = {0};
    assert_true(nsp_item_next(&cursor, &item));
    assert_int_equal(item.key, 1); // the span's own
    assert_true(nsp_item_next(&cursor, &item));
    assert_int_equal(number_of(&item), sum);
    for (; events->name != 0; events++) {
        nsp_item_event payload;
        assert_true(nsp_item_next(&cursor, &item));
        assert_int_equal(item.type, NSP_ITEM_EVENT);
        assert_int_equal(item.key, events->name);
        assert_int_equal(item.length, sizeof payload);
        memcpy(&payload, item.payload, sizeof payload);
        assert_int_equal(payload.ticks, events->at);
        assert_int_equal(payload.attribute_count, 1);
        assert_true(nsp_item_next(&cursor, &item));
        assert_int_equal(number_of(&item), events->ns);
    }
    assert_false(nsp_item_next(&cursor, &item));
}

#define NO_MORE                                                                                              \
    {                                                                                                        \
        0, 0, 0                                                                                              \
    }
#define SAYS(sum, ...) assert_says(sum, (const event[]){__VA_ARGS__})

static void those_of_a_path_wait_for_all_of_it(void **state)
{
    (void)state;
    off(OUT, 120, 150);
    read_them();
    own = nsp__switches_hold;
    for (int fits = 0; fits < 2;
         fits++) { // the first time a later span of the path does not fit into the batch
        assert_true(span(110, 200, false));
        SAYS(30, {WAITED, 120, 30}, NO_MORE);
        assert_false(span(100, 300, false)); // somebody has it
        nsp__switches_decide(switches, fits != 0);
    }
    own = nsp__switches_taken;
    assert_true(span(50, 400, true));
    SAYS(30, NO_MORE);
}

static void the_innermost_span_has_it_and_the_root_the_sum(void **state)
{
    (void)state;
    off(OUT, 120, 150);
    off(PREEMPT, 230, 240);
    off(OUT, 310, 311);
    read_them();
    assert_true(span(110, 200, false)); // innermost
    SAYS(30, {WAITED, 120, 30}, NO_MORE);
    assert_false(span(105, 210, false)); // around it
    assert_true(span(220, 250, false));
    SAYS(10, {PREEMPTED, 230, 10}, NO_MORE);
    assert_false(span(251, 300, false));
    assert_true(span(100, 400, true));
    SAYS(41, {WAITED, 310, 1}, NO_MORE);
    assert_false(span(400, 500, true));
    assert_int_equal(figures->switches, 3);
    assert_int_equal(figures->switches_lost, 0);
}

static void both_kinds_in_one_span_in_the_order_of_time(void **state)
{
    (void)state;
    off(OUT, 110, 115);
    off(PREEMPT, 120, 130);
    off(OUT, 140, 141);
    read_them();
    assert_true(span(100, 200, true));
    SAYS(16, {WAITED, 110, 5}, {PREEMPTED, 120, 10}, {WAITED, 140, 1}, NO_MORE);
    // A root in which they all are that somebody else has is still so long off the CPU.
    assert_true(span(90, 300, true));
    SAYS(16, NO_MORE);
}

// Times that the program gives need not be those at which anything happened.
static void what_lies_in_the_span_counts(void **state)
{
    (void)state;
    off(OUT, 100, 200);
    read_them();
    assert_true(span(150, 400, false));
    SAYS(50, {WAITED, 150, 50}, NO_MORE);
    assert_true(span(50, 120, true));
    SAYS(20, NO_MORE);
    assert_false(span(200, 300, true));
    assert_false(span(50, 100, true));
    assert_false(span(160, 120, true)); // its end lies before its start
}

static void detached_spans_belong_to_no_thread(void **state)
{
    (void)state;
    off(OUT, 110, 115);
    read_them();
    record = (nsp__record){.start = 100, .end = 200, .span_id = 5, .local_root_id = 5, .detached = 1};
    assert_false(nsp__switches_concern(switches, 0, &record));
    record.detached = 0;
    assert_true(nsp__switches_concern(switches, 0, &record));
    assert_false(nsp__switches_concern(switches, 1, &record));
}

static void halves_are_no_switch(void **state)
{
    (void)state;
    write_switch(0, 110); // it was off when its event was opened
    write_switch(OUT, 120);
    read_them();
    assert_false(span(100, 200, true));
    write_switch(0, 130); // the other half comes later
    read_them();
    assert_true(span(100, 200, true));
    SAYS(10, {WAITED, 120, 10}, NO_MORE);
    write_switch(OUT, 210);
    write_lost(3, 215);
    write_switch(0, 220);
    off(PREEMPT, 230, 235);
    read_them();
    assert_int_equal(figures->switches_lost, 3);
    assert_true(span(201, 300, true));
    SAYS(5, {PREEMPTED, 230, 5}, NO_MORE);
    read_them(); // counts the span of which something is missing
    assert_int_equal(figures->switches_lost, 4);
    assert_true(span(216, 300, true)); // begun after that
    read_them();
    assert_int_equal(figures->switches_lost, 4);
    assert_int_equal(figures->switches, 2);
}

// What is put off until the next pass, because no batch is free, is there again.
static void a_span_that_is_described_twice_says_the_same(void **state)
{
    (void)state;
    off(OUT, 110, 115);
    read_them();
    record = (nsp__record){.start = 100, .end = 200, .span_id = 5, .local_root_id = 6};
    for (int i = 0; i < 2; i++) {
        nsp_span_view again = {.items = (const uint8_t *)"", .clock = &segment};
        assert_true(nsp__switches_describe(switches, 0, &record, &again));
        assert_int_equal(again.items_bytes, 16 + 32 + 16);
    }
    assert_true(span(100, 200, false));
    SAYS(5, {WAITED, 110, 5}, NO_MORE);
    assert_false(span(100, 200, false));
}

// No two are equally long, and the longest are in the middle.
static uint64_t length_of(uint64_t i)
{
    return i < 50 ? 100 + 2 * i : 301 - 2 * i;
}

static void only_the_longest_become_events(void **state)
{
    (void)state;
    enum { SWITCHES = 100 };
    for (uint64_t i = 0; i < SWITCHES; i++)
        off(OUT, 1000 + 1000 * i, 1000 + 1000 * i + length_of(i));
    read_them();
    assert_true(span(1, 1000000, true));
    uint64_t sum = 0;
    event expected[NSP__SWITCHES_EVENTS + 1] = {{0, 0, 0}};
    size_t count = 0;
    for (uint64_t i = 0; i < SWITCHES; i++) {
        const uint64_t ns = length_of(i);
        sum += ns;
        if (i >= 19 && i < 19 + NSP__SWITCHES_EVENTS) // 138 to 198, and 201 to 137
            expected[count++] = (event){WAITED, 1000 + 1000 * i, ns};
    }
    assert_int_equal(count, NSP__SWITCHES_EVENTS);
    assert_says(sum, expected);
    assert_int_equal(view.dropped_events, SWITCHES - NSP__SWITCHES_EVENTS);
}

static void a_spans_limit_of_events_holds(void **state)
{
    (void)state;
    off(OUT, 110, 115);
    off(OUT, 120, 126);
    off(OUT, 130, 137);
    read_them();
    switches->event_limit = 2;
    assert_true(span(100, 200, false));
    SAYS(18, {WAITED, 120, 6}, {WAITED, 130, 7}, NO_MORE);
    assert_int_equal(view.dropped_events, 1);
    off(OUT, 210, 215);
    read_them();
    switches->event_limit = 0;
    assert_true(span(200, 300, false));
    SAYS(5, NO_MORE);
    assert_int_equal(view.dropped_events, 1);
}

static void what_is_too_old_is_missing_and_counted(void **state)
{
    (void)state;
    enum { SWITCHES = NSP__SWITCHES_KEPT + 10 };
    for (uint64_t i = 0; i < SWITCHES; i++) {
        off(OUT, 100 + 10 * i, 103 + 10 * i);
        if (i % 500 == 499)
            read_them();
    }
    read_them();
    assert_int_equal(figures->switches, SWITCHES);
    assert_true(span(100 + 10 * 10, 100000, true));
    assert_int_equal(view.dropped_events, NSP__SWITCHES_KEPT - NSP__SWITCHES_EVENTS);
    nsp_item_cursor cursor = {view.items + 16, view.items + view.items_bytes};
    nsp_item item = {0};
    assert_true(nsp_item_next(&cursor, &item));
    assert_int_equal(number_of(&item), 3 * NSP__SWITCHES_KEPT);
    read_them();
    assert_int_equal(figures->switches_lost, 0);
    assert_true(span(50, 100000, true));
    read_them();
    assert_int_equal(figures->switches_lost, 1);
}

static void another_thread_in_the_slot_begins_anew(void **state)
{
    (void)state;
    off(OUT, 110, 115);
    write_switch(OUT, 120);
    nsp__notices notices = {.any = false};
    switches->forbidden = true; // so that nothing is opened
    slot->tid = 78;
    assert_true(nsp__switches_wait(switches, &source, 1));
    nsp__switches_read(switches, &source, 1, no_counter, figures, &notices);
    assert_null(switches->threads[0].ring.page);
    assert_int_equal(switches->threads[0].tid, 78);
    assert_false(switches->threads[0].off);
    assert_false(nsp__switches_wait(switches, &source, 1));
    assert_true(span(100, 200, true)); // of the one before
    SAYS(5, {WAITED, 110, 5}, NO_MORE);
    slot->tid = 0;
    nsp__switches_read(switches, &source, 1, no_counter, figures, &notices);
    assert_false(nsp__switches_wait(switches, &source, 1));
}

// With a counter of 2 ticks a nanosecond.
static void times_become_ticks(void **state)
{
    (void)state;
    no_counter->counter = 1;
    no_counter->rate = UINT64_C(1) << (NSP__CLOCK_RATE_BITS - 1);
    no_counter->last.tick = 1000000;
    no_counter->last.monotonic = 5000;
    off(OUT, 4000, 6000); // before and behind the reading
    read_them();
    assert_int_equal(switches->threads[0].list[0].out, 998000);
    assert_int_equal(switches->threads[0].list[0].in, 1002000);
}

static void why_there_are_none_is_said(void **state)
{
    (void)state;
    char text[NSP__SWITCHES_WHY];
    nsp__switches_explain(text, sizeof text, 13 /* EACCES */, false);
    assert_non_null(strstr(text, "does not permit perf events: kernel.perf_event_paranoid"));
    assert_non_null(strstr(text, "seccomp profile")); // test_perf_permission.c has the rest
    nsp__switches_explain(text, sizeof text, 1 /* EPERM */, true);
    assert_non_null(strstr(text, "kernel.perf_event_mlock_kb"));
    nsp__switches_explain(text, sizeof text, 3 /* ESRCH */, false);
    assert_non_null(strstr(text, "in the engine's PID namespace"));
    nsp__switches_explain(text, sizeof text, 38 /* ENOSYS */, false);
    assert_non_null(strstr(text, "has no perf events"));
    nsp__switches_explain(text, sizeof text, 24 /* EMFILE */, false);
    assert_non_null(strstr(text, "of a thread are not recorded"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_told_apart),
        cmocka_unit_test(records_go_over_the_end),
        cmocka_unit_test(damaged_sizes_end_it_and_it_goes_on),
        TEST(those_of_a_path_wait_for_all_of_it),
        TEST(the_innermost_span_has_it_and_the_root_the_sum),
        TEST(both_kinds_in_one_span_in_the_order_of_time),
        TEST(what_lies_in_the_span_counts),
        TEST(detached_spans_belong_to_no_thread),
        TEST(halves_are_no_switch),
        TEST(a_span_that_is_described_twice_says_the_same),
        TEST(only_the_longest_become_events),
        TEST(a_spans_limit_of_events_holds),
        TEST(what_is_too_old_is_missing_and_counted),
        TEST(another_thread_in_the_slot_begins_anew),
        TEST(times_become_ticks),
        cmocka_unit_test(why_there_are_none_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
