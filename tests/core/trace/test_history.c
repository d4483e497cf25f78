// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// History: what was taken back, lies in the buffer until it is overwritten, and is kept with an outlier. Against a model
// that knows each trace.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "support/history_trace.h"

static uint64_t now_ns; // the time of the next trace, from the beginning of the test

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
        history_assert_described(span, its->number, i);
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
                       .from = history_of_thread()->history_end,
                       .end_ns = now_ns + (slow ? SLOW_NS : (1 + draw / 65536 % 10) * 100)};
    assert_int_equal(history_of_thread()->slot.published, its.from);
    const uint64_t begin_ns = now_ns, capacity = history_of_thread()->slot.ring_bytes;
    nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), ruled_after(begin_ns));
    for (unsigned i = 0; i < its.children; i++) {
        nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), ruled_after(begin_ns));
        history_describe(child, its.number, i);
        nsp_span_end_at(child, ruled_after(begin_ns + 1));
    }
    history_describe(root, its.number, its.children);
    const uint64_t consumed = history_of_thread()->slot.consumed;
    nsp_span_end_at(root, ruled_after(its.end_ns));
    now_ns = its.end_ns;
    its.to = history_of_thread()->history_end;
    if (slow) {
        assert_int_equal(its.to, its.from);
        check_outlier(&its, begin_ns, history_ns, consumed);
        return;
    }
    assert_true(its.to > its.from && model.count < TRACES_MAX);
    model.traces[model.count++] = its;
    // What is given up is whole traces, the oldest, and not more than a piece and the trace that begins in it.
    const uint64_t now_from = history_of_thread()->slot.consumed;
    assert_true(its.to - now_from <= capacity);
    size_t at = 0;
    while (at < model.count && model.traces[at].from < now_from)
        at++;
    model.given_up += at;
    assert_true(now_from == (at < model.count ? model.traces[at].from : its.to));
    assert_true(now_from == 0 || its.to - now_from >= capacity - capacity / 8 - 8 * HISTORY_RECORD_MAX / 4 ||
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
            history_begin(sizes[i]);
            now_ns = 0;
            history_rule(histories[k]);
            for (int n = 0; n < 2000; n++)
                any_trace(&random, histories[k], sizes[i] < 8192 ? 4 : 9, k == 1 ? 100 : 10);
            assert_true(model.outliers > 40 && (sizes[i] > 65536 || model.given_up > 100));
            assert_true(k == 0 || model.kept > model.outliers);
            nsp_stats now = capture_balance();
            assert_int_equal(now.speculated, now.taken_back + now.kept);
            assert_int_equal(now.attempted, now.kept);
            assert_int_equal(now.kept_incomplete, 0);
            if (i + 1 != sizeof sizes / sizeof sizes[0] || k + 1 != sizeof histories / sizeof histories[0]) {
                ruled_finish();
                capture_teardown(state);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(exactly_the_right_traces_are_kept, ruled_end_with_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
