// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Outlier rules of an engine, changed by another process together with its rates, and as others see them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <nanospan/inspect.h>

#include "support/capture.h"
#include "support/tuned_engine.h"
#include "trace/outlier_rules.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

static nsp_tune_change outlier(const char *pattern, const nsp_outlier_rule *its)
{
    return (nsp_tune_change){.kind = NSP_TUNE_OUTLIER_RULE, .pattern = pattern, .outlier = its};
}

static const nsp__outliers *outliers_now(void)
{
    const nsp__control *control = nsp__trace_state.control;
    return nsp__outliers_of(control, control->policy_generation);
}

static const nsp_outlier_rule measure = {.size = sizeof measure, .measure = true};
static const nsp_outlier_rule slow = {.size = sizeof slow, .slower_ns = 50000, .errors = true, .limit = 20};

static void rates_and_outlier_rules_are_one_change(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_THREAD);
    capture_settle(); // what was there at the first pass is no change
    tuned_recorded("order.old");
    assert_int_equal(nsp_outlier_set_rule("code", &measure), NSP_OK);
    tuned_logged("sampling changed: outlier rule code: measure added");
    nsp_tune *tune = tuned_open();
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    const nsp_tune_change changes[] = {tuned_rule("order.*", 0), outlier("*.old", &measure),
                                       outlier("slow*", &slow)};
    assert_int_equal(nsp_tune_apply(tune, changes, 3, NULL), NSP_OK);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation + 1);
    assert_false(tuned_recorded("order.old") || tuned_recorded("order.new"));
    assert_true(tuned_recorded("tick.old") && tuned_recorded("tick.new"));
    const nsp__outliers *outliers = outliers_now();
    assert_int_equal(outliers->rules, 3);
    assert_string_equal(outliers->rule[1].pattern, "code");
    assert_int_equal(outliers->rule[1].source, NSP_SAMPLER_CODE);
    assert_string_equal(outliers->rule[3].pattern, "slow*");
    assert_int_equal(outliers->rule[3].source, NSP_SAMPLER_TUNE);
    assert_true(outliers->rule[3].slower_ns == 50000 && outliers->rule[3].limit == 20);
    tuned_logged(
        "outlier rule *.old: measure added, outlier rule slow*: slower=50us, errors, limit=20/s added");
    // Another change of rates alone, and another factor, leave them as they are.
    assert_int_equal(tuned_set_rate(tune, 0.5), NSP_OK);
    assert_int_equal(outliers_now()->rules, 3);
    assert_true(nsp__sampler_lower(nsp__trace_state.control->policy_generation, 0.5));
    assert_int_equal(outliers_now()->rules, 3);
    assert_false(tuned_recorded("order.old"));
    const nsp_tune_change removals[] = {{.kind = NSP_TUNE_REMOVE_OUTLIER_RULE, .pattern = "code"},
                                        outlier("slow*", &measure)};
    assert_int_equal(nsp_tune_apply(tune, removals, 2, NULL), NSP_OK);
    tuned_logged("outlier rule code removed, outlier rule slow*: slower=50us, errors, limit=20/s -> measure");
    assert_int_equal(outliers_now()->rules, 2);
    nsp_tune_close(tune);
    tuned_end();
}

static void an_outlier_rule_that_cannot_be_made_undoes_the_others(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_THREAD);
    static char patterns[NSP_OUTLIER_RULES_MAX][16];
    nsp_tune_change many[NSP_OUTLIER_RULES_MAX + 1];
    for (size_t i = 0; i < NSP_OUTLIER_RULES_MAX; i++) {
        snprintf(patterns[i], sizeof patterns[i], "rule.%zu.*", i);
        many[i] = outlier(patterns[i], &measure);
    }
    many[NSP_OUTLIER_RULES_MAX] = tuned_rule("one rate more", 0);
    nsp_tune *tune = tuned_open();
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    const nsp_outlier_rule nothing = NSP_OUTLIER_RULE_INIT;
    const struct {
        nsp_tune_change second;
        nsp_status status;
    } cases[] = {
        {outlier("x", &nothing), NSP_ERR_INVALID},
        {outlier("x", NULL), NSP_ERR_INVALID},
        {outlier("", &slow), NSP_ERR_INVALID},
        {outlier(NULL, &slow), NSP_ERR_INVALID},
        {{.kind = NSP_TUNE_REMOVE_OUTLIER_RULE, .pattern = "x"}, NSP_ERR_NOT_FOUND},
        {{.kind = NSP_TUNE_REMOVE_OUTLIER_RULE}, NSP_ERR_INVALID},
    };
    const nsp_tune_change off = {.kind = NSP_TUNE_RATE, .value = 0};
    size_t failed;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nsp_tune_change changes[] = {off, cases[i].second, outlier("y", &slow)};
        failed = 77;
        assert_int_equal(nsp_tune_apply(tune, changes, 3, &failed), cases[i].status);
        assert_int_equal(failed, 1);
    }
    // 63 outlier rules and the default are 64 classes.
    assert_int_equal(nsp_tune_apply(tune, many, NSP_OUTLIER_RULES_MAX + 1, &failed), NSP_ERR_FULL);
    assert_int_equal(failed, NSP_OUTLIER_RULES_MAX);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_int_equal(outliers_now()->rules, 0);
    assert_true(tuned_recorded("root"));
    nsp_tune_close(tune);
    tuned_end();
}

// ---- what others see of them ----

typedef struct seen_rules {
    bool found;
    size_t rates;
    nsp_session_outlier outliers[4];
    size_t count;
} seen_rules;

static bool look_at_rules(void *argument, const nsp_session *session)
{
    seen_rules *seen = argument;
    if (strcmp(session->directory, tuned_directory) != 0)
        return true;
    assert_null(session->problem);
    *seen = (seen_rules){.found = true, .rates = session->rule_count, .count = session->outlier_count};
    for (size_t i = 0; i < session->outlier_count; i++)
        seen->outliers[i] = session->outliers[i];
    return false;
}

static seen_rules seen_now(void)
{
    seen_rules seen = {.found = false};
    char folder[sizeof tuned_directory];
    snprintf(folder, sizeof folder, "%s", tuned_directory);
    *strstr(folder, "/nanospan-") = 0;
    assert_int_equal(nsp_sessions_each(folder, look_at_rules, &seen), NSP_OK);
    assert_true(seen.found);
    return seen;
}

static void others_see_outlier_rules(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_INVOKER); // no other thread looks while this one writes
    assert_int_equal(seen_now().count, 0);
    assert_int_equal(nsp_outlier_set_rule("code", &measure), NSP_OK);
    nsp_tune *tune = tuned_open();
    const nsp_tune_change change = outlier("order*", &slow);
    assert_int_equal(nsp_tune_apply(tune, &change, 1, NULL), NSP_OK);
    const seen_rules seen = seen_now();
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.outliers[0].size, sizeof seen.outliers[0]);
    assert_string_equal(seen.outliers[0].pattern, "code");
    assert_int_equal(seen.outliers[0].source, NSP_SAMPLER_CODE);
    assert_true(seen.outliers[0].rule.measure && !seen.outliers[0].rule.errors);
    assert_string_equal(seen.outliers[1].pattern, "order*");
    assert_int_equal(seen.outliers[1].source, NSP_SAMPLER_TUNE);
    assert_true(seen.outliers[1].rule.slower_ns == 50000 && seen.outliers[1].rule.errors &&
                seen.outliers[1].rule.limit == 20 && seen.outliers[1].rule.slowest == 0);
    nsp_tune_close(tune);
    tuned_end();
}

#ifdef NSP_TESTPOINTS
// ---- killed in the middle ----

// Between any two stores of a writer: rates and outlier rules are those of before, or those of after, and whoever
// looks finds them whole.
static void a_writer_that_is_killed_leaves_both_kinds_of_rules_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < TUNED_DEATHS; i++) {
        const bool changed = tuned_deaths[i].changed;
        tuned_begin(NSP_COLLECTOR_THREAD);
        assert_true(tuned_recorded("killed.before") && tuned_recorded("other"));
        assert_int_equal(nsp_outlier_set_rule("old*", &measure), NSP_OK);
        const nsp_tune_change changes[] = {tuned_rule("killed.*", 0),
                                           outlier("*.before", &measure),
                                           {.kind = NSP_TUNE_REMOVE_OUTLIER_RULE, .pattern = "old*"}};
        tuned_kill_writer(tuned_deaths[i].point, changes, 3);
        tuned_pass();
        const seen_rules seen = seen_now();
        assert_int_equal(seen.rates, changed);
        assert_int_equal(seen.count, 1);
        assert_string_equal(seen.outliers[0].pattern, changed ? "*.before" : "old*");
        assert_int_equal(tuned_recorded("killed.before"), !changed);
        assert_int_equal(tuned_recorded("killed.after"), !changed);
        assert_true(tuned_recorded("other") && tuned_recorded("old.name") && tuned_recorded("other.before"));
        const nsp__producer *producer = nsp__producer_self();
        const uint32_t its = nsp__sampler_class(producer, nsp_intern("other.before", 12));
        assert_int_equal(producer->thresholds[its] == NSP__THRESHOLD_RULED, changed);
        nsp_tune *tune = tuned_open(); // its lock went with it
        assert_int_equal(nsp_tune_apply(tune, changes, 2, NULL), NSP_OK);
        assert_int_equal(outliers_now()->rules, 1 + !changed);
        assert_false(tuned_recorded("killed.before"));
        nsp_tune_close(tune);
        tuned_end();
    }
}
#endif

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, capture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(rates_and_outlier_rules_are_one_change),
        TEST(an_outlier_rule_that_cannot_be_made_undoes_the_others),
        TEST(others_see_outlier_rules),
#ifdef NSP_TESTPOINTS
        TEST(a_writer_that_is_killed_leaves_both_kinds_of_rules_together),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
