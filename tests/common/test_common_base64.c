// SPDX-License-Identifier: Apache-2.0
#include "common/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Each length, padded and not, through buffers that are exactly as large as the header says.
static void both_ways(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (int i = 0; i < 256; ++i)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t length = 0; length < sizeof bytes; ++length) {
        for (int padded = 0; padded < 2; padded++) {
            size_t room = NSP__BASE64_DIGITS(length), back = 1000;
            char *text = malloc(room + 1);
            size_t digits = nsp__base64_encode(text, bytes, length, padded);
            assert_int_equal(digits, padded ? room : (length * 4 + 2) / 3);
            uint8_t *decoded = malloc(NSP__BASE64_BYTES(digits));
            assert_true(nsp__base64_decode(decoded, text, digits, NSP__BASE64_STANDARD, &back));
            assert_int_equal(back, length);
            assert_memory_equal(decoded, bytes, length);
            free(decoded);
            free(text);
        }
    }
}

// The vectors of RFC 4648, section 10.
static void known_texts(void **state)
{
    (void)state;
    static const char *const forms[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t length = 0; length < sizeof forms / sizeof *forms; length++) {
        char text[16] = "";
        nsp__base64_encode(text, (const uint8_t *)"foobar", length, true);
        assert_string_equal(text, forms[length]);
    }
}

static void what_is_read(void **state)
{
    (void)state;
    static const char *const good[] = {"YQ==", "YQ", "YWI=", "YWI", "YWJj", ""};
    static const char *const bad[] = {"Y",     "Y===",   "YQ=", "YW I",  "YWI==",   "-_-_",
                                      "YWJj=", "YWJj==", "=",   "YQ==Y", "Y\xc3WJ", "YW=j"};
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        uint8_t decoded[8];
        size_t length;
        assert_true(nsp__base64_decode(decoded, good[i], strlen(good[i]), NSP__BASE64_STANDARD, &length));
        assert_int_equal(length, strcspn(good[i], "=") * 3 / 4);
        assert_memory_equal(decoded, "abc", length);
        assert_true(nsp__base64_decode(NULL, good[i], strlen(good[i]), NSP__BASE64_ANY, NULL));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        assert_false(nsp__base64_decode(NULL, bad[i], strlen(bad[i]), NSP__BASE64_STANDARD, NULL));
    assert_false(nsp__base64_decode(NULL, "YW\0j", 4, NSP__BASE64_ANY, NULL));
}

static void the_other_alphabet(void **state)
{
    (void)state;
    uint8_t standard[3], other[3];
    size_t length;
    assert_true(nsp__base64_decode(standard, "+/+/", 4, NSP__BASE64_ANY, &length));
    assert_true(nsp__base64_decode(other, "-_-_", 4, NSP__BASE64_ANY, &length));
    assert_int_equal(length, 3);
    assert_memory_equal(standard, other, sizeof other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(known_texts),
        cmocka_unit_test(what_is_read),
        cmocka_unit_test(the_other_alphabet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
