// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// The sampler of an engine, changed by another process: at their next roots the engine's threads obey. The
// engine is this process; whoever tunes it works on its files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/capture.h"
#include "support/tuned_engine.h"
#include "trace/trace_state.h"

// ---- what a change does ----

static void check_changes(nsp_collector_mode mode)
{
    tuned_begin(mode);
    assert_true(tuned_recorded("order.new") && tuned_recorded("tick"));
    nsp_tune *tune = tuned_open();
    assert_int_equal(tuned_set_rule(tune, "order.*", 0), NSP_OK);
    assert_false(tuned_recorded("order.new") || tuned_recorded("order.cancel"));
    assert_true(tuned_recorded("tick"));
    assert_int_equal(tuned_set_rate(tune, 0), NSP_OK);
    assert_true(nsp_sampler_rate() == 0);
    assert_false(tuned_recorded("tick"));
    assert_int_equal(tuned_set_rule(tune, "order.*", 1), NSP_OK);
    assert_true(tuned_recorded("order.new") && tuned_recorded("order.cancel"));
    assert_int_equal(tuned_remove_rule(tune, "order.*"), NSP_OK);
    assert_false(tuned_recorded("order.new") || tuned_recorded("order.cancel"));
    assert_int_equal(tuned_set_parent_policy(tune, NSP_PARENT_DECIDE), NSP_OK);
    tuned_recorded("tick");
    assert_int_equal(nsp__producer_self()->parent_policy, NSP_PARENT_DECIDE);
    // The engine goes on from there.
    assert_int_equal(nsp_sampler_set_rule("tick", 1), NSP_OK);
    assert_int_equal(tuned_set_rate(tune, 0.25), NSP_OK);
    assert_true(nsp_sampler_rate() == 0.25);
    assert_true(tuned_recorded("tick"));
    nsp_tune_close(tune);
    tuned_end();
}

static void an_engine_with_a_collector_obeys(void **state)
{
    (void)state;
    check_changes(NSP_COLLECTOR_THREAD);
}

static void an_engine_with_an_invoker_obeys(void **state)
{
    (void)state;
    check_changes(NSP_COLLECTOR_INVOKER);
}

static void what_cannot_be_done_changes_nothing(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_INVOKER); // no other thread looks while this one writes
    nsp_tune *tune = tuned_open(), *none;
    char problem[200];
    uint32_t generation = nsp__trace_state.control->policy_generation;
    assert_int_equal(tuned_set_rate(tune, 1.5), NSP_ERR_INVALID);
    assert_int_equal(tuned_set_rule(tune, "", 0.5), NSP_ERR_INVALID);
    assert_int_equal(tuned_set_rule(tune, "x", -1), NSP_ERR_INVALID);
    assert_int_equal(tuned_remove_rule(tune, "x"), NSP_ERR_NOT_FOUND);
    assert_int_equal(tuned_set_parent_policy(tune, (nsp_parent_policy)7), NSP_ERR_INVALID);
    assert_int_equal(nsp_tune_open(&none, "/nowhere/name.1.00000001", problem, sizeof problem),
                     NSP_ERR_NOT_FOUND);
    assert_null(none);
    assert_true(problem[0] != 0);
    char path[600];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    assert_int_equal(nsp_tune_open(&none, path, problem, sizeof problem), NSP_ERR_INVALID);
    assert_string_equal(problem, "its path is too long");
    assert_null(none);

    // Of another version: its writers leave something else beside a policy, or know another one.
    static const uint32_t kinds[] = {NSP__SECTION_TUNING, NSP__SECTION_OUTLIERS,
                                     NSP__SECTION_SLOT_GENERATION};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        nsp__section *section = nsp__trace_state.control->sections;
        while (section->kind != (kinds[i] | NSP__SECTION_OPTIONAL))
            section++;
        section->version--;
        assert_int_equal(nsp_tune_open(&none, tuned_directory, problem, sizeof problem), NSP_ERR_UNSUPPORTED);
        assert_non_null(strstr(problem, "another version"));
        section->version++;
    }

    // Torn, as by somebody who writes without the lock.
    uint64_t *checksum = &nsp__trace_state.control->policies[generation & 1].checksum;
    __atomic_fetch_xor(checksum, 1, __ATOMIC_RELAXED); // whoever drains reads it
    assert_int_equal(tuned_set_rate(tune, 0), NSP_ERR_DAMAGED);
    __atomic_fetch_xor(checksum, 1, __ATOMIC_RELAXED);
    checksum = &nsp__trace_state.control->outliers[generation & 1].checksum;
    __atomic_fetch_xor(checksum, 1, __ATOMIC_RELAXED);
    assert_int_equal(tuned_set_rate(tune, 0), NSP_ERR_DAMAGED);
    __atomic_fetch_xor(checksum, 1, __ATOMIC_RELAXED);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_true(tuned_recorded("root"));
    tuned_end();
    assert_int_equal(tuned_set_rate(tune, 0), NSP_ERR_NOT_INITIALISED);
    nsp_tune_close(tune);
}

static void names_that_a_pattern_matches(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_THREAD);
    nsp_tune *tune = tuned_open();
    assert_false(nsp_tune_matches(tune, "named.in.tune.*"));
    tuned_recorded("named.in.tune.later"); // also one that comes after it was opened
    assert_true(nsp_tune_matches(tune, "named.in.tune.*"));
    assert_true(nsp_tune_matches(tune, "named.in.tune.later"));
    assert_false(nsp_tune_matches(tune, "named.in.tune.late"));
    assert_false(nsp_tune_matches(tune, NULL));
    assert_false(nsp_tune_matches(NULL, "*"));
    nsp_tune_close(tune);
    tuned_end();
}

// ---- several changes at once ----

static void several_changes_are_one(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_THREAD);
    assert_int_equal(nsp_sampler_set_rule("old", 1), NSP_OK);
    nsp_tune *tune = tuned_open();
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    const nsp_tune_change changes[] = {
        {.kind = NSP_TUNE_REMOVE_RULE, .pattern = "old"},
        {.kind = NSP_TUNE_RATE, .value = 0},
        tuned_rule("in", 1),
        tuned_rule("out", 1),
        tuned_rule("out", 0), // after the one before it
        {.kind = NSP_TUNE_PARENT_POLICY, .parent_policy = NSP_PARENT_DECIDE},
    };
    size_t failed = 77;
    const size_t count = sizeof changes / sizeof changes[0];
    assert_int_equal(nsp_tune_apply(tune, changes, count, &failed), NSP_OK);
    assert_int_equal(failed, count);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation + 1);
    assert_true(tuned_recorded("in"));
    assert_false(tuned_recorded("out") || tuned_recorded("old") || tuned_recorded("other"));
    assert_int_equal(nsp__producer_self()->parent_policy, NSP_PARENT_DECIDE);
    nsp_tune_close(tune);
    tuned_end();
}

static void one_that_cannot_be_made_undoes_the_others(void **state)
{
    (void)state;
    static char patterns[NSP_SAMPLER_RULES_MAX + 1][16];
    nsp_tune_change many[NSP_SAMPLER_RULES_MAX + 1];
    for (size_t i = 0; i <= NSP_SAMPLER_RULES_MAX; i++) {
        snprintf(patterns[i], sizeof patterns[i], "rule.%zu", i);
        many[i] = tuned_rule(patterns[i], 0);
    }
    tuned_begin(NSP_COLLECTOR_THREAD);
    nsp_tune *tune = tuned_open();
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    const nsp_tune_change off = {.kind = NSP_TUNE_RATE, .value = 0};
    const struct {
        nsp_tune_change second;
        nsp_status status;
    } cases[] = {
        {{.kind = NSP_TUNE_REMOVE_RULE, .pattern = "x"}, NSP_ERR_NOT_FOUND},
        {{.kind = NSP_TUNE_REMOVE_RULE}, NSP_ERR_INVALID},
        {{.kind = NSP_TUNE_RATE, .value = 2}, NSP_ERR_INVALID},
        {{.kind = NSP_TUNE_RULE, .value = 1}, NSP_ERR_INVALID},
        {{.kind = NSP_TUNE_LIMIT, .value = -1}, NSP_ERR_INVALID},
        {{.kind = (nsp_tune_kind)99}, NSP_ERR_INVALID},
    };
    size_t failed;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nsp_tune_change changes[] = {off, cases[i].second, off};
        failed = 77;
        assert_int_equal(nsp_tune_apply(tune, changes, 3, &failed), cases[i].status);
        assert_int_equal(failed, 1);
    }
    assert_int_equal(nsp_tune_apply(tune, many, NSP_SAMPLER_RULES_MAX + 1, &failed), NSP_ERR_FULL);
    assert_int_equal(failed, NSP_SAMPLER_RULES_MAX);
    assert_int_equal(nsp_tune_apply(tune, many, 0, &failed), NSP_ERR_INVALID);
    assert_int_equal(nsp_tune_apply(tune, NULL, 1, &failed), NSP_ERR_INVALID);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_true(tuned_recorded("root") && tuned_recorded("rule.0"));
    assert_int_equal(nsp_tune_apply(tune, many, NSP_SAMPLER_RULES_MAX, NULL), NSP_OK);
    assert_false(tuned_recorded("rule.0") || tuned_recorded("rule.62"));
    nsp_tune_close(tune);
    tuned_end();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, capture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_engine_with_a_collector_obeys),
        TEST(an_engine_with_an_invoker_obeys),
        TEST(what_cannot_be_done_changes_nothing),
        TEST(names_that_a_pattern_matches),
        TEST(several_changes_are_one),
        TEST(one_that_cannot_be_made_undoes_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
