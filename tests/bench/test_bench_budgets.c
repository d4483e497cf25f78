// SPDX-License-Identifier: Apache-2.0
//
// The bench's judgements on made-up results: budgets, and the comparison with an earlier run.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "budgets.h"

static bench_result items[4];
static const bench_results results = {items, 4};
static bench_budgets budgets;
static char path[64], complaint[512];

static int setup(void **state)
{
    (void)state;
    memset(items, 0, sizeof items);
    const char *names[] = {"span0", "zero_span", "broken", "absent"};
    for (size_t i = 0; i < 4; i++) {
        items[i].group = "a group";
        items[i].name = names[i];
        items[i].what = "";
    }
    result_add_estimate(&items[0], "ratio", (estimate){1.02, 1.01, 1.03});
    result_add_estimate(&items[0], "over_2T_ns", (estimate){0.4, 0.2, 0.6});
    result_add_estimate(&items[0], "spans_per_s_millions", (estimate){50, 49, 51});
    result_add(&items[1], "allocations_count", 0);
    result_add(&items[2], "ratio", 0.5);
    result_fail(&items[2], "too noisy");
    result_skip(&items[3], "no such %s", "toolchain");
    snprintf(path, sizeof path, "/tmp/nsp-bench-test-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const char *pattern)
{
    return strcmp(pattern, "not_run") == 0;
}

// Judges the text. Its messages on standard error are in `complaint`.
static bool check(const char *text)
{
    write_file(text);
    FILE *said = tmpfile();
    assert_non_null(said);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(fileno(said), STDERR_FILENO);
    bool fine = budgets_check(&budgets, path, &results, exists);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(said);
    complaint[fread(complaint, 1, sizeof complaint - 1, said)] = '\0';
    fclose(said);
    return fine;
}

static void assert_verdicts(unsigned pass, unsigned fail, unsigned skip)
{
    assert_int_equal(budgets.verdicts[BUDGET_PASS], pass);
    assert_int_equal(budgets.verdicts[BUDGET_FAIL], fail);
    assert_int_equal(budgets.verdicts[BUDGET_SKIP], skip);
    assert_int_equal(budgets.count, pass + fail + skip);
}

static void test_limits(void **state)
{
    (void)state;
    assert_true(check("# a comment\n\nspan0 ratio <= 1.02 # exactly\nspan0 ratio <= 1.019\n"
                      "span0 spans_per_s_millions >= 50\nspan0 spans_per_s_millions >= 50.1\n"));
    assert_verdicts(2, 2, 0);
    assert_int_equal(budgets.items[1].verdict, BUDGET_FAIL);
    assert_int_equal(budgets.items[1].line, 4);
    assert_true(fabs(budgets.items[1].conditions[0].measured - 1.02) < 1e-9);
    assert_string_equal(complaint, "");
}

static void test_one_condition_is_enough(void **state)
{
    (void)state;
    assert_true(check("span0 ratio <= 1 or over_2T_ns <= 2\nspan0 ratio <= 2 or over_2T_ns <= 0.1\n"
                      "span0 ratio <= 1 or over_2T_ns <= 0.1\n"));
    assert_verdicts(2, 1, 0);
}

static void test_patterns(void **state)
{
    (void)state;
    assert_true(check("zero_* allocations_count <= 0\n"));
    assert_verdicts(1, 0, 0);
    assert_string_equal(budgets.items[0].benchmark, "zero_span");
    // A pattern skips benchmarks that lack the figure, but it is an error if all that match lack it.
    assert_true(check("* ratio <= 1.05\n"));
    assert_verdicts(1, 1, 1);
    assert_false(check("zero_* ratio <= 1\n"));
    assert_non_null(strstr(complaint, ":1: no benchmark that matches this pattern has such a figure: ratio"));
}

static void test_no_figure_no_pass(void **state)
{
    (void)state;
    assert_true(check("broken ratio <= 1\nspan0 ratio <= 2\n"));
    assert_verdicts(1, 1, 0);
    assert_string_equal(budgets.items[0].why, "not valid: too noisy");
}

static void test_skips(void **state)
{
    (void)state;
    assert_true(check("absent span_ns <= 1\nnot_run ratio <= 1\nspan0 ratio <= 2\n"));
    assert_verdicts(1, 0, 2);
    assert_string_equal(budgets.items[0].why, "no such toolchain");
    assert_string_equal(budgets.items[1].why, "the benchmark was not run");
    // A gate that judges nothing must not look like one that passed.
    assert_false(check("absent span_ns <= 1\n"));
    assert_non_null(strstr(complaint, "none of the budgets in"));
}

// The rounds in which nothing else used the core may be too few to say anything.
static void core_was_alone(double ratio, double percent, unsigned rounds)
{
    items[0].rounds = rounds;
    result_add(&items[0], "core_alone", ratio);
    result_add(&items[0], "core_alone_percent", percent);
}

static void test_core_too_rarely_alone(void **state)
{
    (void)state;
    core_was_alone(9, 100.0 * 14 / 101, 101);
    assert_true(
        check("span0 core_alone <= 1.05\nspan0 core_alone <= 10\nspan0 ratio <= 2\n"
              "span0 core_alone <= 10 or over_2T_ns <= 2\nspan0 core_alone <= 10 or over_2T_ns <= 0.1\n"));
    assert_verdicts(2, 0, 3);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(budgets.items[i].why, budgets.items[i].verdict == BUDGET_SKIP
                                                      ? "the core was alone in too few rounds"
                                                      : "");
    // If that leaves none, the gate has judged nothing.
    assert_false(check("span0 core_alone <= 10\n"));
    assert_non_null(strstr(complaint, "none of the budgets in"));
}

static void test_core_never_alone(void **state)
{
    (void)state;
    core_was_alone(NAN, 0, 101);
    assert_true(check("span0 core_alone <= 1.05\nspan0 ratio <= 2\n"));
    assert_verdicts(1, 0, 1);
    assert_string_equal(budgets.items[0].why, "the core was alone in too few rounds");
}

static void test_core_alone_often_enough(void **state)
{
    (void)state;
    core_was_alone(1.04, 100.0 * 15 / 101, 101);
    assert_true(check("span0 core_alone <= 1.05\nspan0 core_alone <= 1.03\n"));
    assert_verdicts(1, 1, 0);
}

static void test_withdrawn_figure(void **state)
{
    (void)state;
    core_was_alone(NAN, NAN, 101);
    snprintf(items[0].withdrawn, sizeof items[0].withdrawn, "not known");
    assert_true(check("span0 core_alone <= 1.05\nspan0 ratio <= 1\n"));
    assert_verdicts(0, 1, 1);
    assert_string_equal(budgets.items[0].why, "not known");
    assert_string_equal(budgets.items[1].why, "");
}

static void test_other_figure_unknown(void **state)
{
    (void)state;
    result_add(&items[0], "p99_ns", NAN);
    assert_true(check("span0 p99_ns <= 1\n"));
    assert_verdicts(0, 1, 0);
    assert_string_equal(budgets.items[0].why, "the figure was not measured");
}

static void test_errors_name_the_line(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"span0 ratio < 1\n", "expected <= or >=: <"},
        {"span0 ratio <= one\n", "this is not a number: one"},
        {"span0 ratio <= inf\n", "this is not a number: inf"},
        {"span0 ratio <=\n", "expected: BENCHMARK FIGURE"},
        {"span0 ratio <= 1 and over_2T_ns <= 1\n", "expected \"or\": and"},
        {"span0 ratio <= 1 or\n", "expected: BENCHMARK FIGURE"},
        {"span0 speed <= 1\n", "the benchmark has no such figure: speed"},
        {"spam0 ratio <= 1\n", "there is no such benchmark: spam0"},
        {"span0 ratio <= 1 or ratio <= 1 or ratio <= 1 or ratio <= 1 or ratio <= 1\n", "too many conditions"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[256], place[96];
        snprintf(text, sizeof text, "span0 ratio <= 9\n\n%s", wrong[i][0]);
        snprintf(place, sizeof place, "%s:3: ", path);
        assert_false(check(text));
        assert_non_null(strstr(complaint, place));
        assert_non_null(strstr(complaint, wrong[i][1]));
    }
    char text[700];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(check(text));
    assert_non_null(strstr(complaint, ":1: the line is too long"));
}

static void test_printed(void **state)
{
    (void)state;
    assert_true(
        check("span0 ratio <= 1.05 or over_2T_ns <= 2\nspan0 over_2T_ns <= 0.25\nabsent span_ns <= 9\n"));
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    budgets_print(out, &budgets);
    fclose(out);
    assert_non_null(strstr(text, "pass  span0   ratio 1.020 (<= 1.05) or over_2T_ns 0.400 (<= 2)\n"));
    assert_non_null(strstr(text, "FAIL  span0   over_2T_ns 0.400 (<= 0.25)\n"));
    assert_non_null(strstr(text, "skip  absent  span_ns (<= 9); no such toolchain\n"));
    assert_non_null(strstr(text, "budgets: 1 pass, 1 fail, 1 skipped\n"));
    free(text);
}

// ---- the comparison ----

static bool compare(bench_changes *changes, char **text)
{
    static bench_machine machine = {.facts = {{.key = "cpu", .text = "new"}}, .count = 1};
    size_t size = 0;
    FILE *out = open_memstream(text, &size);
    bool fine = report_compare(out, changes, path, &machine, &results);
    fclose(out);
    return fine;
}

static void test_change_needs_intervals_apart(void **state)
{
    (void)state;
    write_file(
        "{\"machine\": {\"cpu\": \"old\"}, \"results\": ["
        "{\"name\": \"span0\", \"valid\": true, \"figures\": {"
        "\"ratio\": {\"value\": 1.1, \"low\": 1.05, \"high\": 1.2},"
        "\"over_2T_ns\": {\"value\": 0.7, \"low\": 0.5, \"high\": 0.9},"
        "\"spans_per_s_millions\": {\"value\": 60, \"low\": 59, \"high\": 61}}},"
        "{\"name\": \"zero_span\", \"valid\": true, \"figures\": {\"allocations_count\": {\"value\": 3}}},"
        "{\"name\": \"broken\", \"valid\": true, \"figures\": {\"ratio\": {\"value\": 9}}}]}");
    bench_changes changes = {0};
    char *text = NULL;
    assert_true(compare(&changes, &text));
    assert_int_equal(changes.count, 4);
    assert_int_equal(changes.items[0].verdict, CHANGE_BETTER);  // less, and the intervals are apart
    assert_int_equal(changes.items[1].verdict, CHANGE_NONE);    // less, but the intervals overlap
    assert_int_equal(changes.items[2].verdict, CHANGE_WORSE);   // for a rate, less is worse
    assert_int_equal(changes.items[3].verdict, CHANGE_UNKNOWN); // no interval
    assert_non_null(strstr(text, "cpu was old, is new"));
    assert_non_null(strstr(text, "better: span0 ratio -7.3%\n"));
    assert_non_null(strstr(text, "worse: span0 spans_per_s_millions -16.7%\n"));
    assert_non_null(
        strstr(text, "1 better, 1 worse, 1 with overlapping intervals, 1 without intervals; 2 benchmarks are "
                     "not valid or not in both runs\n"));
    free(text);
    free(changes.items);
}

static void test_no_earlier_run(void **state)
{
    (void)state;
    bench_changes changes = {0};
    char *text = NULL;
    write_file("{\"results\": 1}");
    assert_false(compare(&changes, &text));
    free(text);
    write_file("[1, 2");
    assert_false(compare(&changes, &text));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_condition_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_figure_no_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_skips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_core_too_rarely_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_core_never_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_core_alone_often_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_withdrawn_figure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_figure_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_name_the_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_printed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_needs_intervals_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_earlier_run, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
