// SPDX-License-Identifier: Apache-2.0
//
// Baggage: incoming and outgoing lists, escaped values, limits, and that arbitrary bytes do no harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "propagation/propagators.h"
#include "support/headers.h"
#include <nanospan/nanospan.h>

static headers request, sent;

static int begin(void **state)
{
    (void)state;
    nsp__propagators_choose("tracecontext,baggage");
    return 0;
}

static int end(void **state)
{
    (void)state;
    headers_clear(&request);
    headers_clear(&sent);
    return 0;
}

static nsp_baggage parsed(const char *text)
{
    nsp_baggage list;
    memset(&list, 0xa5, sizeof list);
    nsp_baggage_parsen(&list, text, strlen(text));
    assert_int_equal(strlen(list.text), list.length);
    return list;
}

static const char *value_of(const nsp_baggage *list, const char *key)
{
    static char value[NSP_BAGGAGE_MAX + 1];
    size_t length;
    nsp_status status = nsp_baggage_get(list, key, value, sizeof value, &length);
    assert_int_equal(strlen(value), length);
    if (status == NSP_OK)
        return value;
    assert_int_equal(status, NSP_ERR_NOT_FOUND);
    assert_int_equal(length, 0);
    return NULL;
}

// ---- lists ----

static void good_lists_lose_only_their_blanks(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"", ""},
        {"account=42", "account=42"},
        {"account=42,venue=XNAS", "account=42,venue=XNAS"},
        {" account = 42 \t,\tvenue\t=\tXNAS ", "account=42,venue=XNAS"},
        {"account=42,,venue=XNAS, ,", "account=42,venue=XNAS"},
        {"empty=", "empty="},
        {"a=1=2==", "a=1=2=="}, // only the first equals sign separates key and value
        {"a=1;p", "a=1;p"},
        {"a=1;p=2;q;r=3=4", "a=1;p=2;q;r=3=4"},
        {"a = 1 ; p = 2 ;\tq ; r=", "a=1;p=2;q;r="},
        {"a=1;;p;", "a=1;p"},
        {"!#$%&'*+-.^_`|~09AZaz=!#$%&'()*+-./:<=>?@[]^_`{|}~",
         "!#$%&'*+-.^_`|~09AZaz=!#$%&'()*+-./:<=>?@[]^_`{|}~"},
        {"a=%20%C3%A9,b=%zz%", "a=%20%C3%A9,b=%zz%"}, // passed on unchanged
        {"a=1,a=2,A=3", "a=1,a=2,A=3"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        nsp_baggage list = parsed(good[i][0]);
        assert_string_equal(list.text, good[i][1]);
        assert_int_equal(nsp_baggage_parsen(&list, good[i][0], strlen(good[i][0])), NSP_OK);
    }
    nsp_baggage list = parsed("a=1");
    assert_int_equal(nsp_baggage_parsen(&list, NULL, 0), NSP_OK);
    assert_int_equal(list.length, 0);
    assert_string_equal(list.text, "");
}

static void bad_members_are_left_out(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "key",     "=value", "key value=1", "k\"ey=1",      "k(=1",          "k@=1",   "k/=1",   "k[=1",
        "k:=1",    "\xc3=1", "a=1 2",       "a=\"quoted\"", "a=back\\slash", "a=\x7f", "a=\x1f", "a=\xc3\xa9",
        "a=1;p p", "a=1;=2", "a=1;p=x y",   "a=1;\"",       "a=1;p=\x80",    ";a=1",   "a;b=1",  "a\v=1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[100];
        snprintf(text, sizeof text, "first=1,%s,last=2", bad[i]);
        nsp_baggage list = parsed(text);
        assert_string_equal(list.text, "first=1,last=2");
        assert_int_equal(nsp_baggage_parsen(&list, text, strlen(text)), NSP_ERR_INVALID);
        assert_int_equal(nsp_baggage_parsen(&list, bad[i], strlen(bad[i])), NSP_ERR_INVALID);
        assert_int_equal(list.length, 0);
    }
    // Every byte at each position: keys are tokens, values have a character set of their own.
    for (int c = 0; c < 256; c++) {
        char key[] = {'k', (char)c, '=', 'v'}, value[] = {'k', '=', 'v', (char)c, 'w'};
        nsp_baggage list;
        bool token =
            c != 0 && strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                             c) != NULL;
        // Blanks and separators keep their meaning where they have one.
        if (strchr(" \t=,;", c) == NULL || c == 0) {
            assert_int_equal(nsp_baggage_parsen(&list, key, sizeof key), token ? NSP_OK : NSP_ERR_INVALID);
            assert_int_equal(list.length, token ? 4 : 0);
        }
        if (c == ',' || c == ';')
            continue;
        bool octet = c == 0x21 || (c >= 0x23 && c <= 0x2b) || (c >= 0x2d && c <= 0x3a) ||
                     (c >= 0x3c && c <= 0x5b) || (c >= 0x5d && c <= 0x7e);
        assert_int_equal(nsp_baggage_parsen(&list, value, sizeof value), octet ? NSP_OK : NSP_ERR_INVALID);
        assert_int_equal(list.length, octet ? 5 : 0);
    }
}

static void members_are_walked_in_their_order(void **state)
{
    (void)state;
    nsp_baggage list = parsed("a=1;p;q=2, b= ,c=%41;r");
    static const char *const expected[][3] = {{"a", "1", "p;q=2"}, {"b", "", ""}, {"c", "%41", "r"}};
    nsp_baggage_member member;
    size_t at = 0, count = 0;
    for (; nsp_baggage_next(&list, &at, &member); count++) {
        assert_true(count < 3);
        assert_int_equal(member.key_length, strlen(expected[count][0]));
        assert_memory_equal(member.key, expected[count][0], member.key_length);
        assert_int_equal(member.value_length, strlen(expected[count][1]));
        assert_memory_equal(member.value, expected[count][1], member.value_length);
        assert_int_equal(member.properties_length, strlen(expected[count][2]));
        assert_memory_equal(member.properties, expected[count][2], member.properties_length);
    }
    assert_int_equal(count, 3);
    assert_false(nsp_baggage_next(&list, &at, &member));
    nsp_baggage none = {0};
    at = 0;
    assert_false(nsp_baggage_next(&none, &at, &member));
}

// ---- values ----

static void values_are_decoded(void **state)
{
    (void)state;
#define BAD "\xef\xbf\xbd"
    static const char *const values[][2] = {
        {"plain", "plain"},
        {"a%20b", "a b"},
        {"%C3%A9", "\xc3\xa9"},
        {"%c3%a9", "\xc3\xa9"},
        {"%F0%9F%98%80!", "\xf0\x9f\x98\x80!"},
        {"%25", "%"},
        {"%2541", "%41"}, // decoded once
        {"+", "+"},       // not a space
        {"%", "%"},
        {"%4", "%4"},
        {"%4g%g4", "%4g%g4"},
        {"x%", "x%"},
        // Not UTF-8: one U+FFFD for each part that cannot be continued.
        {"%FF", BAD},
        {"%80%80", BAD BAD},
        {"%C3", BAD},
        {"%C3x", BAD "x"},
        {"%C3%C3%A9", BAD "\xc3\xa9"},
        {"%E2%82", BAD},
        {"%E2%82%41", BAD "A"},
        {"%F0%9F%98", BAD},
        {"%C0%AF", BAD BAD},               // overlong
        {"%E0%80%80", BAD BAD BAD},        // overlong
        {"%ED%A0%80", BAD BAD BAD},        // a surrogate
        {"%F4%90%80%80", BAD BAD BAD BAD}, // above the last code point
        {"%F5", BAD},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "k=%s", values[i][0]);
        nsp_baggage list = parsed(text);
        assert_string_equal(list.text, text);
        assert_string_equal(value_of(&list, "k"), values[i][1]);
    }
    nsp_baggage list = parsed("k=a%00b");
    char value[8];
    size_t length;
    assert_int_equal(nsp_baggage_get(&list, "k", value, sizeof value, &length), NSP_OK);
    assert_int_equal(length, 3);
    assert_memory_equal(value, "a\0b", 4);
}

static void short_buffers_get_the_size_that_is_needed(void **state)
{
    (void)state;
    nsp_baggage list = parsed("k=%20%20%20,k=four");
    char value[5] = "xxxx";
    size_t length = 0;
    assert_int_equal(nsp_baggage_get(&list, "k", value, 4, &length), NSP_ERR_FULL);
    assert_string_equal(value, "");
    assert_int_equal(length, 4);
    assert_int_equal(nsp_baggage_get(&list, "k", NULL, 0, &length), NSP_ERR_FULL);
    assert_int_equal(nsp_baggage_get(&list, "k", value, 5, NULL), NSP_OK);
    assert_string_equal(value, "four"); // the last value of the key
    assert_int_equal(nsp_baggage_get(&list, "K", value, 5, NULL), NSP_ERR_NOT_FOUND);
    assert_int_equal(nsp_baggage_get(&list, "", value, 5, NULL), NSP_ERR_NOT_FOUND);
}

static void values_are_encoded(void **state)
{
    (void)state;
    nsp_baggage list = {0};
    assert_int_equal(nsp_baggage_set(&list, "a", "1"), NSP_OK);
    assert_int_equal(nsp_baggage_set(&list, "b", "x y,z;\"\\%=\xc3\xa9"), NSP_OK);
    assert_string_equal(list.text, "a=1,b=x%20y%2Cz%3B%22%5C%25=%C3%A9");
    assert_string_equal(value_of(&list, "b"), "x y,z;\"\\%=\xc3\xa9");
    assert_int_equal(nsp_baggage_set_with(&list, "c", "a\0b", 3, NULL), NSP_OK);
    assert_string_equal(list.text, "a=1,b=x%20y%2Cz%3B%22%5C%25=%C3%A9,c=a%00b");
    assert_int_equal(nsp_baggage_set(&list, "c", "1+1"), NSP_OK); // the plus must not become a space
    assert_string_equal(value_of(&list, "c"), "1+1");
    assert_non_null(strstr(list.text, ",c=1%2B1"));
    assert_int_equal(nsp_baggage_set_with(&list, "c", "a\0b", 3, NULL), NSP_OK);
    // It replaces the old member, and goes to the end.
    assert_int_equal(nsp_baggage_set(&list, "b", ""), NSP_OK);
    assert_string_equal(list.text, "a=1,c=a%00b,b=");
    assert_int_equal(nsp_baggage_set_with(&list, "a", "2", 1, " p = 1 ;q;"), NSP_OK);
    assert_string_equal(list.text, "c=a%00b,b=,a=2;p=1;q");
    // With a value from the list itself.
    nsp_baggage_member member;
    size_t at = 0;
    assert_true(nsp_baggage_next(&list, &at, &member));
    assert_int_equal(nsp_baggage_set_with(&list, "c", member.value, member.value_length, NULL), NSP_OK);
    assert_string_equal(list.text, "b=,a=2;p=1;q,c=a%2500b");
    list = parsed("d=1,e=2,d=3,f=4,d=5");
    assert_int_equal(nsp_baggage_set(&list, "d", "6"), NSP_OK);
    assert_string_equal(list.text, "e=2,f=4,d=6");

    static const char *const keys[] = {"", " ", "a b", "a=", "a,", "\xc3\xa9", "a;b", "(", "a\t"};
    static const char *const values[] = {"\xff", "\xc3", "\xed\xa0\x80", "ok\x80"};
    static const char *const properties[] = {"p p", "=", "p=\"", "a,b", "\x80", "p;=1"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(nsp_baggage_set(&list, keys[i], "1"), NSP_ERR_INVALID);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_int_equal(nsp_baggage_set(&list, "e", values[i]), NSP_ERR_INVALID);
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
        assert_int_equal(nsp_baggage_set_with(&list, "e", "1", 1, properties[i]), NSP_ERR_INVALID);
    assert_string_equal(list.text, "e=2,f=4,d=6");
}

static void members_are_removed(void **state)
{
    (void)state;
    nsp_baggage list = parsed("a=1,b=2;p,a=3,c=4,a=");
    assert_int_equal(nsp_baggage_remove(&list, "x"), NSP_ERR_NOT_FOUND);
    assert_int_equal(nsp_baggage_remove(&list, "a"), NSP_OK);
    assert_string_equal(list.text, "b=2;p,c=4");
    assert_int_equal(nsp_baggage_remove(&list, "c"), NSP_OK);
    assert_string_equal(list.text, "b=2;p");
    assert_int_equal(nsp_baggage_remove(&list, "b"), NSP_OK);
    assert_string_equal(list.text, "");
    assert_int_equal(list.length, 0);
    assert_int_equal(nsp_baggage_remove(&list, "b"), NSP_ERR_NOT_FOUND);
}

// ---- limits ----

// The value to set may be part of the list itself, even of a member that is removed.
static void members_are_set_from_the_list_itself(void **state)
{
    (void)state;
    nsp_baggage list;
    assert_int_equal(nsp_baggage_parsen(&list, "a=1;p=q,b=2,a=3", 15), NSP_OK);
    size_t at = 0;
    nsp_baggage_member member;
    assert_true(nsp_baggage_next(&list, &at, &member));
    assert_int_equal(nsp_baggage_set_with(&list, "a", member.value, member.value_length, NULL), NSP_OK);
    assert_string_equal(list.text, "b=2,a=1");
    assert_int_equal(nsp_baggage_set_with(&list, "b", list.text, 3, list.text + 6), NSP_OK);
    assert_string_equal(list.text, "a=1,b=b=2;1");
    // Without room for both, the value is rejected and the list is unchanged.
    char text[NSP_BAGGAGE_MAX + 1];
    memset(text, 'v', sizeof text);
    memcpy(text, "a=1,b=", 6);
    assert_int_equal(nsp_baggage_parsen(&list, text, NSP_BAGGAGE_MAX), NSP_OK);
    assert_int_equal(nsp_baggage_set_with(&list, "b", list.text + 6, 100, NULL), NSP_ERR_FULL);
    assert_memory_equal(list.text, text, NSP_BAGGAGE_MAX);
    assert_int_equal(nsp_baggage_set_with(&list, "b", text + 6, NSP_BAGGAGE_MAX - 6, NULL), NSP_OK);
    assert_memory_equal(list.text, text, NSP_BAGGAGE_MAX);
    assert_int_equal(nsp_baggage_set_with(&list, "b", text + 6, 100, NULL), NSP_OK);
    assert_int_equal(list.length, 106);
    assert_int_equal(nsp_baggage_set(&list, "a", "2"), NSP_OK);
    assert_memory_equal(list.text, text + 4, 102);
    assert_string_equal(list.text + 102, ",a=2");
}

static void the_least_that_must_pass_passes(void **state)
{
    (void)state;
    // 64 members, 8192 bytes in all.
    char text[NSP_BAGGAGE_MAX + 16], value[NSP_BAGGAGE_MAX / 3];
    size_t length = 0;
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 64; i++)
        length +=
            (size_t)sprintf(text + length, "%sk%02d=%.*s", i == 0 ? "" : ",", i, i == 0 ? 124 : 123, value);
    assert_int_equal(length, NSP_BAGGAGE_MAX);
    nsp_baggage list;
    assert_int_equal(nsp_baggage_parsen(&list, text, length), NSP_OK);
    assert_int_equal(list.length, NSP_BAGGAGE_MAX);
    assert_string_equal(list.text, text);
    assert_int_equal(nsp_baggage_set(&list, "k", ""), NSP_ERR_FULL);
    assert_string_equal(list.text, text);
    assert_int_equal(nsp_baggage_set(&list, "k63", "1"), NSP_OK); // the place of its old value is free
    // With one byte more, the member that this byte belongs to is dropped, and a shorter one after it stays.
    strcpy(text + length, "w,z=1");
    assert_int_equal(nsp_baggage_parsen(&list, text, strlen(text)), NSP_ERR_FULL);
    assert_non_null(value_of(&list, "k62"));
    assert_null(value_of(&list, "k63"));
    assert_string_equal(value_of(&list, "z"), "1");
    // Many small members.
    length = 0;
    for (int i = 0; i < 180; i++)
        length += (size_t)sprintf(text + length, "%sk%d=%d", i == 0 ? "" : ",", i, i);
    assert_int_equal(nsp_baggage_parsen(&list, text, length), NSP_OK);
    assert_string_equal(list.text, text);
    // A value that is too long only because of its escapes.
    memset(value, ' ', sizeof value);
    value[sizeof value - 1] = '\0';
    list = (nsp_baggage){0};
    assert_int_equal(nsp_baggage_set(&list, "key", value), NSP_OK); // 4 + 3 * 2729 = 8191
    assert_int_equal(list.length, 8191);
    assert_int_equal(nsp_baggage_set(&list, "longer", value), NSP_ERR_FULL);
    assert_int_equal(nsp_baggage_set(&list, "a", ""), NSP_ERR_FULL);
    assert_int_equal(list.length, 8191);
    char *huge = calloc(1, 1 << 20);
    assert_non_null(huge);
    memset(huge, 'v', (1 << 20) - 1);
    assert_int_equal(nsp_baggage_set(&list, "key", huge), NSP_ERR_FULL);
    assert_int_equal(nsp_baggage_set(&list, huge, "x"), NSP_ERR_FULL);
    assert_int_equal(nsp_baggage_parsen(&list, huge, 1 << 20), NSP_ERR_INVALID);
    free(huge);
}

// ---- fields ----

static void several_fields_are_one_list(void **state)
{
    (void)state;
    nsp_incoming incoming;
    headers_read(&request,
                 "Baggage:  account=42 ;p\nbaggage: venue = XNAS, bad\nBAGGAGE: \nbaggage: ,desk=7,\n");
    nsp_carrier carrier = headers_carrier(&request);
    memset(&incoming, 0xa5, sizeof incoming);
    assert_int_equal(nsp_extract(&incoming, &carrier), NSP_ERR_NOT_FOUND); // no context, which is no fault
    assert_string_equal(incoming.baggage.text, "account=42;p,venue=XNAS,desk=7");
    assert_false(nsp_context_valid(&incoming.context));
    carrier = headers_carrier(&sent);
    headers_clear(&sent);
    assert_int_equal(nsp_inject(NULL, &incoming.baggage, &carrier), NSP_OK);
    assert_int_equal(sent.count, 1);
    assert_string_equal(headers_value(&sent, "baggage"), incoming.baggage.text);
    // An empty list is not sent.
    headers_clear(&sent);
    nsp_baggage none = {0};
    assert_int_equal(nsp_inject(NULL, &none, &carrier), NSP_OK);
    assert_int_equal(sent.count, 0);
    // If baggage is not configured, it is neither sent nor read.
    nsp__propagators_choose("tracecontext");
    assert_int_equal(nsp_inject(NULL, &incoming.baggage, &carrier), NSP_OK);
    assert_int_equal(sent.count, 0);
    carrier = headers_carrier(&request);
    nsp_extract(&incoming, &carrier);
    assert_int_equal(incoming.baggage.length, 0);
    // As many fields as members.
    nsp__propagators_choose("baggage");
    headers_clear(&request);
    for (int i = 0; i < 180; i++) {
        char member[32];
        snprintf(member, sizeof member, "k%d=%d", i, i);
        headers_add(&request, "baggage", member);
    }
    nsp_extract(&incoming, &carrier);
    assert_string_equal(value_of(&incoming.baggage, "k179"), "179");
}

// ---- any bytes ----

// Is the text a list that may be sent? Written from the grammar, independently of the parser.
static bool sendable(const char *text)
{
    static const char token[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t i = 0;
    if (text[0] == '\0')
        return true;
    for (;;) {
        size_t span = strspn(text + i, token);
        if (span == 0 || text[i + span] != '=')
            return false;
        i += span + 1;
        for (;;) {
            while (text[i] > ' ' && text[i] < 0x7f && strchr("\",;\\", text[i]) == NULL)
                i++;
            if (text[i] != ';')
                break;
            i++;
            span = strspn(text + i, token);
            if (span == 0)
                return false;
            i += span;
            if (text[i] == '=')
                i++;
            else if (text[i] != ';' && text[i] != ',' && text[i] != '\0')
                return false;
        }
        if (text[i] == '\0')
            return true;
        if (text[i++] != ',')
            return false;
    }
}

static void check_property(const char *text, size_t length)
{
    static nsp_baggage list, again, rebuilt;
    nsp_baggage_member member;
    char *exact = malloc(length != 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, text, length);
    nsp_baggage_parsen(&list, exact, length);
    free(exact);
    assert_true(list.length <= NSP_BAGGAGE_MAX && strlen(list.text) == list.length);
    assert_true(sendable(list.text));
    assert_int_equal(nsp_baggage_parsen(&again, list.text, list.length), NSP_OK);
    assert_string_equal(again.text, list.text);
    // A list that is built from the members has the same content.
    rebuilt.length = 0;
    rebuilt.text[0] = '\0';
    for (size_t at = 0; nsp_baggage_next(&list, &at, &member);) {
        char key[NSP_BAGGAGE_MAX + 1], value[NSP_BAGGAGE_MAX + 1], properties[NSP_BAGGAGE_MAX + 1];
        static char last[NSP_BAGGAGE_MAX + 1];
        size_t decoded = nsp_baggage_decode(member.value, member.value_length, value, sizeof value);
        assert_true(decoded <= member.value_length && value[decoded] == '\0');
        snprintf(key, sizeof key, "%.*s", (int)member.key_length, member.key);
        snprintf(properties, sizeof properties, "%.*s", (int)member.properties_length, member.properties);
        size_t last_length;
        assert_int_equal(nsp_baggage_get(&list, key, last, sizeof last, &last_length), NSP_OK);
        nsp_status status = nsp_baggage_set_with(&rebuilt, key, last, last_length, properties);
        assert_true(status == NSP_OK || status == NSP_ERR_FULL); // our escapes may be longer
        assert_true(sendable(rebuilt.text));
        if (status == NSP_OK) {
            assert_int_equal(nsp_baggage_get(&rebuilt, key, value, sizeof value, &decoded), NSP_OK);
            assert_int_equal(decoded, last_length);
            assert_memory_equal(value, last, decoded);
        }
    }
}

static void hostile_lists_do_no_harm(void **state)
{
    (void)state;
    static const char *const seeds[] = {"account=42,venue=XNAS;primary;since=1999,desk=%C3%A9%20x",
                                        " a = 1 ; p = 2 ,\tb=,c=%FF%zz", "k=v"};
    static const char characters[] = ",;= \t%\"\\\0\x7f\x80"
                                     "aA0";
    uint64_t random = 0xba66a6e;
    const char *wanted = getenv("NSP_FUZZ_RUNS");
    long runs = wanted != NULL ? atol(wanted) : 30000;
    for (long run = 0; run < runs; run++) {
        char text[256];
        const char *seed = seeds[nsp__random_next(&random) % 3];
        size_t length = strlen(seed);
        memcpy(text, seed, length);
        for (size_t changes = nsp__random_next(&random) % 8; changes != 0 && length < 200; changes--) {
            uint64_t draw = nsp__random_next(&random);
            size_t at = draw % (length + 1);
            if (draw & 512) {
                memmove(text + at + 1, text + at, length - at);
                length++;
            } else if (at == length) {
                length /= 2;
                continue;
            }
            text[at] = draw & 256 ? characters[(draw >> 16) % (sizeof characters - 1)] : (char)(draw >> 32);
        }
        check_property(text, length);
    }
    // Huge fields of one character each.
    char *huge = malloc(1 << 20);
    assert_non_null(huge);
    for (int c = 0; c < 256; c++) {
        memset(huge, c, 1 << 20);
        check_property(huge, 1 << 20);
        memcpy(huge, "k=v,", 4);
        check_property(huge, 20000);
    }
    for (size_t i = 0; i < 1 << 20; i++)
        huge[i] = "k=,"[i % 3];
    check_property(huge, 9000);
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_set_from_the_list_itself),
        cmocka_unit_test(good_lists_lose_only_their_blanks),
        cmocka_unit_test(bad_members_are_left_out),
        cmocka_unit_test(members_are_walked_in_their_order),
        cmocka_unit_test(values_are_decoded),
        cmocka_unit_test(short_buffers_get_the_size_that_is_needed),
        cmocka_unit_test(values_are_encoded),
        cmocka_unit_test(members_are_removed),
        cmocka_unit_test(the_least_that_must_pass_passes),
        cmocka_unit_test_setup_teardown(several_fields_are_one_list, begin, end),
        cmocka_unit_test(hostile_lists_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
