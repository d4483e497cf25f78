// SPDX-License-Identifier: Apache-2.0
#include "context/threshold.h"

#include "base/random.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <string.h>

static void assert_text(uint64_t threshold, const char *expected)
{
    char text[NSP__THRESHOLD_TEXT_SIZE];
    memset(text, 'x', sizeof text);
    size_t length = nsp__threshold_format(threshold, text);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void rates_have_the_published_thresholds(void **state)
{
    (void)state;
    assert_text(nsp__threshold_from_rate(1.0), "0");
    assert_text(nsp__threshold_from_rate(1.0 / 2), "8");
    assert_text(nsp__threshold_from_rate(1.0 / 4), "c");
    assert_text(nsp__threshold_from_rate(1.0 / 3), "aaab");
    assert_text(nsp__threshold_from_rate(0.1), "e666");
    assert_text(nsp__threshold_from_rate(0.01), "fd70a");
    assert_text(nsp__threshold_from_rate(0.001), "ffbe77");
    assert_text(nsp__threshold_from_rate(1.0 / 16), "f");
    assert_text(nsp__threshold_from_rate(1.0 / 65536), "ffff");
    assert_text(nsp__threshold_from_rate(0x1p-56), "ffffffffffffff");
    assert_text(nsp__threshold_from_rate(0x1p-55), "fffffffffffffe");
}

static void rates_at_the_ends(void **state)
{
    (void)state;
    assert_true(nsp__threshold_from_rate(0) == NSP__THRESHOLD_NEVER);
    assert_true(nsp__threshold_from_rate(-1) == NSP__THRESHOLD_NEVER);
    assert_true(nsp__threshold_from_rate((double)NAN) == NSP__THRESHOLD_NEVER);
    assert_true(nsp__threshold_from_rate(0x0.fffffp-56) == NSP__THRESHOLD_NEVER);
    assert_true(nsp__threshold_from_rate(2) == 0);
    assert_true(nsp__threshold_from_rate(0x1.fffffffffffffp-1) == 0);
    assert_true(nsp__threshold_rate(NSP__THRESHOLD_NEVER) == 0);
    assert_true(nsp__threshold_rate(NSP_CONTEXT_UNKNOWN) == 0);
    assert_true(nsp__threshold_rate(0) == 1);
    assert_true(nsp__threshold_rate(NSP__THRESHOLD_NEVER - 1) == 0x1p-56);
}

// Over all magnitudes: close to the rate, at most four digits after the f's, and with a code.
static void quantised_thresholds_are_close_and_have_a_code(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (int i = 0; i < 1000000; i++) {
        double fraction = (double)(nsp__random_next(&random) >> 11) * 0x1p-53;
        double rate = ldexp(1 + fraction, -1 - (int)(nsp__random_next(&random) % 56));
        uint64_t threshold = nsp__threshold_from_rate(rate);
        assert_true(threshold < NSP__THRESHOLD_NEVER);
        double error = fabs(nsp__threshold_rate(threshold) - rate);
        // Four digits after the f's, the first of which is not f; close to zero a single unit counts.
        assert_true(error <= rate * 0x1p-12 || error <= 0x1p-57);

        char text[NSP__THRESHOLD_TEXT_SIZE];
        size_t length = nsp__threshold_format(threshold, text);
        assert_true(length - strspn(text, "f") <= 4);

        uint32_t code = nsp__threshold_encode(threshold);
        assert_int_not_equal(code, NSP__THRESHOLD_CODE_NONE);
        assert_true(nsp__threshold_decode(code) == threshold);
    }
}

static void a_code_is_lossless_or_none(void **state)
{
    (void)state;
    assert_int_equal(nsp__threshold_encode(NSP_CONTEXT_UNKNOWN), NSP__THRESHOLD_CODE_NONE);
    assert_int_equal(nsp__threshold_encode(NSP__THRESHOLD_NEVER), NSP__THRESHOLD_CODE_NONE);
    assert_int_equal(nsp__threshold_encode(UINT64_C(0x12345000000000)), NSP__THRESHOLD_CODE_NONE);
    assert_int_equal(nsp__threshold_encode(1), NSP__THRESHOLD_CODE_NONE);
    assert_int_equal(nsp__threshold_encode(0), 0);
    assert_int_equal(nsp__threshold_encode(UINT64_C(0xffbe7700000000)), 0x2be77);
    assert_int_equal(nsp__threshold_encode(NSP__THRESHOLD_NEVER - 1), 14 << 16);
    assert_true(nsp__threshold_decode(NSP__THRESHOLD_CODE_NONE) == NSP_CONTEXT_UNKNOWN);
    assert_true(nsp__threshold_decode(15 << 16) == NSP_CONTEXT_UNKNOWN);

    // Codes come from memory that others write, so any value must give a threshold or none.
    uint64_t random = 8;
    for (int i = 0; i < 1000000; i++) {
        uint64_t drawn = nsp__random_next(&random);
        uint64_t threshold = nsp__threshold_decode((uint32_t)drawn & 0xfffff);
        assert_true(threshold == NSP_CONTEXT_UNKNOWN || threshold < NSP__THRESHOLD_NEVER);
        uint64_t any = drawn >> (8 + drawn % 56);
        uint32_t code = nsp__threshold_encode(any);
        assert_true(code == NSP__THRESHOLD_CODE_NONE || nsp__threshold_decode(code) == any);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_have_the_published_thresholds),
        cmocka_unit_test(rates_at_the_ends),
        cmocka_unit_test(quantised_thresholds_are_close_and_have_a_code),
        cmocka_unit_test(a_code_is_lossless_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
