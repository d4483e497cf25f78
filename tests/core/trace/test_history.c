// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// History: what was taken back, lies in the buffer until it is overwritten, and is kept with an outlier. Against a
// model that knows each trace, and under a reader that copies while the thread goes on.
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

#include "base/random.h"
#include "base/testpoint.h"
#include "support/capture.h"
#include "support/sanitizer.h"
#include "support/single_steps.h"
#include "trace/speculation_history.h"

enum { SLOW_NS = 1000000, RECORD_MAX = 4096 };

static nsp_ticks now_ticks;
static uint64_t now_ns; // the time of the next trace, from the beginning of the test

// Times are supplied, so that nothing depends on how fast the machine is.
static nsp_ticks at_ns(uint64_t ns)
{
    return nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(now_ticks) + ns);
}

static bool begun;

static void begin_with(const nsp_config *config)
{
    begun = true;
    capture_start(config);
    now_ticks = nsp_now();
    now_ns = 0;
    nsp_span_end(nsp_span_begin(NSP_NAME("first of all")));
}

static void configure(nsp_config *config, size_t outlier_bytes)
{
    capture_config(config);
    config->collector = NSP_COLLECTOR_INVOKER;
    config->sample_rate = 0;
    config->outlier_bytes = outlier_bytes;
    config->ring_bytes = 4 << 20;
}

static void begin(size_t outlier_bytes)
{
    nsp_config config;
    configure(&config, outlier_bytes);
    begin_with(&config);
}

static int end(void **state)
{
    nsp__testpoint_hook = NULL;
    if (!begun)
        return capture_teardown(state);
    begun = false;
    nsp_stats now = capture_balance();
    assert_int_equal(now.speculated, now.taken_back + now.kept);
    assert_int_equal(now.open, 0);
    assert_true(nsp__producer_self() == NULL || nsp__pen_is_home(nsp__producer_self()));
    capture_end();
    return capture_teardown(state);
}

static void rule(uint64_t history_ns)
{
    const nsp_outlier_rule rule = {
        .size = sizeof rule, .slower_ns = SLOW_NS, .errors = true, .asked = true, .history_ns = history_ns};
    assert_int_equal(nsp_outlier_set_rule("order", &rule), NSP_OK);
}

static const nsp__speculation *speculation(void)
{
    return nsp__producer_self()->speculation;
}

// ---- traces with a number ----

static const char filling[] = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";

static void describe(nsp_span *span, uint64_t number, unsigned part)
{
    const uint64_t length = (number * 7 + part * 13) % 64;
    nsp_span_set_i64(span, NSP_NAME("number"), (int64_t)number);
    nsp_span_set_i64(span, NSP_NAME("part"), part);
    if (length > 8)
        nsp_span_set_strn(span, NSP_NAME("filling"), filling + number % 8, length);
}

// A root with so many children. The last part is the root's.
static void trace(uint64_t number, unsigned children, uint64_t from_ns, uint64_t to_ns)
{
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), at_ns(from_ns));
    for (unsigned i = 0; i < children; i++) {
        nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), at_ns(from_ns));
        describe(child, number, i);
        nsp_span_end_at(child, at_ns(from_ns + 1));
    }
    describe(root, number, children);
    nsp_span_end_at(root, at_ns(to_ns));
}

static uint64_t number_of(const captured_span *span)
{
    return strtoull(captured_text(span, "number"), NULL, 10);
}

static void assert_described(const captured_span *span, uint64_t number, unsigned part)
{
    const uint64_t length = (number * 7 + part * 13) % 64;
    assert_int_equal(number_of(span), number);
    assert_int_equal(strtoul(captured_text(span, "part"), NULL, 10), part);
    const char *text = captured_text(span, "filling");
    assert_true((text != NULL) == (length > 8));
    if (text != NULL)
        assert_true(strlen(text) == length && memcmp(text, filling + number % 8, length) == 0);
}

// ---- the model ----

typedef struct model_trace {
    uint64_t number, from, to; // positions in the buffer
    uint64_t end_ns;
    unsigned children;
} model_trace;

enum { TRACES_MAX = 4096 };

static struct {
    model_trace traces[TRACES_MAX]; // what is history, oldest first
    size_t count;
    size_t kept_up_to; // those before it were looked at by an outlier
    uint64_t number;
    size_t captured; // spans that were looked at
    uint64_t outliers, kept, given_up;
} model;

// The spans of this trace, which come next of what was captured. Returns its root.
static const captured_span *assert_whole(const model_trace *its)
{
    const captured_span *root = capture_at(model.captured + its->children);
    assert_string_equal(root->name, "order");
    for (unsigned i = 0; i <= its->children; i++) {
        const captured_span *span = capture_at(model.captured + i);
        assert_described(span, its->number, i);
        assert_memory_equal(span->trace_id, root->trace_id, NSP_TRACE_ID_SIZE);
        assert_true(i == its->children || captured_child_of(span, root));
        assert_int_equal(span->threshold, NSP_CONTEXT_UNKNOWN);
    }
    model.captured += its->children + 1;
    return root;
}

static void assert_link(const captured_link *link, const captured_span *to)
{
    assert_memory_equal(link->trace_id, to->trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_equal(link->span_id, to->span_id, NSP_SPAN_ID_SIZE);
}

// The outlier that has just ended has brought with it exactly what ended in time before it and was still there.
// newest: how many of these at most; 0: all.
static void check_outlier(const model_trace *outlier, uint64_t begin_ns, uint64_t history_ns,
                          uint64_t consumed)
{
    size_t first = model.kept_up_to, expected = 0, links = 0;
    const captured_span *roots[TRACES_MAX];
    capture_settle();
    while (first < model.count && model.traces[first].from < consumed)
        first++;
    for (size_t i = first; i < model.count; i++) {
        if (model.traces[i].end_ns + history_ns < begin_ns)
            continue;
        roots[expected] = assert_whole(&model.traces[i]);
        assert_string_equal(captured_text(roots[expected], "nanospan.kept"), "history");
        expected++;
    }
    const captured_span *root = assert_whole(outlier);
    assert_string_equal(captured_text(root, "nanospan.kept"), "slow");
    assert_null(captured_text(root, "nanospan.left_out"));
    const char *count = captured_text(root, "nanospan.history");
    assert_int_equal(count != NULL ? strtoull(count, NULL, 10) : 0, expected);
    links = root->link_count;
    assert_true(links == expected || (links < expected && links >= 60));
    for (size_t i = 0; i < links; i++)
        assert_link(&root->links[i], roots[expected - 1 - i]);
    for (size_t i = 0; i < expected; i++) {
        assert_int_equal(roots[i]->link_count, 1);
        assert_link(&roots[i]->links[0], root);
    }
    assert_int_equal(capture_count(), model.captured);
    assert_int_equal(capture_distinct(), capture_count());
    model.kept_up_to = model.count;
    model.outliers++;
    model.kept += expected;
    capture_forget();
    model.captured = 0;
}

// One trace of any shape, after a pause of any length.
static void any_trace(uint64_t *random, uint64_t history_ns, unsigned children_max, uint64_t pause_ns)
{
    const uint64_t draw = nsp__random_next(random);
    const bool slow = draw % 24 == 0;
    now_ns += (draw / 64 % pause_ns + 1) * 100;
    model_trace its = {.number = model.number++,
                       .children = (unsigned)(draw / 4096 % (children_max + 1)),
                       .from = speculation()->history_end,
                       .end_ns = now_ns + (slow ? SLOW_NS : (1 + draw / 65536 % 10) * 100)};
    assert_int_equal(speculation()->slot.published, its.from);
    const uint64_t begin_ns = now_ns, capacity = speculation()->slot.ring_bytes;
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), at_ns(begin_ns));
    for (unsigned i = 0; i < its.children; i++) {
        nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), at_ns(begin_ns));
        describe(child, its.number, i);
        nsp_span_end_at(child, at_ns(begin_ns + 1));
    }
    describe(root, its.number, its.children);
    const uint64_t consumed = speculation()->slot.consumed;
    nsp_span_end_at(root, at_ns(its.end_ns));
    now_ns = its.end_ns;
    its.to = speculation()->history_end;
    if (slow) {
        assert_int_equal(its.to, its.from);
        check_outlier(&its, begin_ns, history_ns, consumed);
        return;
    }
    assert_true(its.to > its.from && model.count < TRACES_MAX);
    model.traces[model.count++] = its;
    // What is given up is whole traces, the oldest, and not more than a piece and the trace that begins in it.
    const uint64_t now_from = speculation()->slot.consumed;
    assert_true(its.to - now_from <= capacity);
    size_t at = 0;
    while (at < model.count && model.traces[at].from < now_from)
        at++;
    model.given_up += at;
    assert_true(now_from == (at < model.count ? model.traces[at].from : its.to));
    assert_true(now_from == 0 || its.to - now_from >= capacity - capacity / 8 - 8 * RECORD_MAX / 4 ||
                capacity < 16384);
    memmove(model.traces, model.traces + at, (model.count - at) * sizeof model.traces[0]);
    model.count -= at;
    model.kept_up_to -= at < model.kept_up_to ? at : model.kept_up_to;
}

static void exactly_the_right_traces_are_kept(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 8192, 65536, 262144};
    // All times are hundreds of nanoseconds, so that the map of the clock decides nothing.
    static const uint64_t histories[] = {50, 20050, 1500050, NSP_OUTLIER_HISTORY_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < sizeof histories / sizeof histories[0]; k++) {
            uint64_t random = i * 16 + k + 1;
            memset(&model, 0, sizeof model);
            begin(sizes[i]);
            rule(histories[k]);
            for (int n = 0; n < 2000; n++)
                any_trace(&random, histories[k], sizes[i] < 8192 ? 4 : 9, k == 1 ? 100 : 10);
            assert_true(model.outliers > 40 && (sizes[i] > 65536 || model.given_up > 100));
            assert_true(k == 0 || model.kept > model.outliers);
            nsp_stats now = capture_balance();
            assert_int_equal(now.speculated, now.taken_back + now.kept);
            assert_int_equal(now.attempted, now.kept);
            assert_int_equal(now.kept_incomplete, 0);
            if (i + 1 != sizeof sizes / sizeof sizes[0] || k + 1 != sizeof histories / sizeof histories[0]) {
                begun = false;
                capture_end();
                capture_teardown(state);
            }
        }
}

// ---- what history there is ----

static uint64_t traces_kept(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < capture_count(); i++) {
        const char *why = captured_text(capture_at(i), "nanospan.kept");
        kept += why != NULL && strcmp(why, "history") == 0;
    }
    return kept;
}

static void without_the_rule_nothing_stays(void **state)
{
    (void)state;
    begin(65536);
    rule(0);
    for (uint64_t i = 0; i < 20; i++)
        trace(i, 2, 10 * i, 10 * i + 5);
    assert_int_equal(speculation()->history_end, 0);
    assert_int_equal(speculation()->slot.published, 0);
    trace(20, 0, 300, 300 + SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_null(captured_text(capture_at(0), "nanospan.history"));
}

// Names with history and names without share the buffer.
static void traces_of_another_rule_use_the_room_behind_it(void **state)
{
    (void)state;
    begin(8192);
    rule(NSP_OUTLIER_HISTORY_MAX);
    const nsp_outlier_rule plain = {.size = sizeof plain, .slower_ns = SLOW_NS};
    assert_int_equal(nsp_outlier_set_rule("plain", &plain), NSP_OK);
    for (uint64_t i = 0; i < 200; i++) {
        trace(i, 1, 10 * i, 10 * i + 5);
        const uint64_t before = speculation()->history_end;
        nsp_span *root = nsp_span_begin_at(NSP_NAME("plain"), at_ns(10 * i + 6));
        for (int k = 0; k < 12; k++)
            nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        nsp_span_end_at(root, at_ns(10 * i + 7));
        assert_int_equal(speculation()->history_end, before);
        assert_int_equal(speculation()->slot.published, before);
    }
    trace(200, 1, 3000, 3000 + SLOW_NS);
    capture_settle();
    assert_in_range(traces_kept(), 15, 199);
    for (size_t i = 0; i < capture_count(); i++)
        assert_string_not_equal(capture_at(i)->name, "plain");
}

static void an_outlier_without_history_leaves_it_to_the_next_one(void **state)
{
    (void)state;
    begin(65536);
    rule(NSP_OUTLIER_HISTORY_MAX);
    const nsp_outlier_rule plain = {.size = sizeof plain, .slower_ns = SLOW_NS};
    assert_int_equal(nsp_outlier_set_rule("plain", &plain), NSP_OK);
    for (uint64_t i = 0; i < 10; i++)
        trace(i, 1, 10 * i, 10 * i + 5);
    nsp_span_end_at(nsp_span_begin_at(NSP_NAME("plain"), at_ns(200)), at_ns(200 + SLOW_NS));
    capture_settle();
    assert_int_equal(capture_count(), 1);
    for (uint64_t i = 10; i < 15; i++)
        trace(i, 1, SLOW_NS + 10 * i + 200, SLOW_NS + 10 * i + 205);
    trace(15, 0, SLOW_NS + 500, 2 * SLOW_NS + 500);
    capture_settle();
    assert_int_equal(traces_kept(), 15);
    trace(16, 0, 2 * SLOW_NS + 600, 3 * SLOW_NS + 600);
    capture_settle();
    assert_int_equal(traces_kept(), 15); // each once
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
    begin(65536);
    rule(100000000);
    for (uint64_t i = 0; i < 30; i++)
        trace(i, 1, 10 * i, 10 * i + 5);
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), at_ns(1000));
    describe(root, 30, 0);
    const nsp_ticks slow = at_ns(1000 + SLOW_NS);
    nsp__testpoint_hook = step_the_clock;
    nsp_span_end_at(root, slow);
    nsp__testpoint_hook = NULL;
    capture_settle();
    assert_int_equal(traces_kept(), 30);
    assert_int_equal(capture_count(), 61);
    assert_int_equal(capture_balance().dropped_invalid, 0);
}

static void what_outgrows_the_buffer_is_no_history(void **state)
{
    (void)state;
    begin(4096);
    rule(NSP_OUTLIER_HISTORY_MAX);
    trace(0, 2, 0, 5);
    const uint64_t before = speculation()->history_end;
    trace(1, 200, 10, 15);
    assert_int_equal(speculation()->history_end, before);
    assert_int_equal(speculation()->slot.published, before);
    assert_int_equal(speculation()->slot.consumed, before); // it has overwritten what was there
    trace(2, 2, 20, 25);
    trace(3, 200, 30, 30 + SLOW_NS);
    capture_settle();
    assert_int_equal(traces_kept(), 0);
    assert_string_equal(captured_text(capture_named("order"), "nanospan.left_out"), "200");
    trace(4, 2, 2 * SLOW_NS, 2 * SLOW_NS + 1);
    trace(5, 2, 2 * SLOW_NS + 2, 3 * SLOW_NS + 2);
    capture_settle();
    assert_int_equal(traces_kept(), 1);
}

static void errors_and_what_was_asked_for_bring_it_along(void **state)
{
    (void)state;
    begin(65536);
    rule(1000);
    for (int why = 0; why < 2; why++) {
        now_ns = (uint64_t)why * 1000000;
        trace(1, 2, now_ns, now_ns + 5);
        trace(2, 2, now_ns + 10, now_ns + 15);
        nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), at_ns(now_ns + 20));
        if (why == 0)
            nsp_span_set_status(root, NSP_SPAN_STATUS_ERROR, "x");
        else
            assert_true(nsp_trace_keep());
        nsp_span_end_at(root, at_ns(now_ns + 30));
        capture_settle();
        assert_int_equal(traces_kept(), 2);
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
    begin(65536);
    const nsp_outlier_rule rule = {
        .size = sizeof rule, .slower_ns = SLOW_NS, .limit = 1, .history_ns = NSP_OUTLIER_HISTORY_MAX};
    assert_int_equal(nsp_outlier_set_rule("order", &rule), NSP_OK);
    trace(0, 0, 0, SLOW_NS);
    trace(1, 1, 2 * SLOW_NS, 3 * SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_balance().kept_limited, 1);
    trace(2, 0, UINT64_C(3000000000), UINT64_C(3000000000) + SLOW_NS);
    capture_settle();
    assert_int_equal(traces_kept(), 1);
    assert_int_equal(capture_count(), 4);
}

// It leaves the ring the room that new traces find at least; the newest is kept of what is too much.
static void a_ring_that_is_nearly_full_keeps_the_newest(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config, 262144);
    config.ring_bytes = 65536;
    begin_with(&config);
    rule(NSP_OUTLIER_HISTORY_MAX);
    enum { TRACES = 1500 };
    for (uint64_t i = 0; i < TRACES; i++)
        trace(i, 0, 10 * i, 10 * i + 5);
    trace(TRACES, 0, 10 * TRACES, 10 * TRACES + SLOW_NS);
    const nsp__producer *producer = nsp__producer_self();
    assert_true(nsp__slot_fill(producer->home.slot) <= producer->watermark);
    assert_true(nsp__slot_fill(producer->home.slot) > producer->watermark * 3 / 4);
    capture_settle();
    const uint64_t kept = traces_kept();
    assert_in_range(kept, 100, TRACES - 100);
    for (size_t i = 0; i <= kept; i++)
        assert_int_equal(number_of(capture_at(i)), TRACES - kept + i);
    capture_forget();
    // With no room at all it comes alone.
    for (uint64_t i = 0; nsp__slot_fill(producer->home.slot) < producer->watermark; i++)
        trace(i, 0, 10 * i, 10 * i + SLOW_NS);
    const uint64_t before = capture_balance().kept;
    trace(1, 0, UINT64_C(1000000000), UINT64_C(1000000001));
    trace(2, 0, UINT64_C(1000000010), UINT64_C(1000000010) + SLOW_NS);
    assert_int_equal(capture_balance().kept, before + 1);
}

static void *slow_on_another_thread(void *nothing)
{
    trace(2, 0, 20, 20 + SLOW_NS);
    return nothing;
}

static void *fast_on_another_thread(void *nothing)
{
    trace(1, 0, 10, 15);
    return nothing;
}

// Also not of one that had the slot before.
static void history_is_of_the_same_thread(void **state)
{
    (void)state;
    begin(65536);
    rule(NSP_OUTLIER_HISTORY_MAX);
    pthread_t thread;
    trace(0, 0, 0, 5);
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
    configure(&config, 65536);
    config.sample_rate = 0.25;
    begin_with(&config);
    rule(NSP_OUTLIER_HISTORY_MAX);
    for (uint64_t i = 0; i < 200; i++)
        trace(i, 0, 10 * i, 10 * i + 5);
    trace(200, 0, 10000, 10000 + SLOW_NS);
    capture_settle();
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        uint64_t randomness = 0;
        for (size_t k = 9; k < 16; k++)
            randomness = randomness << 8 | span->trace_id[k];
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
    configure(&config, outlier_bytes);
    config.ring_bytes = ring_bytes;
    begin_with(&config);
    rule(10 * wanted);
    uint64_t number = 0;
    for (; speculation()->slot.consumed == 0; number++)
        trace(number, number % 2, 10 * number, 10 * number + 5);
    looked_at = 0;
    nsp__testpoint_hook = count_looks;
    trace(number, 0, 10 * number, 10 * number + SLOW_NS);
    nsp__testpoint_hook = NULL;
    capture_settle();
    *kept = traces_kept();
    begun = false;
    capture_end();
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

// ---- a reader ----

enum { COPY_MAX = 8192 + RECORD_MAX };

// Reads as shm/speculation.h says, in two halves between which the thread goes on.
static struct {
    bool reading;
    uint64_t from, end, middle;
    uint8_t bytes[2 * COPY_MAX];
    uint64_t wait, random, looks, whole, overtaken, wrong;
} reader;

// In words: under the thread sanitizer, what the thread writes meanwhile would be a race.
__attribute__((no_sanitize("thread"))) static void copy(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, from + 8 * i, 8);
        memcpy(to + 8 * i, &word, 8);
    }
}

// Copies these positions. The first record may lie anywhere; the copy has the form of the buffer.
__attribute__((no_sanitize("thread"))) static void copy_positions(const nsp__speculation *its, uint64_t from,
                                                                  uint64_t to)
{
    const uint8_t *buffer = (const uint8_t *)&its->slot + its->slot.ring_offset;
    const uint64_t mask = its->slot.ring_bytes - 1;
    for (uint64_t at = from; at < to; at += 8)
        copy(reader.bytes + (at & mask), buffer + (at & mask), 8);
    // What lies behind the end of the buffer belongs to the last record before it.
    copy(reader.bytes + its->slot.ring_bytes, buffer + its->slot.ring_bytes, RECORD_MAX);
}

// True if what was copied is whole traces: counted, numbered, filled.
static bool whole(uint64_t from, uint64_t end, uint64_t mask)
{
    uint64_t children = 0;
    while (from < end) {
        const nsp__record *record = (const nsp__record *)(const void *)(reader.bytes + (from & mask));
        const uint64_t *item = (const uint64_t *)(const void *)(record + 1);
        if (record->bytes < sizeof *record + 32 || record->bytes > RECORD_MAX || record->bytes % 8 != 0 ||
            record->bytes > end - from)
            return false;
        const bool root = record->span_id == record->local_root_id;
        const uint64_t number = item[1], part = item[3];
        const uint64_t length = (number * 7 + part * 13) % 64;
        const bool filled = length > 8;
        if (part != children || (root && part != number % 5) ||
            (filled && memcmp(&item[5], filling + number % 8, length) != 0))
            return false;
        children = root ? 0 : children + 1;
        from += record->bytes;
        reader.whole += root;
    }
    return children == 0 && from == end;
}

static void read_first_half(const nsp__speculation *its)
{
    reader.end = __atomic_load_n(&its->history_end, __ATOMIC_ACQUIRE);    // H2
    reader.from = __atomic_load_n(&its->slot.consumed, __ATOMIC_ACQUIRE); // H1
    if (reader.from > reader.end) // it has passed the end that was loaded before
        reader.from = reader.end;
    reader.middle = reader.from + (reader.end - reader.from) / 16 * 8;
    copy_positions(its, reader.from, reader.middle);
    reader.reading = true;
}

static void read_second_half(const nsp__speculation *its)
{
    copy_positions(its, reader.middle, reader.end);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const uint64_t now = __atomic_load_n(&its->slot.consumed, __ATOMIC_RELAXED); // H1
    reader.reading = false;
    reader.looks++;
    reader.overtaken += now > reader.from;
    if (now < reader.end)
        reader.wrong += !whole(now > reader.from ? now : reader.from, reader.end, its->slot.ring_bytes - 1);
}

// At each testpoint: begins to read, or goes on after a while.
static void read_between(const char *name)
{
    const nsp__speculation *its = speculation();
    if (strncmp(name, "history", 7) != 0 && strncmp(name, "commit", 6) != 0)
        return;
    if (reader.wait > 0) {
        reader.wait--;
        return;
    }
    if (reader.reading)
        read_second_half(its);
    else
        read_first_half(its);
    reader.wait = nsp__random_next(&reader.random) % (reader.reading ? 64 : 4);
}

static void a_reader_between_any_two_steps_finds_whole_traces(void **state)
{
    (void)state;
    for (size_t bytes = 4096; bytes <= 8192; bytes *= 2) {
        begin(bytes);
        rule(NSP_OUTLIER_HISTORY_MAX);
        memset(&reader, 0, sizeof reader);
        reader.random = bytes;
        __atomic_store_n(&nsp__testpoint_hook, read_between, __ATOMIC_RELEASE);
        for (uint64_t i = 0; i < 20000; i++)
            trace(i, (unsigned)(i % 5), 10 * i, 10 * i + (i % 1000 == 999 ? SLOW_NS : 5));
        __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
        assert_int_equal(reader.wrong, 0);
        assert_true(reader.looks > 1000 && reader.overtaken > 100 && reader.whole > 1000);
        begun = false;
        capture_settle();
        capture_end();
        capture_teardown(state);
    }
    begin(4096);
}

static bool stop_reading;
static uint64_t reads; // atomic

static void *read_all_the_time(void *of)
{
    const nsp__speculation *its = of;
    while (!__atomic_load_n(&stop_reading, __ATOMIC_RELAXED)) {
        read_first_half(its);
        read_second_half(its);
        __atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_reader_on_another_thread_finds_whole_traces(void **state)
{
    (void)state;
    begin(8192);
    rule(NSP_OUTLIER_HISTORY_MAX);
    memset(&reader, 0, sizeof reader);
    stop_reading = false;
    reads = 0;
    pthread_t thread;
    trace(0, 0, 0, 5);
    assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, nsp__producer_self()->speculation), 0);
    for (uint64_t i = 1; i < 200000 || __atomic_load_n(&reads, __ATOMIC_RELAXED) < 100; i++)
        trace(i, (unsigned)(i % 5), 10 * i, 10 * i + 5);
    __atomic_store_n(&stop_reading, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(reader.wrong, 0);
}

// ---- signals ----

static uint64_t handler_runs, handler_number;

// Makes history of its own where nothing is open, and a child otherwise.
static void on_trap(int number)
{
    (void)number;
    handler_runs++;
    if (nsp_span_current() == NULL)
        trace(handler_number, (unsigned)(handler_number % 5), 10, 15);
    handler_number++;
}

static bool stepped_history(void)
{
    for (uint64_t i = 0; i < 3; i++)
        trace(i, (unsigned)(i % 5), 20, i == 2 ? 20 + 2 * SLOW_NS : 25);
    return nsp_span_current() == NULL;
}

static void signals_come_at_every_instruction(void **state)
{
    (void)state;
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    begin(4096);
    rule(NSP_OUTLIER_HISTORY_MAX);
    (void)(NSP_NAME("number") + NSP_NAME("part") + NSP_NAME("filling") + NSP_NAME("child") +
           NSP_NAME("order"));
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_trap;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    handler_runs = 0;
    assert_true(run_stepped(stepped_history));
    signal(SIGTRAP, SIG_DFL);
    assert_true(handler_runs > 300);
    memset(&reader, 0, sizeof reader);
    read_first_half(speculation());
    read_second_half(speculation());
    assert_int_equal(reader.wrong, 0);
    capture_settle();
    assert_true(capture_count() > 3);
    assert_int_equal(capture_distinct(), capture_count());
    assert_int_equal(capture_balance().misused, 0);
}

// ---- crash ----

static uint64_t looks, found_wrong, found_keeping;

// What a reader finds if the thread died at this instruction: history that is whole, and traces in the ring that were
// counted, but for what was just being kept.
static void look(int number)
{
    (void)number;
    const nsp__producer *producer = nsp__producer_self();
    const nsp__slot *slot = producer->home.slot;
    const nsp__speculation *its = producer->speculation;
    uint64_t records = 0;
    looks++;
    if (its->history_end >= its->slot.consumed) {
        read_first_half(its);
        read_second_half(its);
    } else {
        found_wrong++;
    }
    for (uint64_t at = 0; at < slot->published; records++)
        at +=
            ((const nsp__record *)(const void *)(producer->home.ring.bytes + (at & producer->home.ring.mask)))
                ->bytes;
    uint64_t attempted = slot->counters.attempted;
    if (its->keeping.position > slot->published && attempted >= its->keeping.attempted) {
        attempted -= its->keeping.spans;
        found_keeping++;
    }
    found_wrong += attempted != records;
}

static void a_crash_leaves_whole_traces(void **state)
{
    (void)state;
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    begin(4096);
    rule(NSP_OUTLIER_HISTORY_MAX);
    for (uint64_t i = 0; i < 100; i++)
        trace(i, (unsigned)(i % 5), 10 * i, 10 * i + 5);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = look;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    memset(&reader, 0, sizeof reader);
    looks = found_wrong = found_keeping = 0;
    assert_true(run_stepped(stepped_history));
    signal(SIGTRAP, SIG_DFL);
    assert_true(looks > 1000 && found_keeping > 50);
    assert_int_equal(found_wrong, 0);
    assert_int_equal(reader.wrong, 0);
}

// ---- fork, the end of a session ----

static void a_child_process_begins_without_it(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer gives the child of a process with threads no session");
    begin(65536);
    rule(NSP_OUTLIER_HISTORY_MAX);
    trace(0, 1, 0, 5);
    const pid_t pid = fork();
    if (pid == 0) {
        nsp_span_end(nsp_span_begin(NSP_NAME("in the child")));
        trace(1, 1, 10, 15);
        const nsp__producer *producer = nsp__producer_self();
        _exit(producer != NULL && nsp__ruled_root_open(producer) ? 1 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    trace(2, 1, 20, 20 + SLOW_NS);
    capture_settle();
    assert_int_equal(traces_kept(), 1);
    assert_int_equal(capture_count(), 4);
}

static void a_session_begins_without_it(void **state)
{
    (void)state;
    begin(65536);
    rule(NSP_OUTLIER_HISTORY_MAX);
    trace(0, 1, 0, 5);
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), at_ns(10));
    assert_int_equal(nsp_shutdown(UINT64_C(10000000000)), NSP_OK);
    nsp_span_end_at(root, at_ns(20));
    capture_forget();
    begin(65536);
    rule(NSP_OUTLIER_HISTORY_MAX);
    trace(1, 1, 20, 20 + SLOW_NS);
    capture_settle();
    assert_int_equal(capture_count(), 2);
}

static void a_reset_takes_back_without_history(void **state)
{
    (void)state;
    begin(65536);
    rule(NSP_OUTLIER_HISTORY_MAX);
    trace(0, 1, 0, 5);
    const uint64_t before = speculation()->history_end;
    nsp_span_begin_at(NSP_NAME("order"), at_ns(10));
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_thread_reset();
    assert_int_equal(speculation()->history_end, before);
    assert_int_equal(speculation()->slot.published, before);
    trace(1, 1, 20, 20 + SLOW_NS);
    capture_settle();
    assert_int_equal(traces_kept(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(exactly_the_right_traces_are_kept, end),
        cmocka_unit_test_teardown(without_the_rule_nothing_stays, end),
        cmocka_unit_test_teardown(traces_of_another_rule_use_the_room_behind_it, end),
        cmocka_unit_test_teardown(an_outlier_without_history_leaves_it_to_the_next_one, end),
        cmocka_unit_test_teardown(a_clock_that_is_set_meanwhile_changes_nothing, end),
        cmocka_unit_test_teardown(what_outgrows_the_buffer_is_no_history, end),
        cmocka_unit_test_teardown(errors_and_what_was_asked_for_bring_it_along, end),
        cmocka_unit_test_teardown(what_the_limit_takes_back_is_history, end),
        cmocka_unit_test_teardown(a_ring_that_is_nearly_full_keeps_the_newest, end),
        cmocka_unit_test_teardown(history_is_of_the_same_thread, end),
        cmocka_unit_test_teardown(trace_ids_are_distinct, end),
        cmocka_unit_test_teardown(what_an_outlier_looks_at_follows_what_it_keeps, end),
        cmocka_unit_test_teardown(a_reader_between_any_two_steps_finds_whole_traces, end),
        cmocka_unit_test_teardown(a_reader_on_another_thread_finds_whole_traces, end),
        cmocka_unit_test_teardown(signals_come_at_every_instruction, end),
        cmocka_unit_test_teardown(a_crash_leaves_whole_traces, end),
        cmocka_unit_test_teardown(a_child_process_begins_without_it, end),
        cmocka_unit_test_teardown(a_session_begins_without_it, end),
        cmocka_unit_test_teardown(a_reset_takes_back_without_history, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
