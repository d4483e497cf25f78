// SPDX-License-Identifier: Apache-2.0
//
// Slices, hexadecimal digits, percent escapes, hashes and times of common/. UTF-8 and base64 have their own
// tests.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fnv.h"
#include "common/hex.h"
#include "common/percent.h"
#include "common/slice.h"
#include "common/time.h"

static void slices(void **state)
{
    (void)state;
    nsp__slice rest = nsp__slice_of(" a\t,, b c "), part = {NULL, 0};
    static const char *const parts[] = {"a", "", "b c"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_true(nsp__slice_split(&rest, ',', &part));
        assert_true(nsp__slice_is(nsp__slice_trim(part), parts[i]));
        assert_false(nsp__slice_is(nsp__slice_trim(part), "b"));
    }
    assert_false(nsp__slice_split(&rest, ',', &part));
    assert_int_equal(nsp__slice_trim(nsp__slice_of(" \t ")).length, 0);
    assert_true(nsp__slice_is((nsp__slice){NULL, 0}, ""));
}

// Tries every byte as a digit. A byte that only looks like a digit after setting a bit, such as a control
// character, is not one.
static void digits(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char *lower = c ? strchr("0123456789abcdef", c) : NULL;
        const char *upper = c ? strchr("0123456789ABCDEF", c) : NULL;
        int value = lower ? (int)strtol((char[]){(char)c, 0}, NULL, 16) : -1;
        assert_int_equal(nsp__hex_digit_lower((char)c), value);
        if (upper)
            value = (int)strtol((char[]){(char)c, 0}, NULL, 16);
        assert_int_equal(nsp__hex_digit((char)c), value);
    }
}

static void hexadecimal(void **state)
{
    (void)state;
    uint8_t bytes[256], back[256];
    char text[512];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    nsp__hex_encode(text, bytes, sizeof bytes);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(nsp__hex_decode(back, text, sizeof back));
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_true(nsp__hex_decode(back, "aBCdeF", 3));
    assert_memory_equal(back, "\xab\xcd\xef", 3);
    for (size_t i = 0; i < 6; i++) {
        char wrong[] = "aBCdeF";
        wrong[i] = 'g';
        assert_false(nsp__hex_decode(back, wrong, 3));
    }
    uint64_t words[2];
    assert_true(nsp__hex_words(words, "00000000000000010123456789abCDEF", 2));
    assert_int_equal(words[0], 1);
    assert_int_equal(words[1], UINT64_C(0x0123456789abcdef));
    assert_false(nsp__hex_words(words, "0000000000000001g123456789abCDEF", 2));
    assert_int_equal(words[0] | words[1], 0);
    // Eight digits at a time, as traceparent is read.
    uint32_t any = 0;
    assert_true(nsp__hex_decode8(back, "0189abef", &any));
    assert_memory_equal(back, "\x01\x89\xab\xef", 4);
    assert_false(nsp__hex_decode8(back, "0189ABEF", &any));
    nsp__hex_encode4(text, back);
}

static void control_characters_behind_escapes(void **state)
{
    (void)state;
    static const char *const hidden[] = {"a%00", "%1f", "%7F", "a\tb", "%25%0a"};
    static const char *const none[] = {"", "%20", "%2500", "%0", "%", "a%c2%80\xc2\x80"};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        assert_true(nsp__percent_hides_control(hidden[i], strlen(hidden[i])));
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(nsp__percent_hides_control(none[i], strlen(none[i])));
    assert_false(nsp__percent_hides_control("%00", 2)); // cut short
}

static void percent_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *decoded;
        bool whole;
    } cases[] = {
        {"", "", true},
        {"plain", "plain", true},
        {"%41%62%C3%a4", "Ab\xc3\xa4", true},
        {"%", "%", false},
        {"%4", "%4", false},
        {"100%", "100%", false},
        {"%4g%41", "%4gA", false},
        {"%%41", "%A", false},
        {"a%0Ab", "a\nb", true},
        {"%\x14\x11", "%\x14\x11", false},
        {"%41%zz", "A%zz", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[32];
        size_t length = strlen(cases[i].text);
        assert_int_equal(nsp__percent_decode(out, cases[i].text, length), strlen(cases[i].decoded));
        assert_string_equal(out, cases[i].decoded);
        assert_int_equal(nsp__percent_whole(cases[i].text, length), cases[i].whole);
        char *same = strdup(cases[i].text); // decoded in place; nothing behind the end is read
        nsp__percent_decode(same, same, length);
        assert_string_equal(same, cases[i].decoded);
        free(same);
    }
    char out[8];
    assert_int_equal(nsp__percent_decode(out, "%41", 2), 2); // cut short
    for (int byte = 0; byte < 256; byte++) {
        char escape[NSP__PERCENT_ESCAPE];
        uint8_t back;
        nsp__percent_escape(escape, (uint8_t)byte);
        assert_int_equal(nsp__percent_byte(escape, sizeof escape, &back), sizeof escape);
        assert_int_equal(back, byte);
        assert_int_equal(escape[1] & 0x20 && escape[1] > '9', 0); // upper case
    }
}

// From the page of the hash's authors.
static void hash(void **state)
{
    (void)state;
    assert_true(nsp__fnv(NSP__FNV_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(nsp__fnv(NSP__FNV_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(nsp__fnv(NSP__FNV_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(nsp__fnv(nsp__fnv(NSP__FNV_START, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
}

static void times(void **state)
{
    (void)state;
    struct timespec time = nsp__timespec_of(3 * NSP__SECOND + 5 * NSP__MILLISECOND);
    assert_int_equal(time.tv_sec, 3);
    assert_int_equal(time.tv_nsec, 5000000);
    assert_true(nsp__after(5, UINT64_MAX) == UINT64_MAX);
    assert_true(nsp__after(5, 6) == 11);
    uint64_t before = nsp__monotonic_ns();
    assert_true(nsp__monotonic_ns() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices),          cmocka_unit_test(digits),
        cmocka_unit_test(hexadecimal),     cmocka_unit_test(control_characters_behind_escapes),
        cmocka_unit_test(percent_escapes), cmocka_unit_test(hash),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
