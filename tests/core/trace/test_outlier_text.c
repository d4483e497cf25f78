// SPDX-License-Identifier: Apache-2.0
//
// Outlier rules as a text: what is read, what is written, and what is said of a text that cannot be read.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/outlier_text.h"

static char pattern[NSP_SAMPLER_PATTERN_MAX + 1];

// The only rule of a text.
static nsp_outlier_rule rule_of(const char *text)
{
    nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT, none = NSP_OUTLIER_RULE_INIT;
    size_t at = 0;
    nsp_status status = nsp_outlier_rule_read(text, &at, pattern, &rule);
    if (status != NSP_OK)
        fail_msg("\"%s\": %s", text, nsp_error_detail());
    char other[sizeof pattern];
    assert_int_equal(nsp_outlier_rule_read(text, &at, other, &none), NSP_ERR_NOT_FOUND);
    assert_int_equal(rule.size, sizeof rule);
    return rule;
}

static void conditions_are_read(void **state)
{
    (void)state;
    nsp_outlier_rule rule = rule_of("order*: slower=50us, errors");
    assert_string_equal(pattern, "order*");
    assert_true(rule.slower_ns == 50000 && rule.errors);
    assert_true(rule.slowest == 0 && !rule.asked && !rule.measure && rule.limit == 0);
    rule = rule_of("*: slowest=0.1%, limit=20/s");
    assert_string_equal(pattern, "*");
    assert_true(rule.slowest == 0.001 && rule.limit == 20);
    assert_true(rule.slower_ns == 0 && !rule.errors && !rule.asked && !rule.measure);
    assert_true(rule.history_ns == 0 && rule_of("a: errors, history=1.5ms").history_ns == 1500000);
    assert_true(rule_of("a: History=60s, asked").history_ns == NSP_OUTLIER_HISTORY_MAX);
    rule = rule_of("a: asked");
    assert_true(rule.asked && !rule.errors && !rule.measure);
    rule = rule_of("a: measure");
    assert_true(rule.measure && !rule.errors && !rule.asked);
    rule = rule_of("a: Errors,ASKED , measure,SLOWER = 1S,Slowest=100%,limit=0.5");
    assert_true(rule.errors && rule.asked && rule.measure && rule.slower_ns == 1000000000 &&
                rule.slowest == 1 && rule.limit == 0.5);
}

static void times_have_units(void **state)
{
    (void)state;
    assert_int_equal(rule_of("a: slower=1ns").slower_ns, 1);
    assert_int_equal(rule_of("a: slower=1.5us").slower_ns, 1500);
    assert_int_equal(rule_of("a: slower=0.3ms").slower_ns, 300000);
    assert_int_equal(rule_of("a: slower=2e-3s").slower_ns, 2000000);
    assert_int_equal(rule_of("a: slower=86400s").slower_ns, NSP_OUTLIER_SLOWER_MAX);
}

static void shares_are_numbers_or_percentages(void **state)
{
    (void)state;
    assert_true(rule_of("a: slowest=0.25").slowest == 0.25);
    assert_true(rule_of("a: slowest=25%").slowest == 0.25);
    assert_true(rule_of("a: slowest=1e-9").slowest == NSP_OUTLIER_SLOWEST_MIN);
    assert_true(rule_of("a: slowest=1").slowest == 1);
}

static void a_pattern_ends_at_the_first_colon_with_a_blank(void **state)
{
    (void)state;
    rule_of("order:new: errors");
    assert_string_equal(pattern, "order:new");
    rule_of("GET /a,b=c: errors");
    assert_string_equal(pattern, "GET /a,b=c");
    rule_of("  two words  :  errors  ");
    assert_string_equal(pattern, "two words");
    char text[NSP_SAMPLER_PATTERN_MAX + 16], longest[sizeof pattern] = "";
    memset(longest, 'x', NSP_SAMPLER_PATTERN_MAX);
    snprintf(text, sizeof text, "%s: errors", longest);
    rule_of(text);
    assert_string_equal(pattern, longest);
}

static void rules_are_separated_by_semicolons(void **state)
{
    (void)state;
    static const char text[] = ";; a: errors;\n b: asked ;c: measure;  ";
    static const char *const patterns[] = {"a", "b", "c"};
    nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT;
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(nsp_outlier_rule_read(text, &at, pattern, &rule), NSP_OK);
        assert_string_equal(pattern, patterns[i]);
        assert_true(rule.errors == (i == 0) && rule.asked == (i == 1) && rule.measure == (i == 2));
    }
    assert_int_equal(nsp_outlier_rule_read(text, &at, pattern, &rule), NSP_ERR_NOT_FOUND);
    assert_int_equal(nsp_outlier_rule_read(text, &at, pattern, &rule), NSP_ERR_NOT_FOUND);
    at = 0;
    assert_int_equal(nsp_outlier_rule_read("", &at, pattern, &rule), NSP_ERR_NOT_FOUND);
    char problem[320];
    assert_true(nsp__outlier_text_valid(text, problem, sizeof problem));
    assert_true(nsp__outlier_text_valid("", problem, sizeof problem));
    assert_true(nsp__outlier_text_valid(NULL, problem, sizeof problem));
}

// What a caller knows of the structure, and what a later caller may.
static void a_rule_is_written_as_far_as_the_caller_knows_it(void **state)
{
    (void)state;
    struct {
        nsp_outlier_rule rule;
        uint64_t later[4];
    } longer = {.rule = {.size = sizeof longer}, .later = {1, 2, 3, 4}};
    size_t at = 0;
    assert_int_equal(nsp_outlier_rule_read("a: errors", &at, pattern, &longer.rule), NSP_OK);
    assert_true(longer.rule.size == sizeof longer && longer.rule.errors);
    for (int i = 0; i < 4; i++)
        assert_true(longer.later[i] == 0);
    assert_int_equal(nsp_outlier_rule_read(NULL, &at, pattern, &longer.rule), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_rule_read("a: errors", NULL, pattern, &longer.rule), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_rule_read("a: errors", &at, NULL, &longer.rule), NSP_ERR_INVALID);
    assert_int_equal(nsp_outlier_rule_read("a: errors", &at, pattern, NULL), NSP_ERR_INVALID);
}

static const struct bad_text {
    const char *text;
    size_t at;        // the character that is named
    const char *part; // of the message
} bad[] = {
    {"order*", 1, "a pattern, a colon and a blank"},
    {"order*:errors", 1, "a pattern, a colon and a blank"},
    {"order*:", 1, "a pattern, a colon and a blank"},
    {"a: errors; order*", 12, "a pattern, a colon and a blank"},
    {": errors", 1, "1 to 95 bytes; this one has 0"},
    {"a: slowr=50us", 4, "is none of slower=TIME"},
    {"a: errors, slowr=50us", 12, "\"slowr=50us\": is none of"},
    {"a: error", 4, "is none of"},
    {"a: =5", 4, "is none of"},
    {"a: errors,", 11, "a condition is missing"},
    {"a: , errors", 4, "a condition is missing"},
    {"a: ,", 4, "a condition is missing"},
    {"a: errors, errors", 12, "twice"},
    {"a: slower=1us, slower=2us", 16, "twice"},
    {"a: slower", 4, "needs a value"},
    {"a: errors=1", 4, "takes no value"},
    {"a: slower=50", 11, "needs a unit"},
    {"a: slower=50 us", 11, "the unit of a time"},
    {"a: slower=50min", 11, "the unit of a time"},
    {"a: slower=fast", 11, "such as 50us"},
    {"a: slower=", 11, "such as 50us"},
    {"a: slower=-1us", 11, "1ns to a day"},
    {"a: slower=0us", 11, "1ns to a day"},
    {"a: slower=0.4ns", 11, "1ns to a day"},
    {"a: slower=86401s", 11, "1ns to a day"},
    {"a: slower=1e400s", 11, "1ns to a day"},
    {"a: slower=nans", 11, "such as 50us"},
    {"a: slower=0x10us", 11, "the unit of a time"},
    {"a: slowest=0", 12, "a share of"},
    {"a: slowest=0%", 12, "a share of"},
    {"a: slowest=101%", 12, "a share of"},
    {"a: slowest=2", 12, "a share of"},
    {"a: slowest=-0.1%", 12, "a share of"},
    {"a: slowest=1e-10", 12, "a share of"},
    {"a: slowest=0.1 %", 12, "such as 0.1%"},
    {"a: slowest=0,1%", 12, "a share of"}, // a decimal comma ends the condition
    {"a: errors, limit=0", 18, "traces a second"},
    {"a: errors, limit=1e10/s", 18, "traces a second"},
    {"a: errors, limit=20/min", 18, "such as 20/s"},
    {"a: errors, limit=", 18, "such as 20/s"},
    {"a: limit=20/s", 1, "a rule needs slower"},
    {"a: measure, limit=20/s", 1, "slower, slowest, errors or asked"},
    {"a: history=1ms", 1, "a rule needs slower"},
    {"a: measure, history=1ms", 1, "history needs something that is kept"},
    {"a: errors, history", 12, "needs a value"},
    {"a: errors, history=1", 20, "needs a unit"},
    {"a: errors, history=soon", 20, "history needs a time"},
    {"a: errors, history=0s", 20, "1ns to a minute"},
    {"a: errors, history=61s", 20, "1ns to a minute"},
    {"a: errors, history=1s, history=1s", 24, "twice"},
    {"a: errors; b: errors; a: asked", 23, "a rule already, at character 1"},
    {" \n a : errors ;  a: asked", 18, "a rule already, at character 4"},
    {"größe: asked; größe: errors", 15, "a rule already, at character 1"},
    {"€*: slower=50", 12, "a time needs a unit"},
    {"a: slower=2h", 11, "the unit of a time is ns, us, ms or s"},
    {"a: slower=0.5ns", 11, "a time from 1ns to a day"},
    {"a: slower=0.9999ns", 11, "a time from 1ns to a day"},
    {"a: slower=2m", 11, "the unit of a time is ns, us, ms or s"},
    {"a: slower=1ms history=1ms", 4, "a comma is missing before history"},
    {"a: slowest=0.1%\n limit = 20/s", 4, "a comma is missing before limit"},
    {"a: errors ASKED, limit=5/s", 4, "a comma is missing before asked"},
    {"a: asked, limit=5/s  errors", 11, "a comma is missing before errors"},
    {"a: slower=1ms histories=1ms", 11, "and a comma ends a condition"},
};

static void a_bad_text_is_refused_and_the_place_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct bad_text its = bad[i];
        char problem[320] = "", place[40];
        snprintf(place, sizeof place, "character %zu, ", its.at);
        if (nsp__outlier_text_valid(its.text, problem, sizeof problem))
            fail_msg("\"%s\" is accepted", its.text);
        if (strncmp(problem, place, strlen(place)) != 0 || strstr(problem, its.part) == NULL)
            fail_msg("\"%s\": %s", its.text, problem);
    }
}

static void a_long_pattern_is_refused(void **state)
{
    (void)state;
    char text[400] = "", problem[320];
    memset(text, 'x', NSP_SAMPLER_PATTERN_MAX + 1);
    strncat(text, ": errors", 20);
    assert_false(nsp__outlier_text_valid(text, problem, sizeof problem));
    assert_non_null(strstr(problem, "this one has 96"));
    assert_non_null(strstr(problem, "...\"")); // what is shown is short
}

static void control_characters_are_made_visible(void **state)
{
    (void)state;
    char problem[320];
    assert_false(nsp__outlier_text_valid("a: \033[2J", problem, sizeof problem));
    assert_null(strchr(problem, '\033'));
    assert_non_null(strstr(problem, "\\x1b[2J"));
}

static void there_may_be_63_rules(void **state)
{
    (void)state;
    char text[2000] = "", problem[320];
    size_t length = 0;
    for (int i = 1; i <= NSP_OUTLIER_RULES_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "r%d: errors;", i);
    assert_true(nsp__outlier_text_valid(text, problem, sizeof problem));
    snprintf(text + length, sizeof text - length, "more: errors");
    assert_false(nsp__outlier_text_valid(text, problem, sizeof problem));
    assert_non_null(strstr(problem, "more than 63 rules"));
    assert_non_null(strstr(problem, "\"more: errors\""));
}

static void assert_text(nsp_outlier_rule rule, const char *expected)
{
    char text[NSP_OUTLIER_RULE_TEXT_MAX], whole[NSP_OUTLIER_RULE_TEXT_MAX + 4];
    rule.size = sizeof rule;
    assert_int_equal(nsp_outlier_rule_text(&rule, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
    snprintf(whole, sizeof whole, "p: %s", text);
    const nsp_outlier_rule again = rule_of(whole);
    assert_true(again.slower_ns == rule.slower_ns && again.slowest == rule.slowest &&
                again.limit == rule.limit);
    assert_true(again.errors == rule.errors && again.asked == rule.asked && again.measure == rule.measure);
}

static void a_rule_is_written_so_that_it_reads_back(void **state)
{
    (void)state;
    assert_text((nsp_outlier_rule){.slower_ns = 50000, .errors = true}, "slower=50us, errors");
    assert_text((nsp_outlier_rule){.slower_ns = 1500}, "slower=1500ns");
    assert_text((nsp_outlier_rule){.slower_ns = 2000000000}, "slower=2s");
    assert_text((nsp_outlier_rule){.slower_ns = NSP_OUTLIER_SLOWER_MAX}, "slower=86400s");
    assert_text((nsp_outlier_rule){.slowest = 0.001, .limit = 20}, "slowest=0.1%, limit=20/s");
    assert_text((nsp_outlier_rule){.slowest = 1}, "slowest=1");
    assert_text((nsp_outlier_rule){.slowest = 0.0007, .limit = 0.001}, "slowest=0.0007, limit=0.001/s");
    assert_text((nsp_outlier_rule){.asked = true, .measure = true}, "asked, measure");
    // Also numbers that nobody would write.
    nsp_outlier_rule rule = {
        .size = sizeof rule, .slowest = 1.0 / 3, .limit = 1e9 / 7, .slower_ns = 123456789};
    char text[NSP_OUTLIER_RULE_TEXT_MAX], whole[NSP_OUTLIER_RULE_TEXT_MAX + 4];
    nsp_outlier_rule_text(&rule, text, sizeof text);
    snprintf(whole, sizeof whole, "p: %s", text);
    const nsp_outlier_rule again = rule_of(whole);
    assert_true(again.slowest == rule.slowest && again.limit == rule.limit && again.slower_ns == 123456789);
}

static void a_text_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    const nsp_outlier_rule rule = {.errors = true, .asked = true};
    char text[8] = "1234567";
    assert_int_equal(nsp_outlier_rule_text(&rule, text, sizeof text), 13);
    assert_string_equal(text, "errors,");
    assert_int_equal(nsp_outlier_rule_text(&rule, NULL, 0), 13);
    assert_int_equal(nsp_outlier_rule_text(NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_read),
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(shares_are_numbers_or_percentages),
        cmocka_unit_test(a_pattern_ends_at_the_first_colon_with_a_blank),
        cmocka_unit_test(rules_are_separated_by_semicolons),
        cmocka_unit_test(a_rule_is_written_as_far_as_the_caller_knows_it),
        cmocka_unit_test(a_bad_text_is_refused_and_the_place_is_named),
        cmocka_unit_test(a_long_pattern_is_refused),
        cmocka_unit_test(control_characters_are_made_visible),
        cmocka_unit_test(there_may_be_63_rules),
        cmocka_unit_test(a_rule_is_written_so_that_it_reads_back),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
