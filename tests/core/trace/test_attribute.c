// SPDX-License-Identifier: Apache-2.0
//
// What can be set on a span: attributes of all types, events and links; and what is dropped or cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/capture.h"

static void again_with(void (*change)(nsp_config *config))
{
    capture_end();
    nsp_config config;
    capture_config(&config);
    change(&config);
    capture_start(&config);
}

static const captured_span *only(void)
{
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_balance().misused, 0);
    return capture_at(0);
}

static void assert_attribute(const captured_attribute *attribute, const char *key, nsp_type type,
                             const char *text)
{
    assert_string_equal(attribute->key, key);
    assert_int_equal(attribute->type, type);
    assert_string_equal(attribute->text, text);
}

// ---- types ----

static void every_type_arrives_as_it_was_set(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0xff, 0x80, 'a'};
    static const char *const strs[] = {"one", "", NULL, "zwei und drei"};
    static const int64_t i64s[] = {INT64_MIN, -1, 0, INT64_MAX};
    static const double f64s[] = {0.5, -0.0, DBL_MAX};
    static const bool bools[] = {true, false, true};
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_set_str(span, NSP_KEY("str"), "text");
    nsp_span_set_str(span, NSP_KEY("str.long"), "a text that is longer than sixteen bytes");
    nsp_span_set_str(span, NSP_KEY("str.empty"), "");
    nsp_span_set_str(span, NSP_KEY("str.null"), NULL);
    nsp_span_set_strn(span, NSP_KEY("strn"), "text and more", 4);
    nsp_span_set_strn(span, NSP_KEY("strn.null"), NULL, 0);
    volatile size_t five = 5; // unknown to the compiler, so that the library's own function is called
    nsp_span_set_strn(span, NSP_KEY("strn.null.five"), NULL, five);
    nsp_span_set_i64(span, NSP_KEY("i64"), INT64_MIN);
    nsp_span_set_f64(span, NSP_KEY("f64"), 0.1);
    nsp_span_set_f64(span, NSP_KEY("f64.inf"), (double)INFINITY);
    nsp_span_set_bool(span, NSP_KEY("true"), true);
    nsp_span_set_bool(span, NSP_KEY("false"), false);
    nsp_span_set_bytes(span, NSP_KEY("bytes"), bytes, sizeof bytes);
    nsp_span_set_bytes(span, NSP_KEY("bytes.empty"), bytes, 0);
    nsp_span_set_bytes(span, NSP_KEY("bytes.null"), NULL, 5);
    nsp_span_set_strs(span, NSP_KEY("strs"), strs, 4);
    nsp_span_set_strs(span, NSP_KEY("strs.empty"), strs, 0);
    nsp_span_set_strs(span, NSP_KEY("strs.null"), NULL, 3);
    nsp_span_set_i64s(span, NSP_KEY("i64s"), i64s, 4);
    nsp_span_set_i64s(span, NSP_KEY("i64s.empty"), NULL, 0);
    nsp_span_set_i64s(span, NSP_KEY("i64s.null"), NULL, 3);
    nsp_span_set_f64s(span, NSP_KEY("f64s"), f64s, 3);
    nsp_span_set_bools(span, NSP_KEY("bools"), bools, 3);
    nsp_span_set_bools(span, NSP_KEY("bools.null"), NULL, 3);
    nsp_span_end(span);

    static const struct {
        const char *key;
        nsp_type type;
        const char *text;
        size_t count;
    } expected[] = {
        {"str", NSP_TYPE_STR, "text", 4},
        {"str.long", NSP_TYPE_STR, "a text that is longer than sixteen bytes", 40},
        {"str.empty", NSP_TYPE_STR, "", 0},
        {"str.null", NSP_TYPE_STR, "", 0},
        {"strn", NSP_TYPE_STR, "text", 4},
        {"strn.null", NSP_TYPE_STR, "", 0},
        {"strn.null.five", NSP_TYPE_STR, "", 0},
        {"i64", NSP_TYPE_I64, "-9223372036854775808", 1},
        {"f64", NSP_TYPE_F64, "0.10000000000000001", 1},
        {"f64.inf", NSP_TYPE_F64, "inf", 1},
        {"true", NSP_TYPE_BOOL, "true", 1},
        {"false", NSP_TYPE_BOOL, "false", 1},
        {"bytes", NSP_TYPE_BYTES, "00ff8061", 4},
        {"bytes.empty", NSP_TYPE_BYTES, "", 0},
        {"bytes.null", NSP_TYPE_BYTES, "", 0},
        {"strs", NSP_TYPE_STRS, "[one,,,zwei und drei]", 4},
        {"strs.empty", NSP_TYPE_STRS, "[]", 0},
        {"strs.null", NSP_TYPE_STRS, "[]", 0},
        {"i64s", NSP_TYPE_I64S, "[-9223372036854775808,-1,0,9223372036854775807]", 4},
        {"i64s.empty", NSP_TYPE_I64S, "[]", 0},
        {"i64s.null", NSP_TYPE_I64S, "[]", 0},
        {"f64s", NSP_TYPE_F64S, "[0.5,-0,1.7976931348623157e+308]", 3},
        {"bools", NSP_TYPE_BOOLS, "[true,false,true]", 3},
        {"bools.null", NSP_TYPE_BOOLS, "[]", 0},
    };
    const captured_span *got = only();
    assert_int_equal(got->attribute_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < got->attribute_count; i++) {
        assert_attribute(&got->attributes[i], expected[i].key, expected[i].type, expected[i].text);
        assert_int_equal(got->attributes[i].count, expected[i].count);
    }
    assert_int_equal(got->dropped_attributes, 0);
}

static void texts_of_every_short_length_are_whole(void **state)
{
    (void)state;
    // Around the sizes at which copying by words changes.
    static const char text[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    char key[8];
    for (size_t length = 0; length <= 34; length++) {
        snprintf(key, sizeof key, "k%zu", length);
        nsp_span_set_strn(span, nsp_intern(key, strlen(key)), text, length);
    }
    nsp_span_end(span);
    const captured_span *got = only();
    for (size_t length = 0; length <= 34; length++) {
        assert_int_equal(got->attributes[length].count, length);
        assert_memory_equal(got->attributes[length].text, text, length);
    }
}

static void the_caller_may_change_a_value_at_once(void **state)
{
    (void)state;
    char text[64] = "before, and long enough for the slow way";
    int64_t numbers[] = {1, 2};
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_set_str(span, NSP_KEY("text"), text);
    nsp_span_set_i64s(span, NSP_KEY("numbers"), numbers, 2);
    memset(text, 'x', sizeof text);
    numbers[0] = 9;
    nsp_span_end(span);
    const captured_span *got = only();
    assert_string_equal(captured_text(got, "text"), "before, and long enough for the slow way");
    assert_string_equal(captured_text(got, "numbers"), "[1,2]");
}

// ---- sizes ----

static void what_does_not_fit_is_cut(void **state)
{
    (void)state;
    enum { LARGE = 200000 };
    char *text = malloc(LARGE + 1);
    const char **texts = malloc(LARGE * sizeof *texts);
    int64_t *numbers = malloc(LARGE * sizeof *numbers);
    assert_true(text != NULL && texts != NULL && numbers != NULL);
    for (size_t i = 0; i < LARGE; i++) {
        text[i] = (i & 1) == 0 ? '\xc3' : '\xa9'; // "é" again and again
        texts[i] = "elem";
        numbers[i] = (int64_t)i;
    }
    text[LARGE] = 0;
    const char *const long_texts[] = {"short", text, "never"};
    nsp_span *span;
#define WITH(name, set)                                                                                      \
    span = nsp_span_begin(NSP_NAME(name));                                                                   \
    set;                                                                                                     \
    nsp_span_end(span);
    WITH("str", nsp_span_set_str(span, NSP_KEY("k"), text))
    // One byte in front, so that the cut would fall inside a character.
    WITH("shifted", (nsp_span_set_bool(span, NSP_KEY("b"), true),
                     nsp_span_set_strn(span, NSP_KEY("k"), text + 1, LARGE - 1)))
    WITH("bytes", nsp_span_set_bytes(span, NSP_KEY("k"), text, LARGE))
    WITH("strs", nsp_span_set_strs(span, NSP_KEY("k"), texts, LARGE))
    WITH("long strs", nsp_span_set_strs(span, NSP_KEY("k"), long_texts, 3))
    WITH("i64s", nsp_span_set_i64s(span, NSP_KEY("k"), numbers, LARGE))
    WITH("f64s", nsp_span_set_f64s(span, NSP_KEY("k"), (const double *)(const void *)numbers, LARGE))
    WITH("bools", nsp_span_set_bools(span, NSP_KEY("k"), (const bool[]){true, false, true}, 3))
    WITH("message", nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, text))
    WITH("too long to count", nsp_span_set_strn(span, NSP_KEY("k"), text, (size_t)-1 / 2))
    capture_settle();

    static const char *const cut[] = {"str", "shifted", "bytes", "strs", "long strs", "i64s", "f64s"};
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        const captured_attribute *k = captured_attribute_of(capture_named(cut[i]), "k");
        assert_non_null(k);
        assert_int_equal(capture_named(cut[i])->dropped_attributes, 0);
        size_t bytes = k->type == NSP_TYPE_I64S || k->type == NSP_TYPE_F64S ? k->count * 8
                       : k->type == NSP_TYPE_STRS                           ? strlen(k->text)
                                                                            : k->count;
        assert_in_range(bytes, 2800, 3600); // most of a record; an eighth is kept for others
    }
    const captured_attribute *k = captured_attribute_of(capture_named("str"), "k");
    assert_int_equal(k->count % 2, 0);
    assert_memory_equal(k->text, text, k->count);
    k = captured_attribute_of(capture_named("i64s"), "k");
    char last[32];
    snprintf(last, sizeof last, ",%zu]", k->count - 1);
    assert_string_equal(k->text + strlen(k->text) - strlen(last), last);
    k = captured_attribute_of(capture_named("long strs"), "k");
    assert_int_equal(k->count, 2); // the element that fills the record is the last
    assert_memory_equal(k->text, "[short,\xc3\xa9\xc3\xa9", 10);
    assert_int_equal((strlen(k->text) - strlen("[short,]")) % 2, 0);
    assert_string_equal(captured_text(capture_named("bools"), "k"), "[true,false,true]");
    const char *message = capture_named("message")->status_message;
    assert_in_range(strlen(message), 2800, 3600);
    assert_int_equal(strlen(message) % 2, 0);
    free(text);
    free(texts);
    free(numbers);
}

static void an_array_ends_with_the_element_that_is_cut(void **state)
{
    (void)state;
    // Characters of four bytes, and beginnings of several lengths, so that up to three bytes are left behind
    // the cut.
    static char text[8001];
    for (size_t i = 0; i < 8000; i += 4)
        memcpy(text + i, "\xf0\x9f\x93\x88", 4);
    for (size_t front = 0; front < 8; front++) {
        const char *const texts[] = {&"fronttext"[front], text, "", "b"};
        nsp_span *span = nsp_span_begin(NSP_NAME("span"));
        nsp_span_set_strs(span, NSP_KEY("k"), texts, 4);
        nsp_span_end(span);
    }
    capture_settle();
    for (size_t front = 0; front < 8; front++) {
        const captured_attribute *k = captured_attribute_of(capture_at(front), "k");
        assert_int_equal(k->count, 2);
        assert_int_equal((strlen(k->text) - strlen("[fronttext,]") + front) % 4, 0);
    }
}

static nsp_name numbered(char letter, int number)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%c%d", letter, number);
    return nsp_intern(text, (size_t)length);
}

static void a_full_record_drops_and_counts_and_the_span_is_whole(void **state)
{
    (void)state;
    char text[600];
    memset(text, 'x', sizeof text);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    for (int i = 0; i < 20; i++)
        nsp_span_set_strn(span, numbered('t', i), text, sizeof text);
    nsp_context context;
    nsp_span_context(span, &context);
    const nsp_attr attribute = nsp_attr_i64(NSP_KEY("n"), 1);
    const char *const strs[] = {"a"};
    for (int i = 0; i < 3; i++) {
        nsp_span_set_i64(span, numbered('i', i), i);
        nsp_span_set_strs(span, numbered('s', i), strs, 1);
        nsp_span_set_i64s(span, numbered('n', i), (const int64_t[]){1}, 1);
        nsp_span_set_bytes(span, numbered('b', i), "b", 1);
        nsp_span_add_event_with(span, NSP_NAME("event"), 0, &attribute, 1);
        nsp_span_add_link_with(span, &context, &attribute, 1);
        nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "broken");
    }
    nsp_span_end(span);
    const captured_span *got = only();
    assert_int_equal(got->attribute_count + got->dropped_attributes, 20 + 12);
    assert_in_range(got->attribute_count, 8, 16);
    assert_int_equal(got->event_count + got->dropped_events, 3);
    assert_int_equal(got->link_count + got->dropped_links, 3);
    assert_true(got->dropped_events > 0 && got->dropped_links > 0);
    assert_int_equal(got->status, NSP_SPAN_STATUS_ERROR);
}

static void smallest_record(nsp_config *config)
{
    config->record_bytes = 512;
}

static void every_fill_of_the_smallest_record_is_whole(void **state)
{
    (void)state;
    // A first attribute of every size, then one of every type: whatever fits, the record stays well formed.
    again_with(smallest_record);
    static char text[512];
    memset(text, 'x', sizeof text);
    for (size_t length = 0; length < sizeof text; length++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span"));
        nsp_span_set_strn(span, NSP_KEY("fill"), text, length);
        nsp_context context;
        nsp_span_context(span, &context);
        const nsp_attr attributes[] = {nsp_attr_str(NSP_KEY("a"), "abcdefghijklmnopqrstu"),
                                       nsp_attr_bool(NSP_KEY("b"), true)};
        const char *const strs[] = {"abc", "defghijk", "l"};
        switch (length % 6) {
        case 0: nsp_span_set_strs(span, NSP_KEY("k"), strs, 3); break;
        case 1: nsp_span_add_event_with(span, NSP_NAME("event"), 0, attributes, 2); break;
        case 2: nsp_span_add_link_with(span, &context, attributes, 2); break;
        case 3: nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "message"); break;
        case 4: nsp_span_set_i64s(span, NSP_KEY("k"), (const int64_t[]){1, 2, 3}, 3); break;
        default: nsp_span_set_bytes(span, NSP_KEY("k"), text, 33);
        }
        nsp_span_set_i64(span, NSP_KEY("i"), 1);
        nsp_span_set_bool(span, NSP_KEY("b"), true);
        nsp_span_end(span);
    }
    capture_settle();
    assert_int_equal(capture_count(), sizeof text);
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        bool attribute = i % 6 == 0 || i % 6 == 4 || i % 6 == 5;
        assert_int_equal(span->attribute_count + span->dropped_attributes, 3 + attribute);
        assert_int_equal(span->event_count + span->dropped_events, i % 6 == 1);
        assert_int_equal(span->link_count + span->dropped_links, i % 6 == 2);
        if (span->event_count == 1)
            assert_int_equal(span->events[0].attribute_count + span->events[0].dropped_attributes, 2);
        if (span->link_count == 1)
            assert_int_equal(span->links[0].attribute_count + span->links[0].dropped_attributes, 2);
    }
}

static void largest_record(nsp_config *config)
{
    config->record_bytes = 65528;
    config->attribute_count_limit = 32767;
}

static void the_largest_record_drops_what_comes_when_it_is_full(void **state)
{
    (void)state;
    enum { MORE = 12 };
    again_with(largest_record);
    static char text[65500];
    memset(text, 'x', sizeof text);
    for (size_t length = 65200; length < sizeof text; length += 3) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span"));
        // In pieces of 48 bytes, headers included, because a long value leaves room for others.
        int fillers = (int)(length / 48) + 1;
        for (int i = 0; i < fillers; i++)
            nsp_span_set_strn(span, numbered('f', i), text, i + 1 < fillers ? 40 : length % 48);
        for (int i = 0; i < MORE; i++)
            nsp_span_set_i64(span, numbered('i', i), i);
        for (int i = 0; i < MORE; i++)
            nsp_span_set_str(span, numbered('s', i), "sixteen bytes...");
        nsp_span_end(span);
        capture_settle(); // a ring holds only a few of them
    }
    assert_int_equal(capture_count(), 100);
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *span = capture_at(i);
        size_t fillers = (65200 + 3 * i) / 48 + 1;
        assert_string_equal(span->name, "span");
        assert_int_equal(span->attribute_count + span->dropped_attributes, fillers + 2 * MORE);
        assert_in_range(span->dropped_attributes, 1, 2 + 2 * MORE); // some of the pieces are dropped too
    }
}

static void a_detached_span_keeps_to_the_smallest_record_too(void **state)
{
    (void)state;
    again_with(smallest_record);
    static char text[4096];
    memset(text, 'x', sizeof text);
    for (size_t length = 0; length < sizeof text; length += 64) {
        nsp_span *span = nsp_span_begin_detached(NSP_NAME("span"), NULL);
        nsp_span_set_strn(span, NSP_KEY("k"), text, length);
        nsp_span_end(span);
    }
    capture_settle();
    assert_int_equal(capture_count(), sizeof text / 64);
    assert_int_equal(capture_balance().dropped_invalid, 0);
    assert_in_range(strlen(captured_text(capture_at(63), "k")), 300, 512);
}

// ---- limits ----

static void few_of_everything(nsp_config *config)
{
    config->attribute_count_limit = 3;
    config->event_count_limit = 2;
    config->link_count_limit = 1;
    config->event_attribute_count_limit = 2;
    config->link_attribute_count_limit = 1;
    config->attribute_value_length_limit = 5;
}

static void limits_drop_and_count(void **state)
{
    (void)state;
    again_with(few_of_everything);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_context context;
    nsp_span_context(span, &context);
    for (int i = 0; i < 7; i++)
        nsp_span_set_i64(span, NSP_KEY("i"), i);
    nsp_span_set_str(span, NSP_KEY("s"), "s");
    nsp_span_set_bool(span, NSP_KEY("b"), true);
    nsp_span_set_f64s(span, NSP_KEY("f"), (const double[]){1}, 1);
    const nsp_attr attributes[] = {nsp_attr_i64(NSP_KEY("a"), 1), nsp_attr_str(NSP_KEY("b"), "abcdefgh"),
                                   nsp_attr_f64(NSP_KEY("c"), 2)};
    for (int i = 0; i < 5; i++) {
        nsp_span_add_event_with(span, NSP_NAME("event"), 0, attributes, 3);
        nsp_span_add_link_with(span, &context, attributes, 3);
    }
    nsp_span_end(span);
    nsp_span_end(nsp_span_begin(NSP_NAME("next has none of that")));
    capture_settle();
    const captured_span *got = capture_named("span");
    assert_string_equal(captured_text(got, "i"), "6"); // one key, however often it is set
    assert_string_equal(captured_text(got, "s"), "s");
    assert_string_equal(captured_text(got, "b"), "true");
    assert_null(captured_text(got, "f"));
    assert_int_equal(got->dropped_attributes, 1);
    assert_int_equal(got->event_count, 2);
    assert_int_equal(got->dropped_events, 3);
    assert_int_equal(got->link_count, 1);
    assert_int_equal(got->dropped_links, 4);
    assert_int_equal(got->events[1].attribute_count, 2);
    assert_int_equal(got->events[1].dropped_attributes, 1);
    assert_string_equal(got->events[1].attributes[1].text, "abcde");
    assert_int_equal(got->links[0].attribute_count, 1);
    assert_int_equal(got->links[0].dropped_attributes, 2);
    got = capture_named("next has none of that");
    assert_int_equal(got->dropped_attributes + got->dropped_events + got->dropped_links, 0);
}

static void values_are_cut_at_their_limit(void **state)
{
    (void)state;
    again_with(few_of_everything);
#define EURO "\xe2\x82\xac" // three bytes
    static const char *const strs[] = {"abcdefgh", "x", EURO EURO EURO EURO EURO EURO};
    nsp_span *span = nsp_span_begin(NSP_NAME("one"));
    nsp_span_set_str(span, NSP_KEY("text"), "abcdefgh");
    nsp_span_set_str(span, NSP_KEY("euros"), EURO EURO EURO EURO EURO EURO);
    nsp_span_set_strs(span, NSP_KEY("strs"), strs, 3);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "messages are no attributes");
    nsp_span_end(span);
    span = nsp_span_begin(NSP_NAME("two"));
    nsp_span_set_bytes(span, NSP_KEY("bytes"), "abcdefgh", 8);
    nsp_span_set_i64s(span, NSP_KEY("numbers"), (const int64_t[]){1, 2, 3, 4, 5, 6, 7}, 7);
    nsp_span_set_str(span, NSP_KEY("fits"), "abcde");
    nsp_span_end(span);
    span = nsp_span_begin(NSP_NAME("three"));
    nsp_span_set_str(span, NSP_KEY("bare"), "\xac\xac\xac\xac\xac\xac\xac"); // a byte is a character
    nsp_span_end(span);
    capture_settle();
    assert_string_equal(captured_text(capture_named("one"), "text"), "abcde");
    assert_string_equal(captured_text(capture_named("one"), "euros"), EURO EURO EURO EURO EURO);
    assert_string_equal(captured_text(capture_named("three"), "bare"), "\xac\xac\xac\xac\xac");
    assert_string_equal(captured_text(capture_named("one"), "strs"),
                        "[abcde,x," EURO EURO EURO EURO EURO "]");
    assert_string_equal(capture_named("one")->status_message, "messages are no attributes");
    assert_int_equal(capture_balance().values_cut, 0); // a configured limit causes no loss
    assert_string_equal(captured_text(capture_named("two"), "bytes"), "6162636465");
    assert_string_equal(captured_text(capture_named("two"), "numbers"), "[1,2,3,4,5,6,7]");
    assert_string_equal(captured_text(capture_named("two"), "fits"), "abcde");
}

static void one_character(nsp_config *config)
{
    config->attribute_value_length_limit = 1;
}

static void the_limit_is_one_of_characters(void **state)
{
    (void)state;
    again_with(one_character);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_set_str(span, NSP_KEY("euro"), EURO "uro");
    nsp_span_set_str(span, NSP_KEY("a"), "abc");
    nsp_span_end(span);
    const captured_span *got = only();
    assert_string_equal(captured_text(got, "euro"), EURO);
    assert_string_equal(captured_text(got, "a"), "a");
    assert_int_equal(got->dropped_attributes, 0);
}

static void nothing_at_all(nsp_config *config)
{
    config->attribute_count_limit = config->event_count_limit = config->link_count_limit = 0;
}

static void limits_of_zero_drop_all(void **state)
{
    (void)state;
    again_with(nothing_at_all);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_context context;
    nsp_span_context(span, &context);
    for (int i = 0; i < 70000; i++)
        nsp_span_set_bool(span, NSP_KEY("k"), true);
    nsp_span_add_event(span, NSP_NAME("event"));
    nsp_span_add_link(span, &context);
    nsp_span_end(span);
    const captured_span *got = only();
    assert_int_equal(got->attribute_count + got->event_count + got->link_count, 0);
    assert_int_equal(got->dropped_attributes, UINT16_MAX); // the counter stops there
    assert_int_equal(got->dropped_events, 1);
    assert_int_equal(got->dropped_links, 1);
}

// ---- events and links ----

static void events_have_times_and_attributes(void **state)
{
    (void)state;
    static const char *const strs[] = {"x", "y"};
    static const bool bools[] = {false};
    static const double f64s[] = {1.5};
    static const int64_t i64s[] = {3};
    const nsp_attr attributes[] = {
        nsp_attr_str(NSP_KEY("str"), "v"),
        nsp_attr_strn(NSP_KEY("strn"), "vwx", 2),
        nsp_attr_str(NSP_KEY("null"), NULL),
        nsp_attr_bool(NSP_KEY("bool"), true),
        nsp_attr_i64(NSP_KEY("i64"), -1),
        nsp_attr_f64(NSP_KEY("f64"), 2.5),
        nsp_attr_bytes(NSP_KEY("bytes"), "\1\2", 2),
        nsp_attr_strs(NSP_KEY("strs"), strs, 2),
        nsp_attr_bools(NSP_KEY("bools"), bools, 1),
        nsp_attr_i64s(NSP_KEY("i64s"), i64s, 1),
        nsp_attr_f64s(NSP_KEY("f64s"), f64s, 1),
    };
    static const char *const expected[] = {"v",    "vw",    "",        "true", "-1",   "2.5",
                                           "0102", "[x,y]", "[false]", "[3]",  "[1.5]"};
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_ticks at = nsp_now();
    nsp_span_add_event(span, NSP_NAME("now"));
    nsp_span_set_i64(span, NSP_KEY("between"), 1);
    nsp_span_add_event_at(span, NSP_NAME("then"), at);
    nsp_span_add_event_with(span, NSP_NAME("with"), 0, attributes, 11);
    nsp_span_add_event_with(span, NSP_NAME("null"), at, NULL, 5);
    nsp_span_end(span);
    const captured_span *got = only();
    assert_int_equal(got->event_count, 4);
    assert_int_equal(got->attribute_count, 1); // the events' attributes do not count as the span's
    assert_string_equal(got->events[0].name, "now");
    assert_true(got->events[0].time_ns >= nsp_ticks_to_unix_ns(at) && got->events[0].time_ns <= got->end_ns);
    assert_string_equal(got->events[1].name, "then");
    assert_int_equal(got->events[1].time_ns, nsp_ticks_to_unix_ns(at));
    assert_int_equal(got->events[2].attribute_count, 11);
    for (size_t i = 0; i < 11; i++)
        assert_string_equal(got->events[2].attributes[i].text, expected[i]);
    assert_int_equal(got->events[3].attribute_count + got->events[3].dropped_attributes, 0);
}

static void links_carry_their_context(void **state)
{
    (void)state;
    nsp_context remote, local, invalid;
    assert_int_equal(nsp_context_parse(&remote, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                       "ot=th:8;rv:abcdef01234567,vendor=x"),
                     NSP_OK);
    memset(&invalid, 0, sizeof invalid);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_context(span, &local);
    const nsp_attr attribute = nsp_attr_str(NSP_KEY("why"), "batch");
    nsp_span_add_link(span, &remote);
    nsp_span_add_link_with(span, &local, &attribute, 1);
    nsp_span_add_link(span, &invalid);
    nsp_span_add_link(span, NULL);
    nsp_span_end(span);
    const captured_span *got = only();
    assert_int_equal(got->link_count, 2);
    assert_int_equal(got->dropped_links, 0);
    assert_memory_equal(got->links[0].trace_id, remote.trace_id, NSP_TRACE_ID_SIZE);
    assert_memory_equal(got->links[0].span_id, remote.span_id, NSP_SPAN_ID_SIZE);
    assert_int_equal(got->links[0].flags, 1);
    assert_true(got->links[0].remote);
    assert_string_equal(got->links[0].tracestate, "ot=th:8;rv:abcdef01234567,vendor=x");
    assert_memory_equal(got->links[1].span_id, got->span_id, NSP_SPAN_ID_SIZE);
    assert_false(got->links[1].remote);
    assert_string_equal(got->links[1].tracestate, "ot=th:0");
    assert_string_equal(got->links[1].attributes[0].text, "batch");
}

static void setters_on_a_span_that_is_not_recorded_are_nothing(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    nsp_span *spans[] = {nsp_span_begin(NSP_NAME("unsampled")), nsp_span_begin(NSP_NAME("child")),
                         nsp_span_begin_with(NSP_NAME("frame"), &options)};
    for (size_t i = 3; i-- > 0;) {
        nsp_context context;
        nsp_span_context(spans[i], &context);
        assert_true(nsp_context_valid(&context));
        nsp_span_set_i64(spans[i], NSP_KEY("k"), 1);
        nsp_span_set_str(spans[i], NSP_KEY("k"), "a text that is longer than sixteen bytes");
        nsp_span_set_i64s(spans[i], NSP_KEY("k"), (const int64_t[]){1}, 1);
        nsp_span_add_event(spans[i], NSP_NAME("e"));
        nsp_span_add_link(spans[i], &context);
        nsp_span_set_status(spans[i], NSP_SPAN_STATUS_ERROR, "m");
        nsp_span_end(spans[i]);
    }
    capture_settle();
    assert_int_equal(capture_count(), 0);
    assert_int_equal(capture_balance().misused, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, capture_sampled, capture_reset)
    const struct CMUnitTest tests[] = {
        TEST(every_type_arrives_as_it_was_set),
        TEST(texts_of_every_short_length_are_whole),
        TEST(the_caller_may_change_a_value_at_once),
        TEST(what_does_not_fit_is_cut),
        TEST(an_array_ends_with_the_element_that_is_cut),
        TEST(a_full_record_drops_and_counts_and_the_span_is_whole),
        TEST(every_fill_of_the_smallest_record_is_whole),
        TEST(the_largest_record_drops_what_comes_when_it_is_full),
        TEST(a_detached_span_keeps_to_the_smallest_record_too),
        TEST(limits_drop_and_count),
        TEST(values_are_cut_at_their_limit),
        TEST(the_limit_is_one_of_characters),
        TEST(limits_of_zero_drop_all),
        TEST(events_have_times_and_attributes),
        TEST(links_carry_their_context),
        TEST(setters_on_a_span_that_is_not_recorded_are_nothing),
    };
    return cmocka_run_group_tests_name("attribute", tests, NULL, NULL);
}
