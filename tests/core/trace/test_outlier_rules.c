// SPDX-License-Identifier: Apache-2.0
//
// Outlier rules beside the sampler's: which classes of names the two make together, and how they are changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "support/capture.h"
#include "trace/outlier_rules.h"
#include "trace/policy_change.h"
#include "trace/sampler.h"
#include "trace/thread_state.h"
#include "trace/trace_state.h"

// ---- classes ----

static nsp__policy_draft draft;

static void begin_draft(void)
{
    nsp__policy_begin(&draft, 1, 0, NSP_PARENT_FOLLOW, NSP_SAMPLER_DEFAULT);
}

static nsp_status add_rate(const char *pattern)
{
    const nsp__policy_change change = {.kind = NSP__CHANGE_RULE, .pattern = pattern, .rate = 0.5};
    return nsp__policy_change_apply(&change, &draft, NSP_SAMPLER_CODE);
}

static nsp_status add_outlier(const char *pattern)
{
    const nsp_outlier_rule rule = {.size = sizeof rule, .errors = true};
    const nsp__policy_change change = {
        .kind = NSP__CHANGE_OUTLIER_RULE, .pattern = pattern, .outlier = &rule};
    return nsp__policy_change_apply(&change, &draft, NSP_SAMPLER_CODE);
}

// The classes as "rate-outlier rate-outlier ...".
static const char *classes(void)
{
    static char text[1024];
    size_t length = 0;
    for (uint32_t i = 0; i < draft.outliers.class_count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%u-%u", i != 0 ? " " : "",
                                   draft.outliers.rate_rules[i], draft.outliers.outlier_rules[i]);
    return text;
}

static uint32_t class_of(const char *name)
{
    return nsp__policy_class(&draft.policy, &draft.outliers, name, strlen(name));
}

static void without_outlier_rules_a_class_is_a_rule(void **state)
{
    (void)state;
    begin_draft();
    assert_string_equal(classes(), "0-0");
    add_rate("order*");
    add_rate("*");
    add_rate("never");
    assert_string_equal(classes(), "0-0 1-0 2-0 3-0");
    assert_int_equal(class_of("order"), 1);
    assert_int_equal(class_of("never"), 2);
    assert_int_equal(nsp__outliers_rate_rule(&draft.outliers, 3), 3);
}

static void pairs_that_can_occur_are_classes(void **state)
{
    (void)state;
    begin_draft();
    add_rate("risk_*");
    add_rate("order_new");
    assert_int_equal(add_outlier("order*"), NSP_OK);
    // No name begins with both "risk_" and "order", and "order_new" has the outlier rule always.
    assert_string_equal(classes(), "0-0 0-1 1-0 2-1");
    assert_int_equal(add_outlier("*"), NSP_OK);
    assert_string_equal(classes(), "0-2 0-1 1-2 2-1");
    assert_int_equal(add_outlier("order_old"), NSP_OK); // "order*" comes first
    assert_string_equal(classes(), "0-2 0-1 1-2 2-1");
    assert_int_equal(class_of("other"), 0);
    assert_int_equal(class_of("order_old"), 1);
    assert_int_equal(class_of("risk_a"), 2);
    assert_int_equal(class_of("order_new"), 3);
    assert_int_equal(nsp__outliers_rate_rule(&draft.outliers, 2), 1);
    assert_int_equal(nsp__outliers_rate_rule(&draft.outliers, 4), 0); // there is no such class
    nsp__outlier_class its;
    nsp__outliers_copy_class(&draft.outliers, 3, &its);
    assert_true(its.rule == 1 && its.conditions == NSP__OUTLIER_ERRORS && its.slower_ns == 0 &&
                its.limit == 0);
    nsp__outliers_copy_class(&draft.outliers, 63, &its);
    assert_int_equal(its.rule, 2);
    // Nothing comes after a "*" of the sampler either.
    begin_draft();
    add_rate("a*");
    add_rate("*");
    add_rate("b*");
    assert_int_equal(add_outlier("b?"), NSP_OK);
    assert_string_equal(classes(), "0-0 1-0 2-0 2-1");
}

static void a_name_has_its_pair(const char *name)
{
    uint32_t rate = 0, outlier = 0;
    const size_t length = strlen(name);
    for (uint32_t i = draft.policy.rules; i > 0; i--)
        rate = nsp__pattern_match(draft.policy.patterns[i], name, length) ? i : rate;
    for (uint32_t i = draft.outliers.rules; i > 0; i--)
        outlier = nsp__pattern_match(draft.outliers.rule[i].pattern, name, length) ? i : outlier;
    const uint32_t its = class_of(name);
    if (its >= draft.outliers.class_count || draft.outliers.rate_rules[its] != rate ||
        draft.outliers.outlier_rules[its] != outlier)
        fail_msg("\"%s\" has the rules %u and %u, and not the class %u of %s", name, rate, outlier, its,
                 classes());
}

// Whatever the patterns are, each name finds the pair that it has.
static void every_name_has_the_class_of_its_two_rules(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "ab", "*", "?", "[ab]", "[!a]", "\\", "[", "a*", "b"};
    enum { ROUNDS = 2000, PIECES = sizeof pieces / sizeof pieces[0] };
    uint64_t random = 7;
    unsigned full = 0;
    for (int round = 0; round < ROUNDS; round++) {
        begin_draft();
        const uint64_t rules = 1 + nsp__random_next(&random) % 12;
        for (uint64_t i = 0; i < rules; i++) {
            char pattern[32] = "";
            const uint64_t count = 1 + nsp__random_next(&random) % 4;
            for (uint64_t k = 0; k < count; k++)
                strncat(pattern, pieces[nsp__random_next(&random) % PIECES], 8);
            const nsp_status status =
                nsp__random_next(&random) % 2 != 0 ? add_rate(pattern) : add_outlier(pattern);
            full += status == NSP_ERR_FULL;
            if (status == NSP_ERR_FULL)
                break;
            assert_int_equal(status, NSP_OK);
        }
        if (draft.outliers.class_count == NSP__CLASSES)
            continue; // it may have been too much
        for (unsigned bits = 1; bits < 128; bits++) {
            char name[8];
            int length = 0;
            for (unsigned left = bits; left > 1; left /= 2)
                name[length++] = (left & 1) != 0 ? 'a' : 'b';
            name[length] = 0;
            a_name_has_its_pair(name);
        }
    }
    assert_true(full < ROUNDS / 10);
}

static void there_are_at_most_64_classes(void **state)
{
    (void)state;
    char pattern[16];
    begin_draft();
    for (int i = 1; i <= NSP_SAMPLER_RULES_MAX; i++) {
        snprintf(pattern, sizeof pattern, "rate.%d.*", i);
        assert_int_equal(add_rate(pattern), NSP_OK);
    }
    nsp__policy_draft before = draft;
    // Each of the 64 has one rule more, and none is new.
    assert_int_equal(add_outlier("*"), NSP_OK);
    assert_int_equal(draft.outliers.class_count, 64);
    draft = before;
    assert_int_equal(add_outlier("rate.7.*"), NSP_OK);
    assert_int_equal(draft.outliers.class_count, 64);
    draft = before;
    assert_int_equal(add_outlier("other*"), NSP_ERR_FULL);
    assert_non_null(
        strstr(nsp_error_detail(), "63 rules of the sampler and the 1 outlier rules make more than 64"));
    draft = before;
    assert_int_equal(add_outlier("rate.7.x*"), NSP_ERR_FULL);
    // The other way round.
    begin_draft();
    for (int i = 1; i <= NSP_OUTLIER_RULES_MAX; i++) {
        snprintf(pattern, sizeof pattern, "rule.%d.*", i);
        assert_int_equal(add_outlier(pattern), NSP_OK);
    }
    assert_int_equal(add_outlier("one more"), NSP_ERR_FULL);
    begin_draft();
    for (int i = 1; i <= NSP_OUTLIER_RULES_MAX; i++) {
        snprintf(pattern, sizeof pattern, "rule.%d.*", i);
        assert_int_equal(add_outlier(pattern), NSP_OK);
    }
    assert_int_equal(add_rate("other"), NSP_ERR_FULL);
}

// ---- what lies in memory ----

static void what_is_written_reads_back_and_damage_is_seen(void **state)
{
    (void)state;
    static uint32_t generation = 1;
    static nsp__policy policies[2];
    static nsp__tuning tunings[2];
    static nsp__outliers outliers[2];
    const nsp__policy_place place = {&generation, policies, tunings, outliers};
    static nsp__policy_draft again;
    begin_draft();
    add_rate("a*");
    add_outlier("ab");
    add_outlier("*");
    nsp__policy_write(&place, 1, &draft);
    assert_true(nsp__policy_copy(&again, &place, 1));
    assert_int_equal(again.outliers.rules, 2);
    assert_string_equal(again.outliers.rule[1].pattern, "ab");
    assert_int_equal(again.outliers.class_count, draft.outliers.class_count);
    assert_memory_equal(again.outliers.rate_rules, draft.outliers.rate_rules,
                        sizeof again.outliers.rate_rules);
    // Every byte that is in use is covered.
    uint8_t *bytes = (uint8_t *)&outliers[1];
    const size_t used = offsetof(nsp__outliers, rule) + 3 * sizeof(nsp__outlier);
    for (size_t i = 0; i < used; i++) {
        // A text ends there whatever was written, so that is no damage.
        const size_t of_rule = (i - offsetof(nsp__outliers, rule)) % sizeof(nsp__outlier);
        if (i >= offsetof(nsp__outliers, rule) && of_rule == sizeof(nsp__outlier) - 1)
            continue;
        bytes[i] ^= 1;
        if (nsp__policy_copy(&again, &place, 1))
            fail_msg("byte %zu is not covered", i);
        bytes[i] ^= 1;
    }
    assert_true(nsp__policy_copy(&again, &place, 1));
    // Impossible, with a checksum that is right.
    static const struct {
        size_t at;
        uint8_t value;
    } impossible[] = {
        {offsetof(nsp__outliers, rules), 64},
        {offsetof(nsp__outliers, class_count), 0},
        {offsetof(nsp__outliers, class_count), 65},
        {offsetof(nsp__outliers, rate_rules), 2},
        {offsetof(nsp__outliers, outlier_rules), 3},
        {offsetof(nsp__outliers, rule) + sizeof(nsp__outlier) + offsetof(nsp__outlier, conditions), 0},
        {offsetof(nsp__outliers, rule) + sizeof(nsp__outlier) + offsetof(nsp__outlier, slower_ns), 1},
        {offsetof(nsp__outliers, rule) + sizeof(nsp__outlier) + offsetof(nsp__outlier, limit) + 7, 0xff},
    };
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        const uint8_t was = bytes[impossible[i].at];
        bytes[impossible[i].at] = impossible[i].value;
        outliers[1].checksum = nsp__outliers_checksum(&outliers[1]);
        if (nsp__policy_copy(&again, &place, 1))
            fail_msg("case %zu is taken", i);
        bytes[impossible[i].at] = was;
        outliers[1].checksum = nsp__outliers_checksum(&outliers[1]);
        assert_true(nsp__policy_copy(&again, &place, 1));
    }
}

// ---- in an engine ----

static const nsp__outliers *in_force(void)
{
    const nsp__control *control = nsp__trace_state.control;
    return nsp__outliers_of(control, control->policy_generation);
}

static bool recorded(const char *text)
{
    nsp_span *span = nsp_span_begin(nsp_intern(text, strlen(text)));
    bool recording = nsp_span_recording(span);
    nsp_span_end(span);
    return recording;
}

// What this thread has copied for roots of this name; all 0 if no outlier rule concerns them.
static nsp__ruled_class copied(const char *text)
{
    recorded(text);
    const nsp__producer *producer = nsp__producer_self();
    const uint32_t its = nsp__sampler_class(producer, nsp_intern(text, strlen(text)));
    const bool ruled = producer->thresholds[its] == NSP__THRESHOLD_RULED;
    return ruled ? producer->ruled_classes[its] : (nsp__ruled_class){.rule = 0};
}

static const nsp_outlier_rule measure = {.size = sizeof measure, .measure = true};

static void rates_hold_beside_outlier_rules(void **state)
{
    (void)state;
    recorded("old name");
    assert_int_equal(nsp_sampler_set_rule("off*", 0), NSP_OK);
    assert_int_equal(nsp_outlier_set_rule("*b", &measure), NSP_OK);
    assert_int_equal(nsp_outlier_set_rule("of*", &measure), NSP_OK);
    assert_true(recorded("old name") && recorded("on") && recorded("on b"));
    assert_false(recorded("off") || recorded("off b"));
    assert_int_equal(copied("on").rule, 0);
    assert_int_equal(copied("on b").rule, 1);
    assert_int_equal(copied("off").rule, 2);
    assert_int_equal(copied("off b").rule, 1);
    assert_int_equal(copied("off").conditions, NSP__OUTLIER_MEASURE);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    assert_false(recorded("on") || recorded("on b") || recorded("a new name b"));
    assert_int_equal(nsp_sampler_set_rule("on*", 1), NSP_OK);
    assert_true(recorded("on") && recorded("on b") && recorded("on, and new"));
    assert_int_equal(nsp_outlier_remove_rule("*b"), NSP_OK);
    assert_int_equal(copied("on b").rule, 0);
    assert_int_equal(copied("off b").rule, 1);
    assert_true(recorded("on b"));
    assert_int_equal(nsp_outlier_set_rules(NULL), NSP_OK);
    assert_int_equal(copied("off b").rule, 0);
    assert_int_equal(in_force()->rules, 0);
    assert_true(recorded("on b"));
    assert_false(recorded("off b"));
}

// Classes that only differ in their outlier rules are drawn each for itself, and no root is lost.
static void roots_are_counted_beside_outlier_rules(void **state)
{
    (void)state;
    enum { ROOTS = 1000 };
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
    assert_int_equal(nsp_outlier_set_rules("a*: measure; b*: measure"), NSP_OK);
    uint64_t kept = 0;
    for (int i = 0; i < ROOTS; i++) {
        kept += (uint64_t)recorded("a") + recorded("b") + recorded("c");
        if (i % 100 == 50)
            assert_int_equal(nsp_outlier_set_rules(i % 200 == 50 ? "a*: measure" : "c: measure; *: measure"),
                             NSP_OK);
    }
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.attempted, kept);
    assert_int_equal(stats.roots_unsampled, 3 * ROOTS - kept);
}

static void a_rule_is_published_with_all_that_it_says(void **state)
{
    (void)state;
    nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT;
    rule.slower_ns = 50000;
    rule.slowest = 0.001;
    rule.errors = rule.asked = true;
    rule.limit = 20;
    rule.history_ns = 10000000;
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    assert_int_equal(nsp_outlier_set_rule("order*", &rule), NSP_OK);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation + 1);
    const nsp__outlier *its = &in_force()->rule[1];
    assert_string_equal(its->pattern, "order*");
    assert_int_equal(its->conditions,
                     NSP__OUTLIER_SLOWER | NSP__OUTLIER_SLOWEST | NSP__OUTLIER_ERRORS | NSP__OUTLIER_ASKED);
    assert_true(its->slower_ns == 50000 && its->slowest == 0.001 && its->limit == 20 &&
                its->history_ns == 10000000);
    assert_int_equal(its->source, NSP_SAMPLER_CODE);
    const nsp__ruled_class of_thread = copied("order");
    assert_true(of_thread.rule == 1 && of_thread.conditions == its->conditions &&
                of_thread.slower_ns == 50000 && of_thread.speculates);
    assert_int_equal(of_thread.interval, of_thread.second / 20);
    // Set again, it keeps its place; the size may be left out.
    assert_int_equal(nsp_outlier_set_rule("*", &measure), NSP_OK);
    assert_int_equal(nsp_outlier_set_rule("order*", &(nsp_outlier_rule){.errors = true}), NSP_OK);
    assert_int_equal(in_force()->rules, 2);
    assert_int_equal(in_force()->rule[1].conditions, NSP__OUTLIER_ERRORS);
    assert_true(in_force()->rule[1].slower_ns == 0 && in_force()->rule[1].limit == 0);
    assert_string_equal(in_force()->rule[2].pattern, "*");
}

static void a_bad_rule_is_refused_and_the_old_ones_stay(void **state)
{
    (void)state;
    assert_int_equal(nsp_outlier_set_rules("order*: slower=50us; *: errors"), NSP_OK);
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    const nsp_outlier_rule bad[] = {
        {.size = sizeof measure},
        {.size = sizeof measure, .limit = 5},
        {.size = sizeof measure, .measure = true, .limit = 5},
        {.size = sizeof measure, .slower_ns = NSP_OUTLIER_SLOWER_MAX + 1},
        {.size = sizeof measure, .slowest = 1.1},
        {.size = sizeof measure, .slowest = -0.1},
        {.size = sizeof measure, .slowest = 1e-10},
        {.size = sizeof measure, .slowest = __builtin_nan("")},
        {.size = sizeof measure, .errors = true, .limit = -1},
        {.size = sizeof measure, .errors = true, .limit = __builtin_nan("")},
        {.size = sizeof measure, .errors = true, .limit = 1e10},
        {.size = sizeof measure, .history_ns = 5},
        {.size = sizeof measure, .measure = true, .history_ns = 5},
        {.size = sizeof measure, .errors = true, .history_ns = NSP_OUTLIER_HISTORY_MAX + 1},
        {.size = 8, .errors = true},
        {.size = 100000, .errors = true},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (nsp_outlier_set_rule("new", &bad[i]) != NSP_ERR_INVALID)
            fail_msg("rule %zu is accepted", i);
        assert_true(strlen(nsp_error_detail()) > 10);
    }
    struct {
        nsp_outlier_rule rule;
        uint64_t later;
    } longer = {.rule = {.size = sizeof longer, .errors = true}, .later = 1};
    assert_int_equal(nsp_outlier_set_rule("new", &longer.rule),
                     NSP_ERR_INVALID); // asks for something unknown
    char too_long[NSP_SAMPLER_PATTERN_MAX + 2] = "";
    memset(too_long, 'x', sizeof too_long - 1);
    assert_int_equal(nsp_outlier_set_rule(too_long, &measure), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_set_rule("", &measure), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_set_rule(NULL, &measure), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_set_rule("new", NULL), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_remove_rule("new"), NSP_ERR_NOT_FOUND);
    assert_non_null(strstr(nsp_error_detail(), "no outlier rule has the pattern \"new\""));
    assert_int_equal(nsp_outlier_remove_rule(NULL), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_set_rules("a: errors; b: slower=50"), NSP_ERR_INVALID);
    assert_non_null(strstr(nsp_error_detail(), "character 22"));
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_int_equal(in_force()->rules, 2);
    longer.later = 0;
    assert_int_equal(nsp_outlier_set_rule("new", &longer.rule), NSP_OK);
}

static void too_many_classes_change_nothing(void **state)
{
    (void)state;
    char pattern[16];
    for (int i = 1; i < NSP_SAMPLER_RULES_MAX; i++) {
        snprintf(pattern, sizeof pattern, "rate.%d", i);
        assert_int_equal(nsp_sampler_set_rule(pattern, 0), NSP_OK);
    }
    assert_int_equal(nsp_outlier_set_rule("a", &measure), NSP_OK);
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    assert_int_equal(nsp_outlier_set_rule("b", &measure), NSP_ERR_FULL);
    assert_int_equal(nsp_sampler_set_rule("b", 0), NSP_ERR_FULL);
    assert_int_equal(nsp_outlier_set_rules("a: measure; b: measure"), NSP_ERR_FULL);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_true(recorded("a") && recorded("b"));
    assert_false(recorded("rate.1") || recorded("rate.62"));
    assert_int_equal(nsp_sampler_remove_rule("rate.1"), NSP_OK);
    assert_int_equal(nsp_outlier_set_rule("b", &measure), NSP_OK);
    assert_false(recorded("rate.62"));
    assert_int_equal(copied("b").rule, 2);
}

static void calls_need_a_session(void **state)
{
    (void)state;
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    assert_int_equal(nsp_outlier_set_rule("a", &measure), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_outlier_remove_rule("a"), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_outlier_set_rules("a: errors"), NSP_ERR_NOT_INITIALISED);
    capture_begin(1.0);
    assert_int_equal(in_force()->rules, 0); // nothing of another session
}

static void assert_start(const char *variable, const char *in_code, uint32_t rules, nsp_sampler_source source)
{
    nsp_config config;
    if (variable != NULL)
        setenv("NSP_OUTLIERS", variable, 1);
    capture_config(&config);
    if (in_code != NULL)
        config.outliers = in_code;
    nsp_thread_reset();
    capture_start(&config);
    assert_int_equal(in_force()->rules, rules);
    if (rules != 0)
        assert_int_equal(in_force()->rule[1].source, source);
    unsetenv("NSP_OUTLIERS");
    nsp_thread_reset();
    capture_end();
}

static void a_session_begins_with_configured_rules(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    assert_start(NULL, NULL, 0, NSP_SAMPLER_UNKNOWN);
    assert_start("order*: slower=50us, errors; *: slowest=0.1%, limit=20/s", NULL, 2,
                 NSP_SAMPLER_ENVIRONMENT);
    assert_start(NULL, "a: errors", 1, NSP_SAMPLER_CODE);
    assert_start("a: errors", "b: errors; c: errors", 2, NSP_SAMPLER_CODE);
    assert_start("a: slower=50", NULL, 0, NSP_SAMPLER_UNKNOWN); // is ignored
    nsp_config config;
    capture_config(&config);
    config.outliers = "a: slower=50";
    assert_int_equal(nsp_init(&config), NSP_ERR_CONFIG);
    assert_non_null(strstr(nsp_error_detail(), "outliers"));
    assert_non_null(strstr(nsp_error_detail(), "character 11, \"50\": a time needs a unit"));
    capture_begin(1.0);
}

int main(void)
{
#define IN_ENGINE(test) cmocka_unit_test_setup_teardown(test, capture_sampled, capture_reset)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_outlier_rules_a_class_is_a_rule),
        cmocka_unit_test(pairs_that_can_occur_are_classes),
        cmocka_unit_test(every_name_has_the_class_of_its_two_rules),
        cmocka_unit_test(there_are_at_most_64_classes),
        cmocka_unit_test(what_is_written_reads_back_and_damage_is_seen),
        IN_ENGINE(rates_hold_beside_outlier_rules),
        IN_ENGINE(roots_are_counted_beside_outlier_rules),
        IN_ENGINE(a_rule_is_published_with_all_that_it_says),
        IN_ENGINE(a_bad_rule_is_refused_and_the_old_ones_stay),
        IN_ENGINE(too_many_classes_change_nothing),
        IN_ENGINE(calls_need_a_session),
        IN_ENGINE(a_session_begins_with_configured_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
