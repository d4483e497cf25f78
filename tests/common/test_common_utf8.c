// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
// Sanitizers: address, because it has one thread
//
// Repair of texts, compared with a second decoder written from the definition: a byte sequence is a character
// if encoding its code point gives exactly these bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "support/span_generator.h"

// The number of bytes of a code point; 0 if it is not one.
static size_t encode(uint32_t code, uint8_t out[4])
{
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size; i-- > 1; code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(leads[size] | code);
    return size;
}

// Every character in the order of the code points, so their bytes are in order as well.
static uint8_t (*characters)[4];
static size_t character_count;

static int make_characters(void **state)
{
    (void)state;
    characters = calloc(0x110000, sizeof *characters);
    for (uint32_t code = 0; code < 0x110000; code++)
        character_count += encode(code, characters[character_count]) != 0;
    return 0;
}

static int free_characters(void **state)
{
    (void)state;
    free(characters);
    return 0;
}

static size_t character_size(const uint8_t *character)
{
    return character[0] < 0x80 ? 1 : character[0] < 0xE0 ? 2 : character[0] < 0xF0 ? 3 : 4;
}

// Are these bytes the beginning of some character?
static bool begins_character(const uint8_t *bytes, size_t length)
{
    size_t low = 0, high = character_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(characters[middle], bytes, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < character_count && memcmp(characters[low], bytes, length) == 0;
}

// The definition: the longest run of bytes that begins a character, or the complete character.
static size_t step(const uint8_t *at, size_t length, bool *valid)
{
    size_t run = 1;
    *valid = false;
    if (!begins_character(at, 1))
        return 1;
    while (run < length && run < character_size(at) && begins_character(at, run + 1))
        run++;
    *valid = run == character_size(at);
    return run;
}

static size_t repair(uint8_t *out, const uint8_t *text, size_t length)
{
    uint8_t *start = out;
    for (size_t i = 0; i < length;) {
        bool valid;
        size_t size = step(text + i, length - i, &valid);
        memcpy(out, valid ? (const char *)text + i : "\xEF\xBF\xBD", valid ? size : 3);
        out += valid ? size : 3;
        i += size;
    }
    return (size_t)(out - start);
}

static void check(const uint8_t *text, size_t length)
{
    uint8_t expected[3 * 64], actual[3 * 64];
    uint8_t *exact = malloc(length + (length == 0)); // exactly as long, so a read beyond it is noticed
    memcpy(exact, text, length);
    size_t size = repair(expected, text, length);
    assert_int_equal(nsp__utf8_repaired_size(exact, length), size);
    assert_ptr_equal(nsp__utf8_repair(actual, exact, length), actual + size);
    assert_memory_equal(actual, expected, size);
    bool valid = size == length && memcmp(expected, text, length) == 0;
    assert_int_equal(nsp__utf8_valid(exact, length), valid);
    assert_true(nsp__utf8_valid(actual, size));
    free(exact);
}

static void every_character_is_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < character_count; i++) {
        bool valid;
        size_t size = character_size(characters[i]);
        assert_int_equal(nsp__utf8_next(characters[i], characters[i] + size, &valid), size);
        assert_true(valid);
    }
}

// The bytes at which some rule changes, in all sequences of up to four.
static void sequences_of_boundary_bytes(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1,
                                    0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1,
                                    0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFB, 0xFC, 0xFE, 0xFF};
    enum { COUNT = sizeof bytes };
    uint8_t text[4] = {0};
    check(text, 0);
    for (size_t length = 1, all = COUNT; length <= 4; length++, all *= COUNT) {
        for (size_t n = 0; n < all; n++) {
            size_t rest = n;
            for (size_t i = 0; i < length; i++, rest /= COUNT)
                text[i] = bytes[rest % COUNT];
            check(text, length);
        }
    }
}

// Longer texts, which are read eight bytes at a time, with a special byte at every position.
static void random_texts(void **state)
{
    (void)state;
    generator_seed(23);
    for (int i = 0; i < 200000; i++) {
        uint8_t text[64];
        size_t length = generator_draw(sizeof text), odd = generator_draw(4);
        for (size_t j = 0; j < length; j++)
            text[j] = (uint8_t)(generator_draw(16) < odd ? 0x80 + generator_draw(128) : generator_draw(128));
        check(text, length);
    }
}

static void cut_at_a_character(void **state)
{
    (void)state;
    const uint8_t text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z"; // characters end at 1, 3, 6, 10, 11
    static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < sizeof cuts / sizeof *cuts; max++)
        assert_int_equal(nsp__utf8_cut(text, 11, max), cuts[max]);
    assert_int_equal(nsp__utf8_cut(text, 0, 5), 0);
    const uint8_t wild[] = "ab\x80\x80\x80\x80\x80"; // bytes that begin no character are cut anywhere
    assert_int_equal(nsp__utf8_cut(wild, 7, 6), 6);
}

// Each code point is written in the encoding made here, and an invalid one as U+FFFD.
static void written_characters(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110010; code++) {
        uint8_t expected[4], actual[5] = {0};
        size_t size = encode(code, expected);
        if (size == 0)
            size = encode(0xFFFD, expected);
        assert_int_equal(nsp__utf8_put(actual, code), size);
        assert_memory_equal(actual, expected, size);
        assert_int_equal(actual[size], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_valid),
        cmocka_unit_test(sequences_of_boundary_bytes),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(cut_at_a_character),
        cmocka_unit_test(written_characters),
    };
    return cmocka_run_group_tests(tests, make_characters, free_characters);
}
