// SPDX-License-Identifier: Apache-2.0
// Sanitizers: address, because it has one thread
//
// Numbers, hexadecimal, base64 and quoted texts, in the forms that JSON and the console use.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_read.h"
#include "common/text.h"
#include "support/span_generator.h"

static char buffer[256];

static nsp__text begin(void)
{
    memset(buffer, 0, sizeof buffer);
    nsp__text text = {(uint8_t *)buffer, (uint8_t *)buffer + sizeof buffer - 1, false};
    return text;
}

static const char *f64(double value)
{
    nsp__text text = begin();
    nsp__text_f64(&text, value);
    assert_false(text.full);
    return buffer;
}

static void known_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } known[] = {
        {0.0, "0"},
        {-0.0, "-0.0"},
        {1, "1"},
        {-1, "-1"},
        {0.1, "0.1"},
        {101.25, "101.25"},
        {0.000001, "0.000001"},
        {-99.99, "-99.99"},
        {1e15, "1000000000000000"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "4.94065645841247e-324"},
        {1e300, "1e+300"},
        {NAN, "NaN"},
        {INFINITY, "Infinity"},
        {-INFINITY, "-Infinity"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_string_equal(f64(known[i].value), known[i].text);
}

static double read_f64(const char *text)
{
    nsp__json_reader r;
    double value = NAN;
    char copy[64];
    nsp__json_begin(&r, copy, (size_t)snprintf(copy, sizeof copy, "%s", text));
    nsp__json_double(&r, &value);
    return value;
}

static void numbers_read_back(void **state)
{
    (void)state;
    generator_seed(40);
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = generator_draw(UINT64_MAX);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (i % 3 == 0)
            value = (double)(int64_t)generator_draw(1000000000) / pow(10, (double)generator_draw(10));
        if (!isfinite(value))
            continue;
        double back = strtod(f64(value), NULL);
        assert_memory_equal(&back, &value, sizeof value);
        back = read_f64(f64(value));
        assert_memory_equal(&back, &value, sizeof value);
    }
}

// The program's locale must affect neither the output nor what is read. The test makes its own locale with a decimal comma; it is
// skipped if localedef is missing.
static void the_locale_does_not_matter(void **state)
{
    (void)state;
    char folder[] = "/tmp/nanospan-test-XXXXXX", source[64], command[256];
    assert_non_null(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/source", folder);
    FILE *file = fopen(source, "w");
    assert_non_null(file);
    fputs("LC_NUMERIC\ndecimal_point \"<U002C>\"\nthousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n", file);
    fclose(file);
    // localedef complains about everything that the source leaves out, so its exit code means nothing.
    snprintf(command, sizeof command, "localedef -c -i %s %s/comma >/dev/null 2>&1 || true", source, folder);
    assert_int_equal(system(command), 0);
    setenv("LOCPATH", folder, 1);
    bool made = setlocale(LC_NUMERIC, "comma") != NULL;
    char separator[sizeof buffer], third[sizeof buffer], small[sizeof buffer], price[sizeof buffer];
    snprintf(separator, sizeof separator, "%s", localeconv()->decimal_point);
    snprintf(third, sizeof third, "%s", f64(1.0 / 3));
    snprintf(small, sizeof small, "%s", f64(-1.5e-300));
    snprintf(price, sizeof price, "%s", f64(101.25));
    double read = read_f64("-1.5e-300");
    setlocale(LC_NUMERIC, "C");
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    if (!made)
        skip();
    assert_string_equal(separator, ",");
    assert_string_equal(third, "0.3333333333333333");
    assert_string_equal(small, "-1.5e-300");
    assert_string_equal(price, "101.25");
    assert_true(read == -1.5e-300);
}

static void integers(void **state)
{
    (void)state;
    nsp__text text = begin();
    nsp__text_i64(&text, INT64_MIN);
    nsp__text_put(&text, " ");
    nsp__text_i64(&text, -1);
    nsp__text_put(&text, " ");
    nsp__text_u64(&text, UINT64_MAX);
    nsp__text_put(&text, " ");
    nsp__text_u64(&text, 0);
    nsp__text_put(&text, " ");
    nsp__text_digits(&text, 7, 3);
    assert_string_equal(buffer, "-9223372036854775808 -1 18446744073709551615 0 007");
}

static void bytes(void **state)
{
    (void)state;
    static const char *const forms[] = {"", "AA==", "AP8=", "AP9+", "AP9+gA=="};
    static const uint8_t values[] = {0x00, 0xFF, 0x7E, 0x80};
    for (size_t length = 0; length <= 4; length++) {
        nsp__text text = begin();
        nsp__text_base64(&text, values, length);
        assert_string_equal(buffer, forms[length]);
    }
    nsp__text text = begin();
    nsp__text_hex(&text, values, 4);
    assert_string_equal(buffer, "00ff7e80");
}

static void quoted(void **state)
{
    (void)state;
    static const char raw[] = "a\"\\/\n\x01\x7F\xC2\x9B\xC2\xA0\xE2\x82\xAC\xFF\xE2\x82";
    nsp__text text = begin();
    nsp__text_quoted(&text, (const uint8_t *)raw, sizeof raw); // the final zero as well
    assert_string_equal(
        buffer, "\"a\\\"\\\\/\\n\\u0001\\u007f\\u009b\xC2\xA0\xE2\x82\xAC\xEF\xBF\xBD\xEF\xBF\xBD\\u0000\"");
}

// Nothing is written beyond the limit, and nothing that follows the first piece that did not fit.
static void what_does_not_fit(void **state)
{
    (void)state;
    for (size_t room = 0; room <= 8; room++) {
        memset(buffer, '.', sizeof buffer);
        nsp__text text = {(uint8_t *)buffer, (uint8_t *)buffer + room, false};
        nsp__text_put(&text, "abcd");
        nsp__text_put(&text, "efgh");
        nsp__text_put(&text, "");
        assert_int_equal(text.full, room < 8);
        assert_int_equal(text.at - (uint8_t *)buffer, room < 4 ? 0 : room < 8 ? 4 : 8);
        assert_int_equal(buffer[room], '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_numbers),
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(the_locale_does_not_matter),
        cmocka_unit_test(integers),
        cmocka_unit_test(bytes),
        cmocka_unit_test(quoted),
        cmocka_unit_test(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
