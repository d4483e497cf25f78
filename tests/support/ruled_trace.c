// SPDX-License-Identifier: Apache-2.0
#include "support/ruled_trace.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/testpoint.h"
#include "trace/speculation.h"

nsp_ticks ruled_now;

static bool begun; // the test has a session

nsp_ticks ruled_after(int64_t ns)
{
    return nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(ruled_now) + (uint64_t)ns);
}

void ruled_configure(nsp_config *config, double rate)
{
    capture_config(config);
    config->collector = NSP_COLLECTOR_THREAD;
    config->sample_rate = rate;
}

void ruled_begin_with(const nsp_config *config)
{
    begun = true;
    capture_start(config);
    ruled_now = nsp_now();
    nsp_span_end(nsp_span_begin(NSP_NAME("first of all")));
}

int ruled_begin(void **state)
{
    (void)state;
    nsp_config config;
    ruled_configure(&config, 0);
    ruled_begin_with(&config);
    return 0;
}

void ruled_finish(void)
{
    begun = false;
    capture_end();
}

static int end(void **state, bool with_history)
{
#ifdef NSP_TESTPOINTS
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
#endif
    if (!begun) // the test was skipped
        return capture_teardown(state);
    begun = false;
    const nsp_stats now = ruled_stats();
    const nsp__producer *producer = nsp__producer_self();
    assert_int_equal(now.speculating, 0);
    assert_int_equal(now.open, 0);
    assert_true(with_history || producer != NULL);
    assert_true(producer == NULL || nsp__pen_is_home(producer));
    if (!with_history)
        assert_int_equal(producer->speculation->slot.published, 0);
    capture_end();
    return capture_teardown(state);
}

int ruled_end(void **state)
{
    return end(state, false);
}

int ruled_end_with_history(void **state)
{
    return end(state, true);
}

void ruled_rule_with(uint32_t conditions, double limit)
{
    const nsp_outlier_rule rule = {
        .size = sizeof rule,
        .slower_ns = (conditions & NSP__OUTLIER_SLOWER) != 0 ? SLOW_NS : 0,
        .errors = (conditions & NSP__OUTLIER_ERRORS) != 0,
        .asked = (conditions & NSP__OUTLIER_ASKED) != 0,
        .measure = (conditions & NSP__OUTLIER_MEASURE) != 0,
        .limit = limit,
    };
    assert_int_equal(nsp_outlier_set_rule("*", &rule), NSP_OK);
}

void ruled_rule(uint32_t conditions)
{
    ruled_rule_with(conditions, 0);
}

nsp_span *ruled_root(nsp_ticks start)
{
    return nsp_span_begin_at(NSP_NAME("order"), start);
}

void ruled_trace_of_four(uint64_t ns)
{
    nsp_span *root = ruled_root(ruled_now);
    assert_true(nsp_span_recording(root));
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_set_i64(root, NSP_NAME("id"), 42);
    nsp_span *left = nsp_span_begin_at(NSP_NAME("left"), ruled_now);
    nsp_span *inner = nsp_span_begin_at(NSP_NAME("inner"), ruled_now);
    nsp_span_set_str(inner, NSP_NAME("symbol"), "BTCUSDT");
    nsp_span_end_at(inner, ruled_after(1000));
    nsp_span_end_at(left, ruled_after(2000));
    nsp_span *right = nsp_span_begin_at(NSP_NAME("right"), ruled_after(2000));
    nsp_span_set_str(right, NSP_NAME("venue"), "a venue with a long name");
    nsp_span_end_at(right, ruled_after(3000));
    nsp_span_end_at(root, ruled_after(ns));
    assert_null(nsp_span_current());
}

void ruled_assert_kept(const captured_span *root, const char *why)
{
    assert_string_equal(captured_text(root, "nanospan.kept"), why);
    assert_int_equal(root->threshold, NSP_CONTEXT_UNKNOWN);
    assert_int_equal(root->trace_flags & NSP_TRACE_FLAG_SAMPLED, 0);
}

nsp_span *ruled_apart(nsp_name name, const nsp_context *parent)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = parent == NULL;
    options.parent = parent;
    return nsp_span_begin_with(name, &options);
}

const nsp_context *ruled_parent(nsp_context *context, bool sampled)
{
    char text[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";
    text[sizeof text - 2] = sampled ? '1' : '0';
    assert_int_equal(nsp_context_parse(context, text, NULL), NSP_OK);
    return context;
}

nsp_stats ruled_stats(void)
{
    nsp_stats now = capture_balance();
    assert_int_equal(now.speculated, now.speculating + now.taken_back + now.kept);
    return now;
}

void ruled_assert_counts(uint64_t speculated, uint64_t taken_back, uint64_t kept, uint64_t attempted)
{
    nsp_stats now = ruled_stats();
    assert_int_equal(now.speculated, speculated);
    assert_int_equal(now.taken_back, taken_back);
    assert_int_equal(now.kept, kept);
    assert_int_equal(now.attempted, attempted);
}

uint64_t ruled_randomness(const captured_span *span)
{
    uint64_t randomness = 0;
    for (size_t i = NSP_TRACE_ID_SIZE - 7; i < NSP_TRACE_ID_SIZE; i++)
        randomness = randomness << 8 | span->trace_id[i];
    return randomness;
}
