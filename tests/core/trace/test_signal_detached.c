// SPDX-License-Identifier: Apache-2.0
//
// ctest: TIMEOUT 240
// Signal handlers that end, leave or begin spans at every instruction of a call that works on a detached
// span, or on the stack: once at the first instruction, then at the second, and so on. Single steps tell
// which instructions these are; then a breakpoint at one of them is enough.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "support/capture.h"
#include "support/sanitizer.h"
#include "support/single_steps.h"
#include "support/threads.h"

#if defined(__x86_64__)
enum { PLACES = 12, INSTRUCTIONS_MAX = 8192 };

static nsp_name name_root, name_child, name_detached, name_handler, name_inner, name_sibling, name_probe;
static nsp_span *root, *detached;

// ---- what is interrupted ----

typedef struct step {
    const char *name;
    void (*prepare)(void);
    bool (*call)(void);
    void (*finish)(void);
} step;

static void open_nothing(void)
{
    root = detached = NULL;
}

static void open_root(void)
{
    root = nsp_span_begin(name_root);
    detached = NULL;
}

static void open_both(void)
{
    open_root();
    detached = nsp_span_begin_detached(name_detached, NULL);
}

static void open_and_enter(void)
{
    open_both();
    nsp_span_enter(detached);
}

static nsp_span *begun; // by the call; put away when it returns

static void open_root_and_child(void)
{
    open_root();
    begun = nsp_span_begin(name_child);
}

static bool call_begin(void)
{
    begun = nsp_span_begin_detached(name_detached, NULL);
    return true;
}

static bool call_begin_apart(void)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    begun = nsp_span_begin_detached(name_detached, &options);
    return true;
}

static bool call_enter(void)
{
    nsp_span_enter(detached);
    return true;
}

static bool call_leave(void)
{
    nsp_span_leave(detached);
    return true;
}

static bool call_end(void)
{
    nsp_span_end(detached);
    return true;
}

static bool call_next(void)
{
    begun = nsp_span_next(detached, name_sibling);
    return true;
}

static bool call_begin_child(void)
{
    begun = nsp_span_begin(name_child);
    return true;
}

static bool call_end_child(void)
{
    nsp_span_end(begun);
    return true;
}

static bool call_next_of_child(void)
{
    begun = nsp_span_next(begun, name_sibling);
    return true;
}

// On the stack, but by the same slow ways.
static bool call_end_below(void)
{
    nsp_span_end(root);
    return true;
}

static bool call_begin_with(void)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    begun = nsp_span_begin_with(name_child, &options);
    return true;
}

static bool call_context(void)
{
    nsp_context context;
    nsp_span_context(NULL, &context);
    return true;
}

static bool call_reset(void)
{
    nsp_thread_reset();
    return true;
}

static void end_all(void)
{
    nsp_span_end(begun);
    nsp_span_leave(detached);
    nsp_span_end(detached);
    nsp_span_end(root);
}

// A span may still begin under what is entered or open now, and records. An ended root is not current.
static void begin_more_and_end_all(void)
{
    nsp_context context;
    nsp_span_context(root, &context);
    assert_true(root == NULL || nsp_span_current() != root || nsp_context_valid(&context));
    nsp_span *child = nsp_span_begin(name_child);
    assert_true(nsp_span_recording(child) || nsp_sampler_rate() < 1);
    nsp_span_end(child);
    end_all();
}

static const step steps[] = {
    {"begin under nothing", open_nothing, call_begin, begin_more_and_end_all},
    {"begin under a root", open_root, call_begin, begin_more_and_end_all},
    {"begin under an entered span", open_and_enter, call_begin, begin_more_and_end_all},
    {"begin apart under a root", open_root, call_begin_apart, begin_more_and_end_all},
    {"enter", open_both, call_enter, begin_more_and_end_all},
    {"leave", open_and_enter, call_leave, begin_more_and_end_all},
    {"end", open_both, call_end, begin_more_and_end_all},
    {"end while entered", open_and_enter, call_end, begin_more_and_end_all},
    {"next", open_both, call_next, begin_more_and_end_all},
    {"next while entered", open_and_enter, call_next, begin_more_and_end_all},
    {"end below an entered span", open_and_enter, call_end_below, begin_more_and_end_all},
    {"begin with options", open_and_enter, call_begin_with, begin_more_and_end_all},
    {"context of what is current", open_and_enter, call_context, begin_more_and_end_all},
    {"reset", open_and_enter, call_reset, begin_more_and_end_all},
    {"begin on the stack", open_root, call_begin_child, begin_more_and_end_all},
    {"begin on the stack under an entered span", open_and_enter, call_begin_child, begin_more_and_end_all},
    {"end on the stack", open_root_and_child, call_end_child, begin_more_and_end_all},
    {"next on the stack", open_root_and_child, call_next_of_child, begin_more_and_end_all},
};

// ---- what interrupts ----

static void end_current(void)
{
    nsp_span_end(nsp_span_current());
}

static void end_current_twice(void)
{
    end_current();
    end_current();
}

static void end_detached(void)
{
    nsp_span_end(detached);
}

static void end_root(void)
{
    nsp_span_end(root);
}

static void leave_detached(void)
{
    nsp_span_leave(detached);
}

static void leave_and_end(void)
{
    nsp_span_leave(detached);
    nsp_span_end(detached);
}

static void begin_and_end_another(void)
{
    nsp_span_end(nsp_span_begin_detached(name_handler, NULL));
}

static void use_another(void)
{
    nsp_span *another = nsp_span_begin_detached(name_handler, NULL);
    nsp_span_enter(another);
    nsp_span *inner = nsp_span_begin(name_inner);
    nsp_span_end(inner);
    nsp_span_leave(another);
    nsp_span_end(another);
}

// The place of the span that ends is taken by the next one.
static void end_detached_and_use_another(void)
{
    nsp_span_end(detached);
    use_another();
}

static void end_current_and_begin_another(void)
{
    end_current();
    begin_and_end_another();
}

static void next_of_detached(void)
{
    if (detached != NULL)
        detached = nsp_span_next(detached, name_sibling);
}

static void (*const handlers[])(void) = {
    end_current,
    end_current_twice,
    end_detached,
    end_root,
    leave_detached,
    leave_and_end,
    begin_and_end_another,
    use_another,
    end_detached_and_use_another,
    end_current_and_begin_another,
    next_of_detached,
};

// ---- at which instruction ----

static uintptr_t instructions[INSTRUCTIONS_MAX]; // of the call, each once
static size_t instruction_count;
static breakpoint point;
static void (*handler_body)(void);
static unsigned acts, runs;

static void note_instruction(uintptr_t at)
{
    for (size_t i = 0; i < instruction_count; i++)
        if (instructions[i] == at)
            return;
    if (instruction_count < INSTRUCTIONS_MAX)
        instructions[instruction_count++] = at;
}

static void on_trap(int number, siginfo_t *information, void *context)
{
    (void)number;
    (void)information;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (point.at == NULL) { // a step
        note_instruction((uintptr_t)registers[REG_RIP]);
        return;
    }
    breakpoint_clear(&point);
    registers[REG_RIP]--; // the instruction is still to come
    acts++;
    handler_body();
}

// ---- tests ----

// The sender blocks all signals, and a breakpoint that it meets would end the process. It shares code with
// the calls here (testpoints), so while there are breakpoints it has nothing to do.
static void let_the_sender_sleep(void)
{
    const struct timespec a_moment = {.tv_nsec = 1000000};
    capture_settle();
    for (int in_a_row = 0; in_a_row < 3; in_a_row = other_threads_sleep() ? in_a_row + 1 : 0)
        nanosleep(&a_moment, NULL);
}

static void begin_stepping(double rate)
{
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer is not reentrant: no handler may run within its own functions");
    name_root = NSP_NAME("root");
    name_child = NSP_NAME("child");
    name_detached = NSP_NAME("detached");
    name_handler = NSP_NAME("handler");
    name_inner = NSP_NAME("inner");
    name_sibling = NSP_NAME("sibling");
    name_probe = NSP_NAME("probe");
    nsp_config config;
    capture_config(&config);
    config.sample_rate = rate;
    config.detached_spans = PLACES;
    config.ring_bytes = 16 << 20;
    config.collector = NSP_COLLECTOR_INVOKER; // no other thread in the code that has breakpoints
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    let_the_sender_sleep();
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
}

// The stack is empty and every place of the pool is free. If a handler that had to keep out of the stack
// ended a span that was entered, the next one that begins takes it off.
static void check_that_nothing_is_left(void)
{
    nsp_span_end(nsp_span_begin(name_probe));
    assert_null(nsp_span_current());
    nsp_span *spans[PLACES];
    for (size_t i = 0; i < PLACES; i++) {
        spans[i] = nsp_span_begin_detached(name_probe, NULL);
        assert_true(nsp_span_recording(spans[i]) || nsp_sampler_rate() < 1);
    }
    for (size_t i = 0; i < PLACES; i++)
        nsp_span_end(spans[i]);
}

static void run(const step *what, uintptr_t at)
{
    begun = NULL;
    what->prepare();
    if (at == 0) {
        run_stepped(what->call);
    } else {
        assert_true(breakpoint_set(&point, at));
        what->call();
        breakpoint_clear(&point);
    }
    what->finish();
    check_that_nothing_is_left();
    if (++runs % 256 == 0) // so that the ring never fills
        let_the_sender_sleep();
}

// How often the handler ran. Not every call takes the same way as the one that was stepped through.
static unsigned run_at_each_instruction(const step *what, void (*handler)(void))
{
    handler_body = handler;
    acts = 0;
    instruction_count = 0;
    run(what, 0);
    size_t own = 0;
    for (size_t i = 0; i < instruction_count; i++) {
        if (!of_this_program(instructions[i])) // other threads may execute those of libraries too
            continue;
        own++;
        run(what, instructions[i]);
    }
    assert_in_range(own, 10, INSTRUCTIONS_MAX - 1);
    assert_true(acts > own / 2);
    return acts;
}

static void check_what_was_captured(void)
{
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.dropped_invalid, 0);
    assert_int_equal(capture_distinct(), capture_count());
    static const uint8_t none[NSP_SPAN_ID_SIZE];
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        if (strcmp(span->name, "probe") == 0)
            assert_memory_equal(span->parent_id, none, sizeof none);
    }
}

static nsp_span *others[PLACES];

// Of other traces; one of them now has the frame of the span that was entered.
static void end_detached_and_begin_others(void)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    nsp_span_end(detached);
    for (size_t i = 0; i < PLACES; i++)
        others[i] = nsp_span_begin_detached(name_handler, &options);
}

static void end_all_and_others(void)
{
    end_all();
    for (size_t i = 0; i < PLACES; i++)
        nsp_span_end(others[i]);
    memset(others, 0, sizeof others);
}

static bool has_to_do_with_others(const captured_span *child)
{
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        if (strcmp(span->name, "handler") == 0 &&
            (memcmp(child->trace_id, span->trace_id, sizeof span->trace_id) == 0 ||
             memcmp(child->parent_id, span->span_id, sizeof span->span_id) == 0))
            return true;
    }
    return false;
}
#endif

static void check_all_steps(double rate)
{
#if defined(__x86_64__)
    unsigned total = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        begin_stepping(rate);
        for (size_t j = 0; j < sizeof handlers / sizeof *handlers; j++)
            total += run_at_each_instruction(&steps[i], handlers[j]);
        check_what_was_captured();
        capture_end();
    }
    printf("[   STEPS  ] %u\n", total);
#else
    (void)rate;
    SKIP_BECAUSE("single steps need the trap flag of x86-64");
#endif
}

static void handlers_at_every_instruction_of_recorded_spans(void **state)
{
    (void)state;
    check_all_steps(1);
}

static void handlers_at_every_instruction_of_unsampled_spans(void **state)
{
    (void)state;
    check_all_steps(0);
}

static void a_child_has_the_parent_that_was_entered(void **state)
{
    (void)state;
#if defined(__x86_64__)
    static const step begin_child = {"begin", open_and_enter, call_begin_child, end_all_and_others};
    begin_stepping(1);
    unsigned total = run_at_each_instruction(&begin_child, end_detached_and_begin_others);
    check_what_was_captured();
    for (size_t i = 0; i < capture_count(); i++)
        assert_true(strcmp(capture_at(i)->name, "child") != 0 || !has_to_do_with_others(capture_at(i)));
    assert_int_equal(capture_count_named("child"), capture_count_named("root"));
    assert_in_range(capture_count_named("handler"), PLACES, total * PLACES);
    capture_end();
#else
    SKIP_BECAUSE("single steps need the trap flag of x86-64");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_child_has_the_parent_that_was_entered, capture_teardown),
        cmocka_unit_test_teardown(handlers_at_every_instruction_of_recorded_spans, capture_teardown),
        cmocka_unit_test_teardown(handlers_at_every_instruction_of_unsampled_spans, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
