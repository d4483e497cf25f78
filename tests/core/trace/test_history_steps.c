// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// History, one instruction at a time: a signal handler that makes some after each of them, and what a reader would find if
// the thread died there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/history_reader.h"
#include "support/history_trace.h"
#include "support/single_steps.h"
#include "trace/thread.h"

// ---- signals ----

static uint64_t handler_runs, handler_number;

// Makes history of its own where nothing is open, and a child otherwise.
static void on_trap(int number)
{
    (void)number;
    handler_runs++;
    if (nsp_span_current() == NULL)
        history_trace(handler_number, (unsigned)(handler_number % 5), 10, 15);
    handler_number++;
}

static bool stepped_history(void)
{
    for (uint64_t i = 0; i < 3; i++)
        history_trace(i, (unsigned)(i % 5), 20, i == 2 ? 20 + 2 * SLOW_NS : 25);
    return nsp_span_current() == NULL;
}

static void signals_come_at_every_instruction(void **state)
{
    (void)state;
    HANDLER_STEPS_OR_SKIP();
    history_begin(4096);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    (void)(NSP_NAME("number") + NSP_NAME("part") + NSP_NAME("filling") + NSP_NAME("child") +
           NSP_NAME("order"));
    handler_runs = 0;
    assert_true(run_stepped_into(on_trap, stepped_history));
    assert_true(handler_runs > 300);
    memset(&history_reader, 0, sizeof history_reader);
    history_read_first(history_of_thread());
    history_read_second(history_of_thread());
    assert_int_equal(history_reader.wrong, 0);
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
        history_read_first(its);
        history_read_second(its);
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
    HANDLER_STEPS_OR_SKIP();
    history_begin(4096);
    history_rule(NSP_OUTLIER_HISTORY_MAX);
    for (uint64_t i = 0; i < 100; i++)
        history_trace(i, (unsigned)(i % 5), 10 * i, 10 * i + 5);
    memset(&history_reader, 0, sizeof history_reader);
    looks = found_wrong = found_keeping = 0;
    assert_true(run_stepped_into(look, stepped_history));
    assert_true(looks > 1000 && found_keeping > 50);
    assert_int_equal(found_wrong, 0);
    assert_int_equal(history_reader.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(signals_come_at_every_instruction, ruled_end_with_history),
        cmocka_unit_test_teardown(a_crash_leaves_whole_traces, ruled_end_with_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
