// SPDX-License-Identifier: Apache-2.0
//
// Lists of key=value: how they are split, which entries are left out, and what the messages say about them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/header_list.h"
#include "common/pairs.h"
#include "common/visible.h"

static void a_list_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *entries;
    } cases[] = {
        {NULL, ""},
        {"", ""},
        {" , ,\n", ""},
        {"a=1", "1[a][1]"},
        {"a=1,b=2", "1[a][1]2[b][2]"},
        {" a\t=\r\n1 ,,\n b = 2=3 ", "1[a][1]3[b][2=3]"},
        {"a", "1[][a]"},
        {"=1", "1[][1]"},
        {"a=", "1[a][]"},
        {"\"a=1\"", "1[a][1]"},
        {"'a=1'\n", "1[a][1]"},
        {"\"a=1,b=2\"", "1[a][1]2[b][2]"},
        {"\"a=1\",\"b=2\"", "1[a][1]2[b][2]"},
        {"' a=1 ', b=2", "1[a][1]2[b][2]"},
        {"a=\"1\"", "1[a][\"1\"]"},
        {"\"a=1", "1[\"a][1]"},
        {"\"a=1'", "1[\"a][1']"},
        {"\"", "1[][\"]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char entries[200] = "";
        nsp__pairs list = nsp__pairs_of(cases[i].text);
        nsp__key_value pair;
        while (nsp__pairs_next(&list, &pair))
            snprintf(entries + strlen(entries), sizeof entries - strlen(entries), "%u[%.*s][%.*s]",
                     pair.position, (int)pair.key.length, pair.key.text ? pair.key.text : "",
                     (int)pair.value.length, pair.value.text);
        assert_string_equal(entries, cases[i].entries);
    }
}

static const nsp__header_use either = NSP__HEADER_EITHER, http = NSP__HEADER_HTTP, grpc = NSP__HEADER_GRPC;

static void headers_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *either, *http, *grpc; // a part of the fault; NULL: fine
    } cases[] = {
        {"a=1", NULL, NULL, NULL},
        {"a=", NULL, NULL, NULL},
        {"a%0A=1", NULL, NULL, NULL}, // names are not decoded, and a percent sign may be in one
        {"nonsense", "no \"=\"", "no \"=\"", "no \"=\""},
        {"=1", "name is empty", "name is empty", "name is empty"},
        {"bad key=1", "HTTP does not allow", "HTTP does not allow", "HTTP does not allow"},
        {"caf\xc3\xa9=1", "HTTP does not allow", "HTTP does not allow", "HTTP does not allow"},
        {"\"a=1", "HTTP does not allow", "HTTP does not allow", "HTTP does not allow"},
        {"a=%XX", "not begin an escape", "not begin an escape", "not begin an escape"},
        {"a=100%", "not begin an escape", "not begin an escape", "not begin an escape"},
        {"a=x%0d%0ab: y", "control", "control", "control"},
        {"a=x\ny", "control", "control", "control"},
        {"a=x%00", "control", "control", "control"},
        {"a=x%09y", NULL, NULL, "printable ASCII"},
        {"a=%c3%a4", NULL, NULL, "printable ASCII"},
        {"a-bin=%00%ff", NULL, "control", NULL},
        {"Content-Type=x", "sets itself", "sets itself", "sets itself"},
        {"CONTENT-LENGTH=1", "sets itself", "sets itself", "sets itself"},
        {"host=x", "sets itself", "sets itself", "sets itself"},
        {"te=x", "sets itself", "sets itself", "sets itself"},
        {"Grpc-Anything=x", "sets itself", "sets itself", "sets itself"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nsp__header_use *uses[] = {&either, &http, &grpc};
        const char *expected[] = {cases[i].either, cases[i].http, cases[i].grpc};
        for (int use = 0; use < 3; use++) {
            nsp__pairs list = nsp__pairs_of(cases[i].text);
            nsp__key_value pair;
            assert_true(nsp__pairs_next(&list, &pair));
            const char *fault = nsp__header_fault(&pair, uses[use]);
            const char *late = nsp__header_late_fault(&pair, uses[use]);
            if (!expected[use] != !fault || (fault && !strstr(fault, expected[use])))
                fail_msg("%s (%d): %s", cases[i].text, use, fault ? fault : "fine");
            assert_true((late != NULL) == (fault != NULL && cases[i].either == NULL));
        }
    }
}

static void what_is_left_out_is_named_by_its_position(void **state)
{
    (void)state;
    char said[600];
    nsp__pairs_verdict verdict =
        nsp__pairs_judge("a=1,bad key=secret,,te=secret,c=2", nsp__header_fault, &either, said, sizeof said);
    assert_int_equal(verdict.good, 2);
    assert_int_equal(verdict.bad, 2);
    assert_string_equal(said, "entry 2 is left out: its name contains a character that HTTP does not allow; "
                              "entry 4 is left out: its name is one that the exporter sets itself");
    verdict = nsp__pairs_judge("a=1", nsp__header_fault, &either, said, sizeof said);
    assert_int_equal(verdict.bad, 0);
    assert_string_equal(said, "");
    // A phrase is whole or not there.
    for (size_t size = 1; size <= 200; size++) {
        char room[201];
        memset(room, 'x', sizeof room);
        verdict = nsp__pairs_judge("=1,=2,=3,=4,=5", nsp__header_fault, &either, room, size);
        assert_int_equal(verdict.bad, 5);
        assert_non_null(memchr(room, 0, size));
        for (size_t i = size; i < sizeof room; i++)
            assert_int_equal(room[i], 'x');
    }
    verdict = nsp__pairs_judge("=1,=2,=3", nsp__header_fault, &either, said, 90);
    assert_string_equal(said, "entry 1 is left out: its name is empty; 2 more left out");
    verdict = nsp__pairs_judge("=1,b=2", nsp__header_fault, &either, NULL, 0);
    assert_int_equal(verdict.good, 1);
}

static void control_characters_are_made_visible(void **state)
{
    (void)state;
    char out[20];
    assert_string_equal(nsp__visible(out, sizeof out, "a\nb\t\r\x1b\x7f"), "a\\nb\\t\\r\\x1b\\x7f");
    assert_string_equal(nsp__visible(out, 4, "ab\n"), "ab");
    assert_string_equal(nsp__visible(out, 1, "ab"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_taken_apart),
        cmocka_unit_test(headers_are_judged),
        cmocka_unit_test(what_is_left_out_is_named_by_its_position),
        cmocka_unit_test(control_characters_are_made_visible),
    };
    return cmocka_run_group_tests_name("pairs", tests, NULL, NULL);
}
