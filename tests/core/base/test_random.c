// SPDX-License-Identifier: Apache-2.0
// Sanitizers: address, because it has one thread
//
// Seeds are fixed, so these tests give the same result each time. The bounds are those that a correct
// distribution passes with probability 1 - 1e-9, and each test also shows that it rejects a distribution that
// is 1 % off.
#include "base/random.h"

#include "context/threshold.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { CELLS = 64, DRAWS = 4000000 };

// The 1 - 1e-9 quantile of chi-square, by Wilson and Hilferty's cube (5.998 is the normal quantile).
static double chi_square_bound(unsigned freedom)
{
    double spread = 2.0 / (9.0 * freedom);
    double cube = 1 - spread + 5.998 * sqrt(spread);
    return freedom * cube * cube * cube;
}

static double chi_square(const uint64_t seen[CELLS], const double expected[CELLS])
{
    double sum = 0;
    for (int i = 0; i < CELLS; i++)
        sum += ((double)seen[i] - expected[i]) * ((double)seen[i] - expected[i]) / expected[i];
    return sum;
}

// The numbers are from a computation of the same formula in unlimited integers.
static void the_sequence_is_that_of_the_formula(void **state)
{
    (void)state;
    uint64_t random = 1234567;
    const uint64_t expected[] = {UINT64_C(1039220411907061708), UINT64_C(7824934774743837796),
                                 UINT64_C(15045726798686391609), UINT64_C(11897712078968232033),
                                 UINT64_C(16181740736517372213)};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(nsp__random_next(&random) == expected[i]);
}

// Chi-square of draws from [low, low + drawn_width) against the uniform law on [low, low + width).
static double range_statistic(uint64_t seed, uint64_t low, uint64_t width, uint64_t drawn_width)
{
    uint64_t random = seed, seen[CELLS] = {0};
    double expected[CELLS];
    __extension__ typedef unsigned __int128 wide;
    for (int i = 0; i < CELLS; i++) {
        // A value v lies in cell floor(v * CELLS / width), which holds so many of them.
        uint64_t from = (uint64_t)(((wide)width * (unsigned)i + CELLS - 1) / CELLS);
        uint64_t to = (uint64_t)(((wide)width * (unsigned)(i + 1) + CELLS - 1) / CELLS);
        expected[i] = DRAWS * ((double)(to - from) / (double)width);
    }
    for (int i = 0; i < DRAWS; i++) {
        uint64_t value = nsp__random_below_range(&random, low, drawn_width) - low;
        assert_true(value < drawn_width);
        seen[(wide)value * CELLS / width]++;
    }
    return chi_square(seen, expected);
}

static void a_range_is_uniform(void **state)
{
    (void)state;
    const uint64_t widths[] = {CELLS,          100, 1000003, UINT64_C(1) << 55, NSP__RANDOM_ONE - 12345,
                               NSP__RANDOM_ONE};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        assert_true(range_statistic(100 + i, 77, widths[i], widths[i]) < chi_square_bound(CELLS - 1));
    uint64_t width = NSP__RANDOM_ONE / 2;
    assert_true(range_statistic(200, 0, width, width - width / 100) > chi_square_bound(CELLS - 1));
}

static void a_range_of_one_and_of_all(void **state)
{
    (void)state;
    uint64_t random = 5, low = UINT64_MAX, high = 0;
    for (int i = 0; i < 1000; i++)
        assert_true(nsp__random_below_range(&random, 42, 1) == 42);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = nsp__random_below_range(&random, 0, NSP__RANDOM_ONE);
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    assert_true(low < NSP__RANDOM_ONE / 1000 && high < NSP__RANDOM_ONE &&
                high > NSP__RANDOM_ONE / 1000 * 999);
}

// Without the rejection, a third of the values of this width would come up 342 times and the others 341
// times. There are too many values for chi-square to show that. What the test can show is that exactly the
// products that make the difference are drawn again.
static void a_biased_draw_is_repeated(void **state)
{
    (void)state;
    uint64_t width = 3 * (UINT64_C(1) << 54), biased = (0 - width) % width, repeated = 0, random = 6;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t before = random;
        __extension__ unsigned __int128 product = (unsigned __int128)nsp__random_next(&before) * width;
        uint64_t after = random;
        uint64_t value = nsp__random_below_range(&after, 0, width);
        if ((uint64_t)product < biased) {
            repeated++;
            assert_true(after != before);
        } else {
            assert_true(after == before && value == (uint64_t)(product >> 64));
        }
        random = after;
    }
    // This happens with probability biased / 2^64 = 1 / 1024.
    assert_true(repeated > DRAWS / 1024 / 2 && repeated < DRAWS / 1024 * 2);
}

// Chi-square of skips drawn for `drawn` against the geometric law of `threshold`, in cells of equal
// expectation.
static double skip_statistic(uint64_t seed, uint64_t threshold, uint64_t drawn)
{
    double keep = (double)threshold * 0x1p-56; // (1 - p)
    uint64_t random = seed, seen[CELLS] = {0}, ends[CELLS];
    double expected[CELLS], above = 1;
    for (int i = 0; i < CELLS - 1; i++) {
        // The cell ends before `ends`: P(skip >= n) = keep^n.
        ends[i] = (uint64_t)ceil(log(1 - (i + 1.0) / CELLS) / log(keep));
        if (i > 0 && ends[i] <= ends[i - 1])
            ends[i] = ends[i - 1] + 1;
        double rest = pow(keep, (double)ends[i]);
        expected[i] = DRAWS * (above - rest);
        above = rest;
    }
    ends[CELLS - 1] = UINT64_MAX;
    expected[CELLS - 1] = DRAWS * above;
    double inverse_log = nsp__random_inverse_log(drawn);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t skip = nsp__random_skip(&random, inverse_log);
        int low = 0, high = CELLS - 1;
        while (low < high) {
            int middle = (low + high) / 2;
            if (skip < ends[middle])
                high = middle;
            else
                low = middle + 1;
        }
        seen[low]++;
    }
    return chi_square(seen, expected);
}

static void skips_are_geometric(void **state)
{
    (void)state;
    const double rates[] = {0.1, 0.01, 0.001, 1e-6, 0x1p-50};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        uint64_t threshold = nsp__threshold_from_rate(rates[i]);
        uint64_t other = NSP__RANDOM_ONE - (uint64_t)((double)(NSP__RANDOM_ONE - threshold) * 1.01);
        assert_true(skip_statistic(300 + i, threshold, threshold) < chi_square_bound(CELLS - 1));
        if (rates[i] > 0x1p-49)
            assert_true(skip_statistic(400 + i, threshold, other) > chi_square_bound(CELLS - 1));
    }
}

// High rates have too few different skips for cells of equal weight, so the share of hits is checked instead.
static void high_rates_hit_their_share(void **state)
{
    (void)state;
    const double rates[] = {0.25, 0.5, 0.75, 0.9, 0.99};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        uint64_t threshold = nsp__threshold_from_rate(rates[i]), random = 500 + i;
        double rate = nsp__threshold_rate(threshold), inverse_log = nsp__random_inverse_log(threshold);
        double sum = 0;
        for (int k = 0; k < DRAWS; k++)
            sum += (double)nsp__random_skip(&random, inverse_log);
        // Mean (1 - p) / p, standard deviation sqrt(1 - p) / p. 6.11 deviations give 1e-9 for both sides
        // together.
        double mean = (1 - rate) / rate, deviation = sqrt(1 - rate) / rate / sqrt(DRAWS);
        assert_true(fabs(sum / DRAWS - mean) < 6.11 * deviation);
        double off = rate * 0.99;
        assert_true(fabs(sum / DRAWS - (1 - off) / off) > 6.11 * deviation);
    }
}

static void skips_at_the_ends(void **state)
{
    (void)state;
    uint64_t random = 9;
    double always = nsp__random_inverse_log(0), never = nsp__random_inverse_log(NSP__THRESHOLD_NEVER);
    double rarest = nsp__random_inverse_log(NSP__THRESHOLD_NEVER - 1),
           unknown = nsp__random_inverse_log(UINT64_MAX);
    assert_true(fabs(rarest / -0x1p56 - 1) < 1e-12);
    uint64_t longest = 0;
    for (int i = 0; i < 1000000; i++) {
        assert_true(nsp__random_skip(&random, always) == 0);
        assert_true(nsp__random_skip(&random, never) == UINT64_MAX);
        assert_true(nsp__random_skip(&random, unknown) == UINT64_MAX);
        uint64_t skip = nsp__random_skip(&random, rarest);
        longest = skip > longest ? skip : longest;
    }
    assert_true(longest > UINT64_C(1) << 58 && longest < UINT64_C(1) << 62);
}

static void seeds_differ(void **state)
{
    (void)state;
    uint64_t seeds[64];
    for (int i = 0; i < 64; i++) {
        seeds[i] = nsp__random_seed();
        for (int k = 0; k < i; k++)
            assert_true(seeds[k] != seeds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sequence_is_that_of_the_formula),
        cmocka_unit_test(a_range_is_uniform),
        cmocka_unit_test(a_range_of_one_and_of_all),
        cmocka_unit_test(a_biased_draw_is_repeated),
        cmocka_unit_test(skips_are_geometric),
        cmocka_unit_test(high_rates_hit_their_share),
        cmocka_unit_test(skips_at_the_ends),
        cmocka_unit_test(seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
