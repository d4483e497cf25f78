// SPDX-License-Identifier: Apache-2.0
//
// The pull reader compared with jansson: both accept the same texts and find the same values in them.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/json_read.h"
#include "common/utf8.h"
#include "support/text_generator.h"

// Builds the same tree as jansson; NULL if something is wrong.
static json_t *build(nsp__json_reader *r)
{
    nsp__slice piece;
    json_t *made;
    while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL && *r->at != 0)
        r->at++;
    char first = r->at < r->end ? *r->at : 0;
    if (first == '{') {
        made = json_object();
        nsp__json_enter(r, '{');
        while (nsp__json_key(r, &piece)) {
            nsp__slice key = piece;
            json_t *value = build(r);
            if (value != NULL)
                json_object_setn_new(made, key.text, key.length, value);
        }
    } else if (first == '[') {
        made = json_array();
        nsp__json_enter(r, '[');
        while (nsp__json_element(r)) {
            json_t *value = build(r);
            if (value != NULL)
                json_array_append_new(made, value);
        }
    } else if (!nsp__json_scalar(r, &piece)) {
        return NULL;
    } else if (piece.text == NULL) {
        made = json_null();
    } else if (first == '"') {
        made = json_stringn(piece.text, piece.length);
    } else if (first == 't' || first == 'f') {
        made = json_boolean(first == 't');
    } else {
        char digits[64] = "";
        memcpy(digits, piece.text, piece.length < 63 ? piece.length : 63);
        made = strpbrk(digits, ".eE") ? json_real(strtod(digits, NULL))
                                      : json_integer(strtoll(digits, NULL, 10));
    }
    if (r->wrong == NULL)
        return made;
    json_decref(made);
    return NULL;
}

// jansson refuses half a surrogate pair, which the reader accepts. Returns false if the text contains one.
static bool comparable(const char *text, size_t length)
{
    for (size_t i = 0; i + 2 < length; i++)
        if (text[i] == '\\' && text[i + 1] == 'u' && (text[i + 2] | 32) == 'd')
            return false;
    return true;
}

static void check(const char *text, size_t length)
{
    json_error_t error;
    json_t *expected = json_loadb(text, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (expected == NULL && json_error_code(&error) == json_error_numeric_overflow)
        return;
    // In memory of exactly the text's size, so that a sanitizer notices a read beyond it.
    for (int skip = 0; skip < 2; skip++) {
        char *copy = malloc(length + (length == 0));
        memcpy(copy, text, length);
        nsp__json_reader r;
        nsp__json_begin(&r, copy, length);
        json_t *found = NULL;
        if (skip)
            nsp__json_skip(&r);
        else
            found = build(&r);
        bool sound = nsp__json_finish(&r) && nsp__utf8_valid((const uint8_t *)text, length);
        if (comparable(text, length) && sound != (expected != NULL))
            fail_msg("%.*s: %s, but jansson: %s", (int)length, text, r.wrong ? r.wrong : "taken",
                     expected ? "taken" : error.text);
        if (sound && expected != NULL && !skip && !json_equal(found, expected))
            fail_msg("%.*s reads differently", (int)length, text);
        json_decref(found);
        free(copy);
    }
    json_decref(expected);
}

static const char *const texts[] = {
    "{}",
    "[]",
    " { } ",
    "[ ]",
    "{\"a\":1}",
    "{\"a\":[1,2,{\"b\":null}],\"c\":{\"d\":[[],[[]]]}}",
    "[true,false,null]",
    "[0,-0,1,-1,10,1.5,-0.25,1e3,1E+3,2e-2,123456789012345678]",
    "\"\"",
    "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\"",
    "\"\\ud83d\\ude00x\\u0000y\"",
    "[\"\xC3\xA9\xF0\x9F\x98\x80\"]",
    "7",
    "-7.25e1",
    // Texts that must be rejected.
    "",
    " ",
    "{",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{a:1}",
    "[1 2]",
    "[1}",
    "{\"a\":1]",
    "[}",
    "{]",
    "[[1,2}]",
    "{\"a\":{\"b\":1]}",
    "{}}",
    "[]]",
    "[] x",
    "{} {}",
    "01",
    "-",
    "1.",
    ".5",
    "+1",
    "1e",
    "1e+",
    "1-2",
    "--1",
    "1..2",
    "1e5e5",
    "tru",
    "nul",
    "falsey",
    "truefalse",
    "\"",
    "\"\n\"",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\\u12",
    "\"\\u12\"",
    "\"\\u\x14\x11\x10\x10\"",
    "'a'",
    "[NaN]",
    "[Infinity]",
    "\"\xff\"",
    "<html>",
};

static void known_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check(texts[i], strlen(texts[i]));
    check("\"a\0b\"", 5);
    char text[] = "[1\0]"; // jansson skips a zero byte outside of strings
    nsp__json_reader r;
    nsp__json_begin(&r, text, 4);
    nsp__json_skip(&r);
    assert_false(nsp__json_finish(&r));
}

// Removes, inserts and exchanges bytes, and tries each prefix.
static void damaged_texts(void **state)
{
    (void)state;
    static const char pieces[] = "{}[],:\"\\u0019.-+eEtrufalsn x\xC3\xA9";
    generator_seed(12);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t length = strlen(texts[i]);
        for (size_t part = 0; part < length; part++)
            check(texts[i], part);
        for (int round = 0; round < 2000; round++) {
            char text[160];
            size_t size = length;
            memcpy(text, texts[i], length);
            for (uint64_t changes = 1 + generator_draw(3); changes > 0; changes--) {
                size_t at = generator_draw(size + 1), width = generator_draw(3);
                char piece = pieces[generator_draw(sizeof pieces - 1)];
                if (width == 0 && size < sizeof text - 1) {
                    memmove(text + at + 1, text + at, size - at);
                    text[at] = piece;
                    size++;
                } else if (width == 1 && at < size) {
                    memmove(text + at, text + at + 1, size - at - 1);
                    size--;
                } else if (at < size) {
                    text[at] = piece;
                }
            }
            check(text, size);
        }
    }
}

static void depth_has_an_end(void **state)
{
    (void)state;
    enum { MOST = 100000 };
    char *text = malloc(2 * MOST);
    for (unsigned depth = NSP__JSON_DEEPEST - 1; depth <= NSP__JSON_DEEPEST + 1; depth++) {
        nsp__json_reader r;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        nsp__json_begin(&r, text, 2 * depth);
        nsp__json_skip(&r);
        assert_int_equal(nsp__json_finish(&r), depth <= NSP__JSON_DEEPEST);
    }
    nsp__json_reader r;
    memset(text, '[', 2 * MOST);
    nsp__json_begin(&r, text, 2 * MOST);
    nsp__json_skip(&r);
    assert_false(nsp__json_finish(&r));
    free(text);
}

static void what_null_and_halves_of_pairs_mean(void **state)
{
    (void)state;
    char text[] = "{\"a\":null,\"b\":null,\"c\":\"\\ud83dx\\ude00\",\"d\":\"12\",\"e\":-5}";
    nsp__json_reader r;
    nsp__slice name, value = {"x", 1};
    int64_t number = 1;
    nsp__json_begin(&r, text, strlen(text));
    nsp__json_enter(&r, '{');
    assert_true(nsp__json_key(&r, &name));
    nsp__json_enter(&r, '[');
    assert_false(nsp__json_element(&r));
    assert_true(nsp__json_key(&r, &name) && nsp__slice_is(name, "b"));
    assert_true(nsp__json_string(&r, &value) && value.text == NULL);
    assert_true(nsp__json_key(&r, &name) && nsp__json_string(&r, &value));
    assert_true(nsp__slice_is(value, "\xEF\xBF\xBDx\xEF\xBF\xBD"));
    assert_true(nsp__json_key(&r, &name));
    assert_int_equal(nsp__json_number(&r), 12);
    assert_true(nsp__json_key(&r, &name) && nsp__json_integer(&r, &number));
    assert_int_equal(number, -5);
    assert_false(nsp__json_key(&r, &name));
    assert_true(nsp__json_finish(&r));
}

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool sound;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"\"-9223372036854775808\"", true, INT64_MIN},
        {"9223372036854775807", true, INT64_MAX},
        {"null", true, 0},
        {"9223372036854775808", false, 0},
        {"\"\"", false, 0},
        {"\"-\"", false, 0},
        {"1.5", false, 0},
        {"1e3", false, 0},
        {"true", false, 0},
        {"\"5x\"", false, 0},
        {"\"5\\u0000\"", false, 0},
        {"[]", false, 0},
        {"\"000000000000000000000000000000005\"", false, 0},
        {"\" 5\"", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = strdup(cases[i].text);
        nsp__json_reader r;
        int64_t value;
        nsp__json_begin(&r, text, strlen(text));
        assert_int_equal(nsp__json_integer(&r, &value), cases[i].sound);
        if (cases[i].sound)
            assert_true(value == cases[i].value);
        free(text);
    }
}

static void doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool sound;
        double value;
    } cases[] = {
        {"0", true, 0},
        {"-0.0", true, -0.0},
        {"5", true, 5},
        {"101.25", true, 101.25},
        {"0.3333333333333333", true, 1.0 / 3},
        {"-1.5e-300", true, -1.5e-300},
        {"5e-324", true, 5e-324},
        {"1E+22", true, 1e22},
        {"\"NaN\"", true, NAN},
        {"\"Infinity\"", true, INFINITY},
        {"\"-Infinity\"", true, -INFINITY},
        {"null", true, 0},
        {"\"\"", false, 0},
        {"\"1.5\"", false, 0},
        {"\"nan\"", false, 0},
        {"NaN", false, 0},
        {"true", false, 0},
        {"false", false, 0},
        {"{}", false, 0},
        {"1.5x", true, 1.5}, // what follows is not its business
        {"0.11111111111111111111111111111111111111111111111111111111111111", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = strdup(cases[i].text);
        nsp__json_reader r;
        double value;
        nsp__json_begin(&r, text, strlen(text));
        assert_int_equal(nsp__json_double(&r, &value), cases[i].sound);
        if (cases[i].sound)
            assert_memory_equal(&value, &cases[i].value, sizeof value);
        assert_int_equal(r.wrong == NULL, cases[i].sound);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),      cmocka_unit_test(damaged_texts),
        cmocka_unit_test(depth_has_an_end), cmocka_unit_test(what_null_and_halves_of_pairs_mean),
        cmocka_unit_test(whole_numbers),    cmocka_unit_test(doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
