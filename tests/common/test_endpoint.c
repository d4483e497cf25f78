// SPDX-License-Identifier: Apache-2.0
//
// The grammar of endpoints: the parts of each form, and the reasons for rejecting texts that are not
// endpoints.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/endpoint.h"

#define TEN "1234567890"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const char *part(nsp__slice slice, char out[200])
{
    snprintf(out, 200, "%.*s", slice.text ? (int)slice.length : 1, slice.text ? slice.text : "-");
    return out;
}

static void each_form_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        nsp__endpoint_form form;
        unsigned port;
        const char *user, *host, *path, *query, *socket; // "-": none
    } cases[] = {
        {"h", NSP__ENDPOINT_NO_SCHEME, 0, "-", "h", "-", "-", "-"},
        {"h:1", NSP__ENDPOINT_NO_SCHEME, 1, "-", "h", "-", "-", "-"},
        {"h/p?x=http://y", NSP__ENDPOINT_NO_SCHEME, 0, "-", "h", "/p", "x=http://y", "-"},
        {"HTTP://h:65535/", NSP__ENDPOINT_HTTP, 65535, "-", "h", "/", "-", "-"},
        {"https://u:p@w@h/a//?#f", NSP__ENDPOINT_HTTPS, 0, "u:p@w", "h", "/a//", "", "-"},
        {"http://u:%20%2500%@h", NSP__ENDPOINT_HTTP, 0, "u:%20%2500%", "h", "-", "-", "-"},
        {"http://h:/", NSP__ENDPOINT_HTTP, 0, "-", "h", "/", "-", "-"},
        {"https://h:", NSP__ENDPOINT_HTTPS, 0, "-", "h", "-", "-", "-"},
        {"http://h?q", NSP__ENDPOINT_HTTP, 0, "-", "h", "-", "q", "-"},
        {"http://h#f", NSP__ENDPOINT_HTTP, 0, "-", "h", "-", "-", "-"},
        {"otel_collector-1.a.b.:4317", NSP__ENDPOINT_NO_SCHEME, 4317, "-", "otel_collector-1.a.b.", "-", "-",
         "-"},
        {"http://m\xc3\xbcnchen", NSP__ENDPOINT_HTTP, 0, "-", "m\xc3\xbcnchen", "-", "-", "-"},
        {"10.0.0.1:0080", NSP__ENDPOINT_NO_SCHEME, 80, "-", "10.0.0.1", "-", "-", "-"},
        {"1a.2b", NSP__ENDPOINT_NO_SCHEME, 0, "-", "1a.2b", "-", "-", "-"},
        {"[::1]:4317", NSP__ENDPOINT_NO_SCHEME, 4317, "-", "[::1]", "-", "-", "-"},
        {"http://[fe80::1%eth0]:1/", NSP__ENDPOINT_HTTP, 1, "-", "[fe80::1%eth0]", "/", "-", "-"},
        {"http://[fe80::1%25en0.1]", NSP__ENDPOINT_HTTP, 0, "-", "[fe80::1%25en0.1]", "-", "-", "-"},
        {"unix:///run/o.sock", NSP__ENDPOINT_UNIX, 0, "-", "-", "-", "-", "/run/o.sock"},
        {"unix:o sock", NSP__ENDPOINT_UNIX, 0, "-", "-", "-", "-", "o sock"},
        {"UNIX-abstract:o", NSP__ENDPOINT_UNIX_ABSTRACT, 0, "-", "-", "-", "-", "o"},
        {" \n\"http://h:1\"\r\n", NSP__ENDPOINT_HTTP, 1, "-", "h", "-", "-", "-"},
        {"'h'", NSP__ENDPOINT_NO_SCHEME, 0, "-", "h", "-", "-", "-"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nsp__endpoint read;
        char out[200];
        const char *why = nsp__endpoint_read(&read, cases[i].text);
        if (why)
            fail_msg("%s: %s", cases[i].text, why);
        assert_int_equal(read.form, cases[i].form);
        assert_int_equal(read.port, cases[i].port);
        assert_string_equal(part(read.user, out), cases[i].user);
        assert_string_equal(part(read.host, out), cases[i].host);
        assert_string_equal(part(read.path, out), cases[i].path);
        assert_string_equal(part(read.query, out), cases[i].query);
        assert_string_equal(part(read.socket, out), cases[i].socket);
    }
}

static void texts_that_are_not_endpoints_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "empty"},
        {" \n", "empty"},
        {"\"\"", "empty"},
        {"ex ample", "blank"},
        {"http://h/a b", "blank"},
        {"http://h\nost", "line break"},
        {"h\x7f", "control"},
        {"\"http://h", "not allowed in host names"},
        {"\"h", "not allowed in host names"},
        {"h\"", "not allowed in host names"},
        {"ftp://h", "only http"},
        {"grpc://h:1", "only http"},
        {"http://", "no host"},
        {"http:///p", "no host"},
        {":4317", "no host"},
        {"http://u@", "no host"},
        {"http://u@:1", "no host"},
        {"h:", "port"},
        {"h:/", "port"},
        {"http:/h", "port"},
        {"http://h:0", "port"},
        {"http://h:65536", "port"},
        {"http://h:4294967297", "port"},
        {"http://h:12x", "port"},
        {"http://h:+1", "port"},
        {"http://::1", "brackets"},
        {"a:1:2", "brackets"},
        {"-", "hyphen"},
        {"http://-a", "hyphen"},
        {"http://a-.b", "hyphen"},
        {"a..b", "empty part"},
        {".a", "empty part"},
        {".", "empty part"},
        {"a..", "empty part"},
        {"a" SIXTY "123", "63"},
        {"http://a%20b", "not allowed in host names"},
        {"http://a,b", "not allowed in host names"},
        {"http://{h}", "not allowed in host names"},
        {"${HOST}:4317", "not allowed in host names"},
        {"4317", "a number"},
        {SIXTY "123", "a number"},
        {"256.1.1.1", "neither an IPv4 address"},
        {"1.2.3.4.5", "neither an IPv4 address"},
        {"http://user:sec%00ret@h", "user name or password"},
        {"http://us%0Aer@h", "user name or password"},
        {"u:p%7f@h:1", "user name or password"},
        {"[::1", "closing bracket"},
        {"[]:1", "not an IPv6 address"},
        {"[::g]", "not an IPv6 address"},
        {"[1.2.3.4]", "not an IPv6 address"},
        {"[::1]x", "follows its IPv6 address"},
        {"[fe80::1%]", "zone"},
        {"[fe80::1%25e/0]", "closing bracket"},
        {"[fe80::1%e:0]", "zone"},
        {"unix:", "no socket"},
        {"unix:///", "no socket"},
        {"unix-abstract:", "no socket"},
        {"unix://", "absolute path"},
        {"unix://host/p", "absolute path"},
        {"unix:" SIXTY TEN TEN TEN TEN "12345678", "107"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nsp__endpoint read;
        const char *why = nsp__endpoint_read(&read, cases[i].text);
        if (!why || !strstr(why, cases[i].why))
            fail_msg("%s: %s", cases[i].text, why ? why : "accepted");
    }
}

static void names_have_an_end(void **state)
{
    (void)state;
    nsp__endpoint read;
    char name[300] = "";
    for (int i = 0; i < 126; i++)
        strcat(name, "a.");
    strcat(name, "a"); // 253 characters
    assert_null(nsp__endpoint_read(&read, name));
    strcat(name, "."); // the root's dot is not one of them
    assert_null(nsp__endpoint_read(&read, name));
    strcat(name, "b");
    assert_non_null(nsp__endpoint_read(&read, name));
}

static void a_whole_path_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool whole;
    } cases[] = {
        {"http://h/v1/traces", true},    {"http://h/v1/traces/", true},  {"h:1/a/v1/traces//?q", true},
        {"http://h/v1/traces2", false},  {"http://h/xv1/traces", false}, {"http://h", false},
        {"http://h/?/v1/traces", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nsp__endpoint read;
        assert_null(nsp__endpoint_read(&read, cases[i].text));
        assert_int_equal(nsp__endpoint_is_whole(&read), cases[i].whole);
    }
}

// Every text gets a verdict, wherever it is cut.
static void no_text_is_read_beyond_its_end(void **state)
{
    (void)state;
    static const char *const seeds[] = {"http://u:p@[fe80::1%25eth0]:4318/a?b#c", "unix-abstract:name",
                                        "\"https://a.b-c_d:1/\"", "unix:///x"};
    static const char odd[] = {'%', '[', ']', '@', ':', '/', '?', '#', '"', ' ', '\n', '\x80', '.', '-', '0'};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        for (size_t at = 0; at <= strlen(seeds[i]); at++)
            for (size_t with = 0; with < sizeof odd; with++) {
                // On the heap, so that a sanitizer sees a step too far.
                char *text = strdup(seeds[i]);
                nsp__endpoint read;
                if (at < strlen(text))
                    text[at] = odd[with];
                nsp__endpoint_read(&read, text);
                free(text);
                text = strndup(seeds[i], at);
                nsp__endpoint_read(&read, text);
                free(text);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_taken_apart),
        cmocka_unit_test(texts_that_are_not_endpoints_are_refused_with_a_reason),
        cmocka_unit_test(names_have_an_end),
        cmocka_unit_test(a_whole_path_is_known),
        cmocka_unit_test(no_text_is_read_beyond_its_end),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
