// SPDX-License-Identifier: Apache-2.0
//
// ctest: COST 60 TIMEOUT 480
// Paths in signal handlers, and paths that handlers interrupt: SIGTRAP is raised after each instruction of begin, marks,
// fields and end. The handler begins and ends paths and spans of its own, sets attributes on what it has interrupted, and
// ends it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "support/capture.h"
#include "support/ring_records.h"
#include "support/sanitizer.h"
#include "support/single_steps.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    STR(symbol, 16, "symbol")                                                                                \
    PHASE(decode, "decode")                                                                                  \
    I64(size, "size")                                                                                        \
    PHASE(check, "check")                                                                                    \
    F64(available, "available") STR(note, 20, "note") PHASE(submit, "submit") I64(fills, "fills")
NSP_PATH_DECLARE(order, "order", ORDER)
#define INNER(PHASE, I64, F64, STR, BOOL) PHASE(a, "a", NSP_PATH_AT_START) I64(number, "number") PHASE(b, "b")
NSP_PATH_DECLARE(inner, "inner", INNER)
#define HANDLER(PHASE, I64, F64, STR, BOOL) I64(number, "number") PHASE(one, "one") PHASE(two, "two")
NSP_PATH_DECLARE(handler, "handler", HANDLER)

// Before the first signal, because a first declaration in a handler is another matter.
static void declare(void)
{
    order_end(order_begin());
    inner_end(inner_begin());
    handler_end(handler_begin());
    (void)NSP_NAME("span");
    (void)NSP_KEY("by the handler");
    (void)NSP_KEY("own");
}

static order *volatile open_path; // for the handler

static bool run_order(void)
{
    order *path = order_begin();
    open_path = path;
    NSP_PATH_STR(path, symbol, "AAPL", 4);
    NSP_PATH_MARK(path, decode);
    path->size = 5;
    inner *in = inner_begin();
    NSP_PATH_MARK(in, b);
    in->number = 6;
    inner_end(in);
    NSP_PATH_MARK(path, submit);
    NSP_PATH_STR(path, note, "a text that is too long for it", 30);
    path->fills = 7;
    order_end(path);
    open_path = NULL;
    return nsp__path_records(path);
}

static void check_orders(void)
{
    for (size_t i = 0, count = rings_read(); i < count; i++) {
        const nsp__record *record = ring_record_at(i);
        const char *name = nsp_name_text(record->name, NULL);
        if (strcmp(name, "order") == 0) {
            const order *body = ring_body(record);
            assert_int_equal(body->size, 5);
            assert_int_equal(body->fills, 7);
            assert_int_equal(body->symbol.length, 4);
            assert_memory_equal(body->symbol.bytes, "AAPL", 4);
            assert_int_equal(body->note.length, 20);
            assert_true(body->nsp__at_decode != 0 && body->nsp__at_check == 0 && body->nsp__at_submit != 0);
        } else if (strcmp(name, "inner") == 0) {
            const inner *body = ring_body(record);
            assert_int_equal(body->number, 6);
            assert_int_equal(nsp__record_spans(record), 3);
        } else if (strcmp(name, "handler") == 0) {
            const handler *body = ring_body(record);
            assert_int_equal(body->number, 8);
            assert_int_equal(nsp__record_spans(record), 3);
        }
    }
}

// ---- what interrupts ----

static uint64_t handler_runs;
static uint64_t phase;

static void paths_and_spans(void)
{
    handler *path = handler_begin();
    NSP_PATH_MARK(path, one);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    path->number = 8;
    nsp_span_end(span);
    NSP_PATH_MARK(path, two);
    handler_end(path);
}

static void with_options(void)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = handler_runs % 2 == 0;
    options.new_root = handler_runs % 3 == 0;
    handler *path = handler_begin_with(&options);
    NSP_PATH_MARK(path, one);
    path->number = 8;
    NSP_PATH_MARK(path, two);
    handler_end(path);
}

static void attributes(void)
{
    if (handler_runs % 16 == phase)
        nsp_span_set_i64(nsp_span_current(), NSP_KEY("by the handler"), 5);
}

static void (*handler_body)(void);

static void on_signal(int number)
{
    (void)number;
    handler_runs++;
    handler_body();
}

static void start(double rate, const char *outliers, void (*body)(void))
{
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    nsp_config config;
    rings_config(&config);
    config.sample_rate = rate;
    config.ring_bytes = 16 << 20;
    config.outliers = outliers;
    declare();
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    handler_body = body;
    handler_runs = 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
}

static void check_quiet(void)
{
    assert_null(nsp_span_current());
    const nsp_stats stats = rings_balance();
    assert_int_equal(stats.open + stats.speculating + stats.misused, 0);
    assert_int_equal(stats.dropped, stats.dropped_in_signal);
    check_orders();
}

static void paths_at_every_instruction(void **state)
{
    (void)state;
    start(1, NULL, paths_and_spans);
    for (int i = 0; i < 3; i++)
        assert_true(run_stepped(run_order));
    check_quiet();
    assert_true(handler_runs > 600);
    assert_int_equal(ring_count("order"), 3);
    assert_int_equal(ring_count("inner"), 3);
    // Either all of a handler's spans were recorded, or both begins were dropped.
    const uint64_t recorded = ring_count("handler");
    assert_int_equal(ring_count("span"), recorded);
    assert_int_equal(recorded + rings_balance().dropped_in_signal / 2, handler_runs);
    assert_true(recorded > handler_runs / 10);
    rings_end();
}

static void options_at_every_instruction(void **state)
{
    (void)state;
    start(1, NULL, with_options);
    assert_true(run_stepped(run_order));
    check_quiet();
    assert_true(ring_count("handler") > handler_runs / 10);
    rings_end();
}

static void attributes_at_every_instruction(void **state)
{
    (void)state;
    start(1, NULL, attributes);
    uint64_t kept = 0;
    for (phase = 0; phase < 16; phase++)
        assert_true(run_stepped(run_order));
    check_quiet();
    for (size_t i = 0, count = rings_read(); i < count; i++) {
        const char *text = ring_text(ring_record_at(i), "by the handler");
        if (text != NULL)
            assert_string_equal(text, "5");
        kept += text != NULL;
    }
    assert_true(kept > 16);
    rings_end();
}

static void where_nothing_or_half_is_recorded(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        start(kind * 0.5, NULL, paths_and_spans);
        for (int i = 0; i < 12; i++)
            run_stepped(run_order);
        check_quiet();
        rings_end();
    }
}

// The trace is speculative: what the handler begins under it is part of it.
static void under_a_rule(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        start(0, kind ? "order: slower=1ns, history=1s" : "order: slower=10s",
              kind ? with_options : paths_and_spans);
        for (int i = 0; i < 3; i++)
            run_stepped(run_order);
        assert_null(nsp_span_current());
        const nsp_stats stats = rings_balance();
        assert_int_equal(stats.open + stats.speculating + stats.misused, 0);
        check_orders();
        rings_end();
    }
}

// ---- a handler that ends what it interrupts, once at the first instruction, then at the second, and so on ----

static uint64_t acts_at, steps;
static void (*act)(void);

static void act_at_step(int number, siginfo_t *information, void *context)
{
    (void)number;
    (void)information;
    if (!of_this_program(stepped_to(context)) || steps++ != acts_at)
        return;
    act();
    step_no_more(context);
}

static void end_current(void)
{
    nsp_span_end(nsp_span_current());
}

static void end_path(void)
{
    if (open_path != NULL)
        order_end(open_path);
}

static void next_of_current(void)
{
    nsp_span_next(nsp_span_current(), NSP_NAME("span"));
}

static void reset(void)
{
    nsp_thread_reset();
}

enum { BEGIN, MARK, MARK_LATER, END, OPERATIONS };

// Only one operation is stepped through: whoever reaches an instruction of the last one step by step would spend most of
// the time in the others.
static void begin_and_end(int stepped)
{
    static order *path;
    for (int operation = 0; operation < OPERATIONS; operation++) {
        if (operation == stepped)
            step_on();
        switch (operation) {
        case BEGIN:
            path = order_begin();
            open_path = path;
            break;
        case MARK: NSP_PATH_MARK(path, decode); break;
        case MARK_LATER: NSP_PATH_MARK(path, submit); break; // passes one over
        case END:
            order_end(path);
            open_path = NULL;
            break;
        default: break;
        }
        step_off();
    }
}

static void check_acting(double rate, const char *outliers, void (*what)(void), bool under)
{
    start(rate, outliers, NULL);
    if (nsp__thread_v4 == NULL)
        return;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = act_at_step;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    act = what;
    uint64_t instructions = 0;
    for (int stepped = 0; stepped < OPERATIONS; stepped++) {
        acts_at = 0;
        do {
            steps = 0;
            nsp_span *span = under ? nsp_span_begin(NSP_NAME("span")) : NULL;
            begin_and_end(stepped);
            nsp_span_end(span);
            nsp_thread_reset();
            assert_null(nsp_span_current());
            const nsp_stats stats = rings_balance();
            assert_int_equal(stats.open + stats.speculating, 0);
        } while (steps > acts_at++);
        instructions += acts_at;
    }
    assert_true(instructions > 100);
    printf("[   STEPS  ] %llu\n", (unsigned long long)instructions);
    fflush(stdout);
    begin_and_end(OPERATIONS); // without a step
    rings_end();
}

static void check_acts(double rate, const char *outliers, bool under)
{
    void (*const acts[])(void) = {end_current, end_path, next_of_current, reset};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        check_acting(rate, outliers, acts[i], under);
}

static void handlers_that_end_it(void **state)
{
    (void)state;
    check_acts(1, NULL, false);
    check_acting(1, NULL, end_path, true);
}

static void handlers_that_end_it_under_a_rule(void **state)
{
    (void)state;
    check_acting(0, "order: slower=10s", end_path, false); // taken back, which takes fewer instructions
    check_acting(0, "*: slower=10s, history=1s", end_current, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(paths_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(options_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(attributes_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(where_nothing_or_half_is_recorded, capture_teardown),
        cmocka_unit_test_teardown(under_a_rule, capture_teardown),
        cmocka_unit_test_teardown(handlers_that_end_it, capture_teardown),
        cmocka_unit_test_teardown(handlers_that_end_it_under_a_rule, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
