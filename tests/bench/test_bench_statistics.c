// SPDX-License-Identifier: Apache-2.0
//
// The confidence interval of a median must contain the true median in at least 95 of 100 cases, and must be
// no wider than that requires.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness/statistics.h"

enum { MOST = 1000 };

// 1 to count, not in order: each value is its own rank.
static estimate of_ranks(size_t count)
{
    static double values[MOST];
    for (size_t i = 0; i < count; i++)
        values[i] = (double)(i % 2 == 0 ? count - i / 2 : i / 2 + 1);
    return estimate_median(values, count);
}

// The chance that fewer than `rank` of so many values lie below the true median.
static double chance_below(size_t count, size_t rank)
{
    double sum = 0, one = pow(0.5, (double)count);
    for (size_t k = 0; k < rank; k++) {
        sum += one;
        one *= (double)(count - k) / (double)(k + 1);
    }
    return sum;
}

static void test_median(void **state)
{
    (void)state;
    assert_true(of_ranks(1).value == 1);
    assert_true(of_ranks(2).value == 1.5);
    assert_true(of_ranks(15).value == 8);
    assert_true(of_ranks(100).value == 50.5);
    assert_true(isnan(of_ranks(0).value));
}

static void test_interval(void **state)
{
    (void)state;
    for (size_t count = 6; count <= MOST; count++) {
        estimate is = of_ranks(count);
        size_t low = (size_t)is.low, high = (size_t)is.high;
        assert_int_equal(low + high, count + 1); // as many values below it as above
        assert_true(chance_below(count, low) <= 0.025);
        assert_true(chance_below(count, low + 1) > 0.025);
    }
}

static void test_too_few_for_an_interval(void **state)
{
    (void)state;
    for (size_t count = 0; count < 6; count++)
        assert_true(isnan(of_ranks(count).low) && isnan(of_ranks(count).high));
}

static void test_percentile(void **state)
{
    (void)state;
    uint32_t values[] = {9, 1, 5, 3, 7, 2, 10, 8, 4, 6};
    sort_u32(values, 10);
    assert_int_equal(percentile(values, 10, 0), 1);
    assert_int_equal(percentile(values, 10, 0.5), 5);
    assert_int_equal(percentile(values, 10, 0.51), 6);
    assert_int_equal(percentile(values, 10, 0.9), 9);
    assert_int_equal(percentile(values, 10, 0.999), 10);
    assert_int_equal(percentile(values, 10, 1), 10);
}

static void test_quantile(void **state)
{
    (void)state;
    const double values[] = {9, 1, 5, 3, 7, 2, 10, 8, 4, 6};
    assert_true(quantile(values, 10, 0) == 1);
    assert_true(quantile(values, 10, 0.5) == 5);
    assert_true(quantile(values, 10, 0.51) == 6);
    assert_true(quantile(values, 10, 1) == 10);
    assert_true(isnan(quantile(values, 0, 0.5)));
    assert_true(values[0] == 9); // in their order still
}

static void test_smallest(void **state)
{
    (void)state;
    const double values[] = {3, 1, 2};
    assert_true(smallest(values, 3) == 1);
    assert_true(isnan(smallest(values, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),     cmocka_unit_test(test_interval),
        cmocka_unit_test(test_percentile), cmocka_unit_test(test_too_few_for_an_interval),
        cmocka_unit_test(test_quantile),   cmocka_unit_test(test_smallest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
