// SPDX-License-Identifier: Apache-2.0
// ctest: COST 130 TIMEOUT 480
//
// Spans in signal handlers, at every point where a signal can arrive. SIGTRAP is raised after each
// instruction of the span calls, and the handler begins and ends spans of its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "support/capture.h"
#include "support/sanitizer.h"
#include "support/single_steps.h"

static const char long_text[] = "a text that is much longer than what is copied by words on the inline path";
static const char *const three_texts[] = {"one", "two", "a third text that is longer than the others"};

// Interned before the first signal, because another test is about a first interning in a handler.
static nsp_name name_root, name_child, name_sibling, name_event, name_handler, name_inner;
static nsp_name key_text, key_number, key_long, key_texts, key_last, key_handler;

static void intern_names(void)
{
    name_root = NSP_NAME("root");
    name_child = NSP_NAME("child");
    name_sibling = NSP_NAME("sibling");
    name_event = NSP_NAME("event");
    name_handler = NSP_NAME("handler");
    name_inner = NSP_NAME("inner");
    key_text = NSP_KEY("text");
    key_number = NSP_KEY("number");
    key_long = NSP_KEY("long");
    key_texts = NSP_KEY("texts");
    key_last = NSP_KEY("last");
    key_handler = NSP_KEY("by the handler");
}

// ---- what is interrupted ----

static void set_everything(nsp_span *span)
{
    nsp_attr attributes[2];
    nsp_span_set_str(span, key_text, "short");
    nsp_span_set_i64(span, key_number, -7);
    nsp_span_set_str(span, key_long, long_text);
    nsp_span_set_strs(span, key_texts, three_texts, 3);
    attributes[0] = nsp_attr_i64(key_number, 1);
    attributes[1] = nsp_attr_str(key_long, long_text);
    nsp_span_add_event_with(span, name_event, 0, attributes, 2);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "the message");
    nsp_span_set_bool(span, key_last, true);
}

// A root, its child and the child's sibling. Returns whether they record.
static bool run_trace(void)
{
    nsp_span *root = nsp_span_begin(name_root);
    bool recording = nsp_span_recording(root);
    set_everything(root);
    nsp_span *child = nsp_span_begin(name_child);
    set_everything(child);
    nsp_span *sibling = nsp_span_next(child, name_sibling);
    set_everything(sibling);
    nsp_span_end(sibling);
    nsp_span_end(root);
    return recording;
}

static bool set_one(void)
{
    nsp_span_set_i64(nsp_span_current(), key_number, -7);
    return true;
}

// A detached span that is entered, gets a child, is left and is ended; then a stack that a reset clears.
static bool run_detached(void)
{
    nsp_span *root = nsp_span_begin(name_root);
    nsp_span *detached = nsp_span_begin_detached(name_sibling, NULL);
    nsp_span_enter(detached);
    nsp_span *child = nsp_span_begin(name_child);
    nsp_span_end(child);
    nsp_span_leave(detached);
    nsp_span_end(root);
    nsp_span_end(detached);
    nsp_span_begin(name_root);
    nsp_span_begin(name_child);
    nsp_thread_reset();
    return nsp_span_current() == NULL;
}

// Exactly what set_everything sets; attributes of the handler's may lie between the others if `disturbed`.
static void check_everything(const captured_span *span, bool disturbed)
{
    assert_string_equal(captured_text(span, "text"), "short");
    assert_string_equal(captured_text(span, "number"), "-7");
    assert_string_equal(captured_text(span, "long"), long_text);
    assert_string_equal(captured_text(span, "texts"),
                        "[one,two,a third text that is longer than the others]");
    assert_string_equal(captured_text(span, "last"), "true");
    size_t own = 0;
    for (size_t i = 0; i < span->attribute_count; i++)
        own += strcmp(span->attributes[i].key, "by the handler") != 0;
    assert_int_equal(own, 5);
    if (!disturbed)
        assert_int_equal(span->attribute_count, 5);
    assert_int_equal(span->event_count, 1);
    assert_string_equal(span->events[0].name, "event");
    assert_int_equal(span->events[0].attribute_count, 2);
    assert_string_equal(span->events[0].attributes[0].text, "1");
    assert_string_equal(span->events[0].attributes[1].text, long_text);
    assert_int_equal(span->status, NSP_SPAN_STATUS_ERROR);
    assert_string_equal(span->status_message, "the message");
    if (!disturbed)
        assert_int_equal(span->dropped_attributes, 0);
    assert_int_equal(span->dropped_events, 0);
}

// ---- what interrupts ----

static uint64_t handler_runs;

static void handler_span(void)
{
    nsp_span *span = nsp_span_begin(name_handler);
    nsp_span_set_i64(span, key_handler, 5);
    nsp_span_set_str(span, key_text, "in the handler");
    nsp_span_end(span);
}

// Several spans are open at once, and are ended in every way.
static void handler_tree(void)
{
    nsp_span *span = nsp_span_begin(name_handler);
    nsp_span_set_i64(span, key_handler, 5);
    nsp_span *inner = nsp_span_begin(name_inner);
    inner = nsp_span_next(inner, name_inner);
    nsp_span_set_str(inner, key_long, long_text);
    nsp_span_end(inner);
    nsp_span_set_str(span, key_text, "in the handler");
    nsp_span_end(span);
}

// Only one step in several sets an attribute, so that the span does not fill up; the phase changes until all
// steps are covered.
enum { ATTRIBUTE_STEPS = 16 };
static uint64_t handler_phase;

static void handler_attribute(void)
{
    if ((handler_runs + handler_phase) % ATTRIBUTE_STEPS == 0)
        nsp_span_set_i64(nsp_span_current(), key_handler, 5);
}

static void handler_long_attribute(void)
{
    if ((handler_runs + handler_phase) % ATTRIBUTE_STEPS == 0)
        nsp_span_set_str(nsp_span_current(), key_handler, long_text);
}

enum { FEW_ATTRIBUTES = 3 };

static nsp_name many_keys[300];

// Once a run, at the step that the phase gives: sets more than the span can hold, so that some are dropped
// and counted.
static void handler_too_many(void)
{
    for (int i = 0; handler_runs == handler_phase && i <= FEW_ATTRIBUTES; i++)
        nsp_span_set_i64(nsp_span_current(), many_keys[i], 5);
}

static void (*handler_body)(void);

static void on_signal(int number)
{
    (void)number;
    handler_runs++;
    handler_body();
}

static void catch (int number)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    assert_int_equal(sigaction(number, &action, NULL), 0);
}

static void begin_stepping_with(double rate, uint32_t attributes, void (*body)(void))
{
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    intern_names();
    nsp_config config;
    capture_config(&config);
    config.sample_rate = rate;
    config.record_bytes = 32768;
    config.attribute_count_limit = attributes;
    config.ring_bytes = 16 << 20; // the whole run fits, even if the collector is late
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    handler_body = body;
    handler_runs = 0;
    catch (SIGTRAP);
}

static void begin_stepping(double rate, void (*body)(void))
{
    begin_stepping_with(rate, 4096, body);
}

// ---- tests ----

static void check_handler_span(const captured_span *span)
{
    assert_string_equal(captured_text(span, "by the handler"), "5");
    assert_string_equal(captured_text(span, "text"), "in the handler");
    assert_int_equal(span->attribute_count, 2);
    assert_int_equal(span->dropped_attributes, 0);
}

static void check_all_spans(bool disturbed)
{
    assert_int_equal(capture_distinct(), capture_count());
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        if (strcmp(span->name, "handler") == 0)
            check_handler_span(span);
        else if (strcmp(span->name, "inner") == 0)
            assert_in_range(span->attribute_count, 0, 1);
        else
            check_everything(span, disturbed);
    }
}

static void spans_at_every_instruction(void **state)
{
    (void)state;
    enum { TRACES = 3 };
    begin_stepping(1, handler_span);
    for (int i = 0; i < TRACES; i++)
        assert_true(run_stepped(run_trace));
    assert_null(nsp_span_current());
    capture_settle();
    nsp_stats stats = capture_balance();
    // Each was either exported or counted, and both happened.
    uint64_t exported = capture_count_named("handler");
    assert_true(handler_runs > TRACES * 500);
    assert_int_equal(exported + stats.dropped_in_signal, handler_runs);
    assert_true(exported > handler_runs / 10);
    assert_true(stats.dropped_in_signal > 50);
    assert_int_equal(stats.dropped, stats.dropped_in_signal);
    assert_int_equal(stats.attempted, 3 * TRACES + handler_runs);
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.open, 0);
    assert_int_equal(capture_count_named("root"), TRACES);
    assert_int_equal(capture_count_named("child"), TRACES);
    assert_int_equal(capture_count_named("sibling"), TRACES);
    check_all_spans(false);
    printf("[   STEPS  ] %llu, of which %llu within nanospan\n", (unsigned long long)handler_runs,
           (unsigned long long)stats.dropped_in_signal);
    capture_end();
}

static uint64_t ends_at, steps;

// Counts the steps in the program itself, because a trace does not change in libraries and sanitizers.
static void end_current_at_step(int number, siginfo_t *information, void *context)
{
    (void)number;
    (void)information;
    if (!of_this_program(stepped_to(context)) || steps++ != ends_at)
        return;
    nsp_span_end(nsp_span_current());
    step_no_more(context);
}

enum { BEGIN_ROOT, BEGIN_CHILD, NEXT, END_CHILD, END_ROOT, OPERATIONS };

static void operate(int operation)
{
    static nsp_span *root, *child;
    switch (operation) {
    case BEGIN_ROOT: root = nsp_span_begin(NSP_NAME("root")); break;
    case BEGIN_CHILD: child = nsp_span_begin(NSP_NAME("child")); break;
    case NEXT: child = nsp_span_next(child, NSP_NAME("sibling")); break;
    case END_CHILD: nsp_span_end(child); break;
    case END_ROOT: nsp_span_end(root); break;
    default: break;
    }
}

static void run_short_trace(int stepped)
{
    for (int operation = 0; operation < OPERATIONS; operation++) {
        if (operation == stepped)
            step_on();
        operate(operation);
        step_off();
    }
}

// The handler ends the current span, first at the first instruction of an operation, then at the second, and
// so on. Each span is committed once, whichever side ends it.
static void a_handler_ends_the_current_span_at_every_instruction(void **state)
{
    (void)state;
    uint64_t instructions = 0;
    begin_stepping(1, NULL);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = end_current_at_step;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    for (int stepped = 0; stepped < OPERATIONS; stepped++) {
        ends_at = 0;
        do {
            steps = 0;
            run_short_trace(stepped);
            assert_null(nsp_span_current());
        } while (steps > ends_at++);
        instructions += ends_at;
    }
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_true(instructions > 300);
    assert_int_equal(stats.open, 0);
    assert_int_equal(capture_distinct(), capture_count());
    capture_end();
}

static void trees_at_every_instruction(void **state)
{
    (void)state;
    begin_stepping(1, handler_tree);
    assert_true(run_stepped(run_trace));
    assert_null(nsp_span_current());
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.dropped, stats.dropped_in_signal);
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.open, 0);
    // If a handler's tree came while nanospan was at work, both begins are dropped, and next on a span that
    // does not record returns nothing. Of any other tree three spans are exported.
    assert_int_equal(capture_count_named("inner"), 2 * capture_count_named("handler"));
    assert_int_equal(capture_count_named("handler") + stats.dropped_in_signal / 2, handler_runs);
    check_all_spans(false);
    capture_end();
}

static void detached_at_every_instruction(void **state)
{
    (void)state;
    begin_stepping(1, handler_span);
    assert_true(run_stepped(run_detached));
    assert_null(nsp_span_current());
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.dropped, stats.dropped_in_signal);
    assert_int_equal(stats.attempted, 5 + handler_runs);
    assert_int_equal(stats.leaked, 2);
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.open, 0);
    assert_int_equal(capture_count_named("handler") + stats.dropped_in_signal, handler_runs);
    // The child that was begun while the detached span was entered is its child, whatever the handler did in
    // between.
    const captured_span *detached = capture_named("sibling");
    size_t children = 0;
    for (size_t i = 0; i < capture_count(); i++)
        children += strcmp(capture_at(i)->name, "child") == 0 && captured_child_of(capture_at(i), detached);
    assert_int_equal(children, 1);
    capture_end();
}

static void check_attributes_at_every_instruction(void (*body)(void), const char *value)
{
    begin_stepping(1, body);
    enum { TRACES = ATTRIBUTE_STEPS };
    nsp_span *outer = nsp_span_begin(NSP_NAME("outer"));
    for (handler_phase = 0; handler_phase < TRACES; handler_phase++)
        assert_true(run_stepped(run_trace));
    nsp_span_end(outer);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.attempted, 3 * TRACES + 1);
    assert_int_equal(stats.exported, 3 * TRACES + 1);
    // What a handler writes in the middle of an inline setter may be lost, because that setter's item takes
    // its place. What it writes while the library writes into the record is counted as dropped.
    uint64_t kept = 0, dropped = 0;
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        if (strcmp(span->name, "outer") != 0)
            check_everything(span, true);
        dropped += span->dropped_attributes;
        for (size_t j = 0; j < span->attribute_count; j++)
            if (strcmp(span->attributes[j].key, "by the handler") == 0) {
                assert_string_equal(span->attributes[j].text, value);
                kept++;
            }
    }
    printf("[   STEPS  ] %llu, attributes: %llu kept, %llu dropped\n", (unsigned long long)handler_runs,
           (unsigned long long)kept, (unsigned long long)dropped);
    assert_true(kept > 100);
    assert_true(dropped > 100);
    assert_true(kept + dropped <= handler_runs / ATTRIBUTE_STEPS + 1);
    assert_int_equal(stats.misused, 0);
    capture_end();
}

static void attributes_at_every_instruction(void **state)
{
    (void)state;
    check_attributes_at_every_instruction(handler_attribute, "5");
}

static void long_attributes_at_every_instruction(void **state)
{
    (void)state;
    check_attributes_at_every_instruction(handler_long_attribute, long_text);
}

// Only what a handler writes in the middle of an inline setter is lost, together with the setter's value.
static void drops_at_every_instruction(void **state)
{
    (void)state;
    enum { STEPS = 60, MORE = 300 };
    for (int i = 0; i < MORE; i++) {
        char text[16];
        int length = snprintf(text, sizeof text, "many%d", i);
        many_keys[i] = nsp_intern(text, (size_t)length);
    }
    begin_stepping_with(1, FEW_ATTRIBUTES, handler_too_many);
    for (handler_phase = 1; handler_phase <= STEPS; handler_phase++) {
        nsp_span *span = nsp_span_begin(name_root);
        handler_runs = 0;
        run_stepped(set_one);
        nsp_span_add_event(span, name_event);
        nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "the message");
        for (int i = 0; i < MORE; i++)
            nsp_span_set_i64(span, many_keys[i], 1);
        nsp_span_end(span);
    }
    capture_settle();
    assert_int_equal(capture_count(), STEPS);
    assert_int_equal(capture_balance().misused, 0);
    for (size_t i = 0; i < STEPS; i++) {
        const captured_span *span = capture_at(i);
        // There is one more key if the handler counted the keys while the setter's was still to be written.
        size_t keys = 0;
        for (size_t k = 0; k < span->attribute_count; k++)
            keys += captured_attribute_of(span, span->attributes[k].key) == &span->attributes[k];
        assert_in_range(keys, FEW_ATTRIBUTES, FEW_ATTRIBUTES + 1);
        assert_in_range(span->dropped_attributes, MORE - FEW_ATTRIBUTES - 1, MORE + 2);
        assert_int_equal(span->event_count, 1);
        assert_in_range(span->events[0].time_ns, span->start_ns, span->end_ns);
        assert_string_equal(span->status_message, "the message");
    }
    capture_end();
}

static void unsampled_at_every_instruction(void **state)
{
    (void)state;
    begin_stepping(0, handler_span);
    for (int i = 0; i < 3; i++)
        assert_false(run_stepped(run_trace));
    assert_null(nsp_span_current());
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.exported, 0);
    assert_int_equal(stats.attempted, stats.dropped_in_signal);
    assert_int_equal(stats.misused, 0);
    // The thread does not stay unsampled.
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    assert_true(run_trace());
    capture_settle();
    assert_int_equal(capture_count(), 3);
    check_all_spans(false);
    capture_end();
}

static void half_sampled_at_every_instruction(void **state)
{
    (void)state;
    enum { TRACES = 24 };
    begin_stepping(0.5, handler_span);
    size_t recorded = 0;
    for (int i = 0; i < TRACES; i++)
        recorded += run_stepped(run_trace);
    assert_null(nsp_span_current());
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.dropped, stats.dropped_in_signal);
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.open, 0);
    assert_int_equal(capture_count_named("root"), recorded);
    assert_int_equal(capture_count_named("sibling"), recorded);
    assert_int_equal(stats.attempted, stats.exported + stats.dropped_in_signal);
    check_all_spans(false);
    capture_end();
}

// The same with a timer for one second, which interrupts at other moments too and involves the collector.
static void spans_under_a_timer(void **state)
{
    (void)state;
    intern_names();
    capture_begin(1);
    capture_keep(false);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    handler_body = handler_tree;
    handler_runs = 0;
    catch (SIGALRM);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGALRM;
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    const struct itimerspec often = {{0, 50000}, {0, 50000}};
    assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t recorded = 0;
    do {
        for (int i = 0; i < 100; i++)
            recorded += run_trace();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < 2 && (now.tv_sec == start.tv_sec || now.tv_nsec < start.tv_nsec));
    timer_delete(timer);
    assert_true(handler_runs > 0);
    assert_true(recorded > 0);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.dropped_invalid, 0);
    assert_int_equal(stats.exported, capture_received());
    assert_true(stats.exported + stats.dropped_ring_full >= 3 * recorded);
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(spans_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(a_handler_ends_the_current_span_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(trees_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(detached_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(attributes_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(long_attributes_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(drops_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(unsampled_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(half_sampled_at_every_instruction, capture_teardown),
        cmocka_unit_test_teardown(spans_under_a_timer, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
