// SPDX-License-Identifier: Apache-2.0
//
// What the bench makes of its rounds: the state of the machine splits figures, and leaves no round out.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness/distance.h"
#include "harness/noise.h"
#include "harness/rounds.h"

static double figure(const bench_result *in, const char *name)
{
    const bench_figure *found = result_find(in, name);
    assert_non_null(found);
    return found->is.value;
}

static void test_splits_by_core(void **state)
{
    (void)state;
    bench_result out = {0};
    const double values[] = {5, 1, 7, 3, 9}, additions[] = {0.7, 0.5, 0.9, 0.54, 0.56};
    noise_remember((bench_noise){.two_reads = 20, .additions = 0.5});
    rounds_by_core(&out, rounds_core, values, additions, 5);
    assert_true(figure(&out, "core_alone") == 2);
    assert_true(figure(&out, "core_alone_percent") == 40);
    assert_true(figure(&out, "core_shared") == 7);
    assert_true(values[0] == 5); // in their order still
}

static void test_core_never_alone(void **state)
{
    (void)state;
    bench_result out = {0};
    const double values[] = {5, 1}, additions[] = {0.7, 0.8};
    rounds_by_core(&out, rounds_core, values, additions, 2);
    assert_true(isnan(figure(&out, "core_alone")));
    assert_true(figure(&out, "core_alone_percent") == 0);
    assert_true(figure(&out, "core_shared") == 3);
}

static void test_median_of_enough_rounds_alone(void **state)
{
    (void)state;
    double values[ROUNDS_LEAST + 1], additions[ROUNDS_LEAST + 1];
    for (size_t i = 0; i <= ROUNDS_LEAST; i++) {
        values[i] = i == 0 ? 100 : (double)i;
        additions[i] = i == 0 ? 0.9 : 0.5;
    }
    noise_remember((bench_noise){.two_reads = 20, .additions = 0.5});
    assert_true(rounds_alone(values, additions, ROUNDS_LEAST + 1).value == 8); // without the 100
    assert_true(isnan(rounds_alone(values, additions, ROUNDS_LEAST).value));
    assert_true(isnan(rounds_alone(values, additions, 0).value));
}

static void test_unknown_distances(void **state)
{
    (void)state;
    bench_result out = {0};
    const double values[] = {5, 1, 4}, unknown[] = {NAN, NAN, NAN}, some[] = {NAN, 300, 200};
    rounds_by_distance(&out, rounds_distance, values, unknown, 3);
    assert_int_equal(out.count, 0);
    rounds_by_distance(&out, rounds_distance, values, some, 3);
    assert_true(figure(&out, "distance_ns") == 250);
    // This process has never measured a distance, so anything known is near.
    assert_true(figure(&out, "near") == 2.5);
    assert_true(figure(&out, "far") == 5);
}

static void test_notes_rounds(void **state)
{
    (void)state;
    bench_result out = {0};
    rounds_note(&out, ROUNDS_LEAST, ROUNDS_LEAST + 2);
    rounds_note(&out, 20, 20);
    assert_int_equal(out.rounds, ROUNDS_LEAST + 20);
    assert_int_equal(out.invalid, 2);
    assert_string_equal(out.problem, "");
    rounds_note(&out, ROUNDS_LEAST - 1, 100);
    assert_string_equal(out.problem, "spans were lost in all but 14 of 100 rounds, 15 are needed");
}

static void test_judges_again(void **state)
{
    (void)state;
    bench_result out = {0};
    const double values[] = {5, 1}, additions[] = {0.5, 0.5};
    result_add(&out, "ratio", 3);
    assert_false(rounds_judge_again(&out)); // no rounds were judged
    noise_remember((bench_noise){.two_reads = 20, .additions = 0.5});
    rounds_by_core(&out, rounds_core, values, additions, 2);
    noise_remember((bench_noise){.two_reads = 20, .additions = 0.46});
    assert_false(rounds_judge_again(&out));
    assert_true(figure(&out, "core_alone") == 3);
    noise_remember((bench_noise){.two_reads = 20, .additions = 0.4});
    assert_true(rounds_judge_again(&out));
    assert_true(isnan(figure(&out, "core_alone")));
    assert_true(isnan(figure(&out, "core_alone_percent")));
    assert_true(isnan(figure(&out, "core_shared")));
    assert_true(figure(&out, "ratio") == 3);
    assert_string_equal(out.withdrawn,
                        "core_alone and core_shared are not known: only after these rounds did "
                        "the machine show how fast it is");
}

static void test_judges_distances_again(void **state)
{
    (void)state;
    bench_result out = {0};
    const double values[] = {5, 1}, distances[] = {300, 200};
    rounds_by_distance(&out, rounds_distance, values, distances, 2);
    out.least_distance = 110; // this process has measured no distance, which is the same as a large one
    assert_false(rounds_judge_again(&out));
    assert_true(figure(&out, "near") == 3);
    for (int i = 0; i < 100 && isinf(distance_least()) && distance_start(i % 2); i++) {
        distance_look();
        distance_stop();
    }
    if (isinf(distance_least()))
        skip(); // one CPU
    out.least_distance = 1.2 * distance_least();
    assert_true(rounds_judge_again(&out));
    assert_true(isnan(figure(&out, "near")));
    assert_true(isnan(figure(&out, "near_percent")));
    assert_true(isnan(figure(&out, "far")));
    assert_true(figure(&out, "distance_ns") == 250);
    assert_non_null(strstr(out.withdrawn, "near and far are not known"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits_by_core),
        cmocka_unit_test(test_core_never_alone),
        cmocka_unit_test(test_median_of_enough_rounds_alone),
        cmocka_unit_test(test_unknown_distances),
        cmocka_unit_test(test_notes_rounds),
        cmocka_unit_test(test_judges_again),
        cmocka_unit_test(test_judges_distances_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
