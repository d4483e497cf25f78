// SPDX-License-Identifier: Apache-2.0
//
// The limit of traces a second, as it is set and stored: the rates stay what they are, and what threads draw by is each
// of them times one factor.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <nanospan/inspect.h>

#include "base/testpoint.h"
#include "context/threshold.h"
#include "drain/stats.h"
#include "support/capture.h"
#include "trace/policy_change.h"
#include "trace/thread_state.h"
#include "trace/trace_state.h"

// ---- a draft ----

static const nsp__policy *policy;
static nsp__tuning tuning;

// Writes the draft as a session's second policy, and looks at that.
static void write_down(nsp__policy_draft *draft)
{
    static uint32_t generation = 1;
    static nsp__policy policies[2];
    static nsp__tuning tunings[2];
    static nsp__outliers outliers[2];
    const nsp__policy_place place = {&generation, policies, tunings, outliers};
    nsp__policy_write(&place, generation, draft);
    policy = &policies[1];
    tuning = tunings[1];
    nsp__policy_draft again;
    assert_true(nsp__policy_copy(&again, &place, generation));
    assert_memory_equal(&again.policy, &draft->policy, offsetof(nsp__policy, classes));
    assert_memory_equal(&again.tuning, &tuning, sizeof tuning);
    tunings[1].factor = 0;
    assert_false(nsp__policy_copy(&again, &place, generation));
    tunings[1].factor = 1;
    tunings[1].limit = -1;
    assert_false(nsp__policy_copy(&again, &place, generation));
}

static void apply(nsp__policy_draft *draft, nsp__policy_change change)
{
    assert_int_equal(nsp__policy_change_check(&change), NSP_OK);
    assert_int_equal(nsp__policy_change_apply(&change, draft, NSP_SAMPLER_CODE), NSP_OK);
}

#define ASSERT_CLOSE(value, wanted) assert_true(fabs((value) / (wanted)-1) < 1.0 / 4096)

static void rates_are_lowered_by_one_factor(void **state)
{
    (void)state;
    static nsp__policy_draft draft;
    nsp__policy_begin(&draft, 0.5, 0, NSP_PARENT_FOLLOW, NSP_SAMPLER_ENVIRONMENT);
    apply(&draft, (nsp__policy_change){.kind = NSP__CHANGE_RULE, .pattern = "all", .rate = 1});
    apply(&draft, (nsp__policy_change){.kind = NSP__CHANGE_RULE, .pattern = "none", .rate = 0});
    write_down(&draft);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tuning.thresholds[i], policy->thresholds[i]);
    apply(&draft, (nsp__policy_change){.kind = NSP__CHANGE_LIMIT, .limit = 500});
    nsp__policy_factor_set(&draft, 0.125);
    write_down(&draft);
    ASSERT_CLOSE(nsp__threshold_rate(policy->thresholds[0]), 0.5);
    ASSERT_CLOSE(nsp__threshold_rate(tuning.thresholds[0]), 0.0625);
    ASSERT_CLOSE(nsp__threshold_rate(tuning.thresholds[1]), 0.125);
    assert_int_equal(tuning.thresholds[2], NSP__THRESHOLD_NEVER);
    // A rate that is set under a limit takes the factor at once.
    apply(&draft, (nsp__policy_change){.kind = NSP__CHANGE_RATE, .rate = 0.2});
    write_down(&draft);
    ASSERT_CLOSE(nsp__threshold_rate(policy->thresholds[0]), 0.2);
    ASSERT_CLOSE(nsp__threshold_rate(tuning.thresholds[0]), 0.025);
    assert_true(tuning.limit == 500 && tuning.factor == 0.125);
    // Without a limit nothing is lowered.
    apply(&draft, (nsp__policy_change){.kind = NSP__CHANGE_LIMIT, .limit = 0});
    write_down(&draft);
    assert_int_equal(tuning.thresholds[0], policy->thresholds[0]);
    assert_true(tuning.limit == 0 && tuning.factor == 1);
}

static void a_factor_is_nobodys_change(void **state)
{
    (void)state;
    static nsp__policy_draft draft;
    nsp__policy_begin(&draft, 1, 500, NSP_PARENT_FOLLOW, NSP_SAMPLER_ENVIRONMENT);
    draft.tuning.pid = 7;
    draft.tuning.unix_ns = 8;
    nsp__policy_factor_set(&draft, 0.5);
    write_down(&draft);
    assert_true(tuning.factor == 0.5 && tuning.limit == 500);
    assert_int_equal(tuning.limit_source, NSP_SAMPLER_ENVIRONMENT);
    assert_int_equal(tuning.source, NSP_SAMPLER_ENVIRONMENT);
    assert_int_equal(tuning.pid, 7);
    assert_int_equal(tuning.unix_ns, 8);
}

// ---- an engine ----

// This engine's session, as others see it.
static bool find(void *argument, const nsp_session *session)
{
    if (strcmp(session->directory, nsp__trace_state.session->directory) != 0)
        return true;
    assert_null(session->problem);
    *(nsp_session *)argument = *session;
    return false;
}

static nsp_session seen(void)
{
    nsp_session session = {.size = 0};
    assert_int_equal(nsp_sessions_each(NULL, find, &session), NSP_OK);
    assert_int_equal(session.size, sizeof session);
    return session;
}

static void a_limit_is_set_and_seen_from_outside(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.sample_rate = 0.25;
    config.sample_limit = 1e9;
    capture_start(&config);
    assert_true(seen().limit == 1e9 && seen().limit_factor == 1);
    assert_int_equal(nsp_sampler_set_limit(1e8), NSP_OK);
    assert_true(seen().limit == 1e8 && seen().rate == 0.25);
    const double bad[] = {-1, 0.0009, 1.1e9, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(nsp_sampler_set_limit(bad[i]), NSP_ERR_INVALID);
        assert_non_null(strstr(nsp_error_detail(), "0.001 to 1e+09 traces a second, or 0 for none"));
    }
    assert_true(seen().limit == 1e8);
    assert_int_equal(nsp_sampler_set_limit(0), NSP_OK);
    assert_true(seen().limit == 0 && seen().limit_factor == 1);
    capture_end();
    assert_int_equal(nsp_sampler_set_limit(1), NSP_ERR_NOT_INITIALISED);
}

// ---- which roots count ----

static uint64_t most_unsampled;
static unsigned looks;

static void look_at_count(const char *point)
{
    if (strcmp(point, "policy: a skip is half given up") != 0)
        return;
    uint64_t unsampled = nsp__stats_roots_unsampled(nsp__producer_self()->slot);
    most_unsampled = unsampled > most_unsampled ? unsampled : most_unsampled;
    looks++;
}

// Whoever counts while a thread gives up what it has drawn takes no skip for roots that began.
static void a_skip_that_is_given_up_is_no_root(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.sample_rate = 1e-9;
    nsp_thread_reset();
    capture_start(&config);
    __atomic_store_n(&nsp__testpoint_hook, look_at_count, __ATOMIC_RELEASE);
    for (int i = 0; i < 10; i++)
        nsp_span_end(nsp_span_begin(nsp_intern("root", 4)));
    assert_int_equal(nsp_sampler_set_rate(1e-8), NSP_OK);
    nsp_span_end(nsp_span_begin(nsp_intern("root", 4)));
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_true(looks != 0 && most_unsampled <= 10);
    assert_int_equal(nsp__stats_roots_unsampled(nsp__producer_self()->slot), 11);
    nsp_thread_reset();
    capture_end();
}

// ---- which traces count ----

// The flags of the record of this span, which ends.
static uint8_t end(nsp_span *span)
{
    const nsp__slot *slot = nsp__producer_self()->slot;
    const uint64_t at = slot->published;
    nsp_span_end(span);
    assert_true(slot->published > at);
    const uint8_t *ring = (const uint8_t *)slot + slot->ring_offset;
    return ((const nsp__record *)(const void *)(ring + (at & (slot->ring_bytes - 1))))->flags;
}

static nsp_span *begin_under(nsp_context *parent)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = parent;
    return nsp_span_begin_with(nsp_intern("remote", 6), &options);
}

static void traces_count_that_are_decided_here(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    nsp_thread_reset();
    capture_start(&config);
    nsp_span *root = nsp_span_begin(nsp_intern("root", 4));
    nsp_span *child = nsp_span_begin(nsp_intern("child", 5));
    nsp_context remote;
    nsp_span_context(root, &remote);
    remote.remote = true;
    assert_false(end(child) & NSP__RECORD_DECIDED);
    assert_true(end(root) & NSP__RECORD_DECIDED);
    nsp_span_options apart = NSP_SPAN_OPTIONS_INIT;
    apart.new_root = true;
    assert_true(end(nsp_span_begin_with(nsp_intern("root", 4), &apart)) & NSP__RECORD_DECIDED);
    assert_false(end(begin_under(&remote)) & NSP__RECORD_DECIDED);
    remote.flags |= NSP_TRACE_FLAG_DEFERRED;
    assert_true(end(begin_under(&remote)) & NSP__RECORD_DECIDED);
    remote.flags &= (uint8_t)~NSP_TRACE_FLAG_DEFERRED;
    assert_int_equal(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE), NSP_OK);
    assert_true(end(begin_under(&remote)) & NSP__RECORD_DECIDED);
    remote.flags |= NSP_TRACE_FLAG_DEBUG;
    assert_false(end(begin_under(&remote)) & NSP__RECORD_DECIDED);
    nsp_thread_reset();
    nsp_do_work(SIZE_MAX);
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_lowered_by_one_factor),
        cmocka_unit_test(a_factor_is_nobodys_change),
        cmocka_unit_test_teardown(a_skip_that_is_given_up_is_no_root, capture_teardown),
        cmocka_unit_test_teardown(traces_count_that_are_decided_here, capture_teardown),
        cmocka_unit_test_teardown(a_limit_is_set_and_seen_from_outside, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
