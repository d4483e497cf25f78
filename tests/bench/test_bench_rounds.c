// SPDX-License-Identifier: Apache-2.0
//
// What the bench makes of its rounds: the state of the machine splits figures, and leaves no round out.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits_by_core),
        cmocka_unit_test(test_core_never_alone),
        cmocka_unit_test(test_median_of_enough_rounds_alone),
        cmocka_unit_test(test_unknown_distances),
        cmocka_unit_test(test_notes_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
