// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300 COST 40
//
// Traces that may be kept, one instruction at a time: a signal handler that traces after each of them, and what a reader
// would find if the thread died there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "drain/stats.h"
#include "support/ruled_trace.h"
#include "support/single_steps.h"
#include "trace/speculation.h"

// ---- signal handlers ----

static nsp_context request_parent;
static uint64_t handler_runs, handler_slow;
static bool in_handler_slow;

// What a program may do in one: a child of what is current, a trace of its own on top of it, and, where nothing is open,
// a ruled root.
static void on_trap(int number)
{
    (void)number;
    handler_runs++;
    nsp_span *span = nsp_span_begin_at(NSP_NAME("handler"), ruled_now);
    nsp_span_end_at(span, ruled_after(in_handler_slow ? SLOW_NS : 10));
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &request_parent;
    nsp_span *request = nsp_span_begin_with(NSP_NAME("request"), &options);
    nsp_span_end(nsp_span_begin(NSP_NAME("inside")));
    handler_slow += nsp_span_recording(request);
    nsp_span_end(request);
}

static bool stepped_trace(void)
{
    nsp_span *root = ruled_root(ruled_now);
    nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
    child = nsp_span_next_at(child, NSP_NAME("sibling"), ruled_now + 10);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &request_parent;
    options.start = ruled_now;
    nsp_span *request = nsp_span_begin_with(NSP_NAME("request"), &options);
    nsp_span_end_at(request, ruled_now + 10);
    nsp_span_end_at(child, ruled_now + 20);
    nsp_span_end_at(root, ruled_now + (in_handler_slow ? UINT64_C(1) << 40 : 30));
    return nsp_span_current() == NULL;
}

static void signals_come_at_every_instruction(void **state)
{
    (void)state;
    HANDLER_STEPS_OR_SKIP();
    nsp_config config;
    ruled_configure(&config, 0);
    config.ring_bytes = 16 << 20;
    config.outlier_bytes = 1 << 20; // sanitized code has many instructions, and each adds a span
    ruled_begin_with(&config);
    ruled_rule(NSP__OUTLIER_SLOWER);
    ruled_parent(&request_parent, true);
    (void)(NSP_NAME("handler") + NSP_NAME("request") + NSP_NAME("inside") + NSP_NAME("child") +
           NSP_NAME("sibling"));
    for (int slow = 0; slow < 2; slow++) {
        in_handler_slow = slow != 0;
        handler_runs = handler_slow = 0;
        assert_true(run_stepped_into(on_trap, stepped_trace));
        assert_true(handler_runs > 300 && handler_slow > 100);
        assert_true(nsp__pen_is_home(nsp__producer_self()));
        capture_settle();
        nsp_stats now = ruled_stats();
        assert_int_equal(now.misused, 0);
        assert_int_equal(now.open + now.speculating, 0);
        assert_int_equal(capture_distinct(), capture_count());
        if (slow == 0)
            assert_int_equal(now.kept, 0);
        else
            assert_true(now.kept >= 3 && capture_count_named("order") == 1 &&
                        capture_count_named("sibling") == 1);
    }
}

// ---- crash ----

// What a reader would find if the thread died at this instruction. In the ring are whole traces, the root last, and they
// are what was attempted, but for a trace that was just being kept. No frame counts as open.
static uint64_t looks, found_wrong, found_keeping;

static const nsp__slot *no_slot(void *nothing, uint32_t index)
{
    (void)nothing;
    (void)index;
    return NULL;
}

static void look(int number)
{
    (void)number;
    nsp__producer *producer = nsp__producer_self();
    nsp__slot *slot = producer->home.slot;
    uint64_t records = 0, children = 0;
    bool right = true;
    looks++;
    for (uint64_t at = 0; at < slot->published;) {
        const nsp__record *record =
            (const nsp__record *)(const void *)(producer->home.ring.bytes + (at & producer->home.ring.mask));
        const bool root = record->span_id == record->local_root_id;
        children = root ? 0 : children + 1;
        right = right && record->bytes >= sizeof *record && record->bytes % 8 == 0;
        at += record->bytes;
        records++;
    }
    right = right && children == 0;
    const nsp__speculation *speculation = producer->speculation;
    uint64_t attempted = slot->counters.attempted;
    if (speculation->keeping.position > slot->published && attempted >= speculation->keeping.attempted) {
        attempted -= speculation->keeping.spans;
        found_keeping++;
    }
    right = right && attempted == records;
    for (uint32_t i = 0; i < slot->frame_count; i++)
        right = right && !nsp__stats_open(nsp__frame_at(slot, i), no_slot, NULL);
    found_wrong += !right;
}

static bool kept_and_taken_back(void)
{
    for (int i = 0; i < 3; i++) {
        nsp_span *root = ruled_root(ruled_now), *child = nsp_span_begin_at(NSP_NAME("child"), ruled_now);
        nsp_span_set_i64(child, NSP_NAME("number"), i);
        child = nsp_span_next_at(child, NSP_NAME("sibling"), ruled_now + 1);
        nsp_span_end_at(child, ruled_now + 2);
        nsp_span_end_at(root, ruled_now + (i == 1 ? 2 : UINT64_C(1) << 40));
    }
    return true;
}

static void a_crash_leaves_whole_traces(void **state)
{
    (void)state;
    HANDLER_STEPS_OR_SKIP();
    nsp_config config;
    ruled_configure(&config, 0);
    config.collector = NSP_COLLECTOR_INVOKER; // nobody drains meanwhile
    ruled_begin_with(&config);
    ruled_rule(NSP__OUTLIER_SLOWER);
    (void)(NSP_NAME("number") + NSP_NAME("child") + NSP_NAME("sibling"));
    looks = found_wrong = found_keeping = 0;
    assert_true(run_stepped_into(look, kept_and_taken_back));
    assert_true(looks > 1000 && found_keeping > 50);
    assert_int_equal(found_wrong, 0);
    capture_settle();
    assert_int_equal(capture_count(), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULED_OWN(signals_come_at_every_instruction),
        RULED_OWN(a_crash_leaves_whole_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
