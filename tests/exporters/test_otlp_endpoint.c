// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "http/headers.h"
#include "otlp/endpoint.h"

typedef struct endpoint_case {
    const char *endpoint;
    bool exact, insecure;
    const char *protocol;
    nsp_status status;
    const char *url;   // or a part of the detail if the status is an error
    const char *shown; // NULL: the same as url
    bool loopback;
} endpoint_case;

// Fills the name of a Unix socket.
#define FIFTY "12345678901234567890123456789012345678901234567890"

static const endpoint_case cases[] = {
    {NULL, false, true, NULL, NSP_OK, "http://localhost:4318/v1/traces", NULL, true},
    {"", false, false, "", NSP_OK, "http://localhost:4318/v1/traces", NULL, true},
    {"http://collector:4318", false, false, NULL, NSP_OK, "http://collector:4318/v1/traces", NULL, false},
    {"http://collector", false, false, NULL, NSP_OK, "http://collector/v1/traces", NULL, false},
    {"https://collector/", false, true, NULL, NSP_OK, "https://collector/v1/traces", NULL, false},
    {"https://c:443/prefix", false, true, NULL, NSP_OK, "https://c:443/prefix/v1/traces", NULL, false},
    {"https://c/prefix/", false, true, NULL, NSP_OK, "https://c/prefix/v1/traces", NULL, false},
    {"http://c:4318/v1/traces", false, true, NULL, NSP_OK, "http://c:4318/v1/traces/v1/traces", NULL, false},
    {"http://c:4318/v1/traces/", false, true, NULL, NSP_OK, "http://c:4318/v1/traces/v1/traces", NULL, false},
    {"http://c:4318/v1/traces", true, true, NULL, NSP_OK, "http://c:4318/v1/traces", NULL, false},
    {"http://c/a//", false, true, NULL, NSP_OK, "http://c/a//v1/traces", NULL, false},
    {"http://c:/", false, true, NULL, NSP_OK, "http://c/v1/traces", NULL, false},
    {"https://c:", false, true, NULL, NSP_OK, "https://c/v1/traces", NULL, false},
    {"http://c:/x?k=v#f", true, true, NULL, NSP_OK, "http://c/x?k=v", "http://c/x", false},
    {" \t\"http://c:4318\"\r\n", false, true, NULL, NSP_OK, "http://c:4318/v1/traces", NULL, false},
    {"http://[fe80::1%25eth0]:4318", false, true, NULL, NSP_OK, "http://[fe80::1%25eth0]:4318/v1/traces",
     NULL, false},
    {"http://otel_collector:4318", false, true, NULL, NSP_OK, "http://otel_collector:4318/v1/traces", NULL,
     false},
    {"http://c:4318/other", true, true, NULL, NSP_OK, "http://c:4318/other", NULL, false},
    {"http://c:4318", true, true, NULL, NSP_OK, "http://c:4318/", NULL, false},
    {"collector:4318", false, true, NULL, NSP_OK, "http://collector:4318/v1/traces", NULL, false},
    {"collector:4318", false, false, NULL, NSP_OK, "https://collector:4318/v1/traces", NULL, false},
    {"collector", false, true, NULL, NSP_OK, "http://collector:4318/v1/traces", NULL, false},
    {"collector/in", false, true, NULL, NSP_OK, "http://collector:4318/in/v1/traces", NULL, false},
    {"127.0.0.1:9", false, true, NULL, NSP_OK, "http://127.0.0.1:9/v1/traces", NULL, true},
    {"[::1]:9", false, true, NULL, NSP_OK, "http://[::1]:9/v1/traces", NULL, true},
    {"http://[::1]", false, true, NULL, NSP_OK, "http://[::1]/v1/traces", NULL, true},
    {"http://LOCALHOST:1", false, true, NULL, NSP_OK, "http://LOCALHOST:1/v1/traces", NULL, true},
    {"http://127.evil.example:1", false, true, NULL, NSP_OK, "http://127.evil.example:1/v1/traces", NULL,
     false},
    {"http://u:p@c:1/x?k=v", false, true, NULL, NSP_OK, "http://u:p@c:1/x/v1/traces?k=v",
     "http://c:1/x/v1/traces", false},
    {"http://c:4317", false, true, "http/protobuf", NSP_OK, "http://c:4317/v1/traces", NULL, false},
    {"http://c:4317/v1/traces", true, true, NULL, NSP_OK, "http://c:4317/v1/traces", NULL, false},
    {"unix:", false, true, NULL, NSP_ERR_CONFIG, "names no socket", NULL, false},
    {"unix-abstract:", false, true, NULL, NSP_ERR_CONFIG, "names no socket", NULL, false},
    {"unix://host/path", false, true, NULL, NSP_ERR_CONFIG, "absolute path", NULL, false},
    {"unix://", false, true, NULL, NSP_ERR_CONFIG, "absolute path", NULL, false},
    {"unix:" FIFTY FIFTY "12345678", false, true, NULL, NSP_ERR_CONFIG, "limit of 107 bytes", NULL, false},
    {"grpc://c:1", false, true, NULL, NSP_ERR_CONFIG, "only http, https and unix", NULL, false},
    {"http://c:4318", false, true, "carrier pigeon", NSP_ERR_CONFIG, "carrier pigeon", NULL, false},
    {"ftp://c", false, true, NULL, NSP_ERR_CONFIG, "only http, https and unix", NULL, false},
    {"file:///etc/passwd", false, true, NULL, NSP_ERR_CONFIG, "only http, https and unix", NULL, false},
    {"http://c:port", false, true, NULL, NSP_ERR_CONFIG, "its port is not a number", NULL, false},
    {"http://", false, true, NULL, NSP_ERR_CONFIG, "names no host", NULL, false},
    {"http://a\xff", false, true, NULL, NSP_ERR_CONFIG, "xn--", NULL, false},
    {"http://a b", false, true, NULL, NSP_ERR_CONFIG, "\"http://a b\" cannot be used: it contains a blank",
     NULL, false},
    {"http://a\nb", false, true, NULL, NSP_ERR_CONFIG,
     "\"http://a\\nb\" cannot be used: it contains a line break", NULL, false},
};

static void resolves_each_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const endpoint_case *c = &cases[i];
        nsp_config config = {.endpoint = c->endpoint,
                             .endpoint_exact = c->exact,
                             .insecure = c->insecure,
                             .protocol = c->protocol};
        nsp__otlp_endpoint endpoint;
        char detail[256] = "";
        nsp_status status = nsp__otlp_endpoint_resolve(&endpoint, &config, detail, sizeof detail);
        if (status != c->status)
            print_error("%s: %s\n", c->endpoint, detail);
        assert_int_equal(status, c->status);
        if (status == NSP_OK) {
            assert_string_equal(endpoint.peer.url, c->url);
            assert_string_equal(endpoint.peer.shown, c->shown ? c->shown : c->url);
            assert_int_equal(endpoint.peer.loopback, c->loopback);
            assert_int_equal(endpoint.protocol, NSP_OTLP_HTTP_PROTOBUF);
            assert_false(endpoint.peer.http2);
            assert_int_equal(endpoint.peer.tls, strncmp(c->url, "https", 5) == 0);
            assert_null(endpoint.peer.unix_socket);
            assert_string_equal(detail, "");
        } else {
            assert_non_null(strstr(detail, c->url));
            assert_null(endpoint.peer.url);
        }
        nsp__otlp_endpoint_free(&endpoint);
    }
}

enum { LOOPBACK = 1, TLS = 2, PATH_IGNORED = 4, ABSTRACT = 8, EXACT = 16, SECURE = 32 };

typedef struct protocol_case {
    const char *endpoint, *protocol;
    nsp_otlp_protocol expected;
    const char *url, *shown;
    const char *socket;
    unsigned flags;
} protocol_case;

#define EXPORT "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

static const protocol_case protocols[] = {
    {"http://c:4318", "http/json", NSP_OTLP_HTTP_JSON, "http://c:4318/v1/traces", "http://c:4318/v1/traces",
     NULL, 0},
    {"http://c:4317", NULL, NSP_OTLP_GRPC, "http://c:4317" EXPORT, "http://c:4317", NULL, 0},
    {"http://c:4317/", NULL, NSP_OTLP_GRPC, "http://c:4317" EXPORT, "http://c:4317", NULL, EXACT},
    {"c:4317", NULL, NSP_OTLP_GRPC, "http://c:4317" EXPORT, "http://c:4317", NULL, 0},
    {"c:4317", NULL, NSP_OTLP_GRPC, "https://c:4317" EXPORT, "https://c:4317", NULL, SECURE | TLS},
    {"https://c:4317", NULL, NSP_OTLP_GRPC, "https://c:4317" EXPORT, "https://c:4317", NULL, TLS},
    {"http://c:4317", NULL, NSP_OTLP_GRPC, "http://c:4317" EXPORT, "http://c:4317", NULL, SECURE},
    {"http://c:4318", "grpc", NSP_OTLP_GRPC, "http://c:4318" EXPORT, "http://c:4318", NULL, 0},
    {"c", "grpc", NSP_OTLP_GRPC, "http://c:4317" EXPORT, "http://c:4317", NULL, 0},
    {"https://c", "grpc", NSP_OTLP_GRPC, "https://c" EXPORT, "https://c", NULL, TLS},
    {NULL, "grpc", NSP_OTLP_GRPC, "http://localhost:4317" EXPORT, "http://localhost:4317", NULL, LOOPBACK},
    {"http://c:1/a/b?q=1#f", "grpc", NSP_OTLP_GRPC, "http://c:1" EXPORT, "http://c:1", NULL,
     EXACT | PATH_IGNORED},
    {"http://u:p@c:4317", NULL, NSP_OTLP_GRPC, "http://u:p@c:4317" EXPORT, "http://c:4317", NULL, 0},
    {"http://[::1]:4317", NULL, NSP_OTLP_GRPC, "http://[::1]:4317" EXPORT, "http://[::1]:4317", NULL,
     LOOPBACK},
    {"unix:///run/o.sock", NULL, NSP_OTLP_GRPC, "http://localhost" EXPORT, "unix:/run/o.sock", "/run/o.sock",
     LOOPBACK},
    {"unix:/o.sock", "grpc", NSP_OTLP_GRPC, "http://localhost" EXPORT, "unix:/o.sock", "/o.sock",
     EXACT | SECURE | LOOPBACK},
    {"unix:o.sock", NULL, NSP_OTLP_GRPC, "http://localhost" EXPORT, "unix:o.sock", "o.sock", LOOPBACK},
    {"UNIX-abstract:o", NULL, NSP_OTLP_GRPC, "http://localhost" EXPORT, "unix-abstract:o", "o",
     LOOPBACK | ABSTRACT},
    {"unix:///o", "http/protobuf", NSP_OTLP_HTTP_PROTOBUF, "http://localhost/v1/traces", "unix:/o", "/o",
     LOOPBACK},
    {"unix:///o", "http/json", NSP_OTLP_HTTP_JSON, "http://localhost/v1/traces", "unix:/o", "/o",
     EXACT | LOOPBACK},
    {"unix:" FIFTY FIFTY "1234567", NULL, NSP_OTLP_GRPC, "http://localhost" EXPORT,
     "unix:" FIFTY FIFTY "1234567", FIFTY FIFTY "1234567", LOOPBACK},
};

static void finds_the_protocol(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; ++i) {
        const protocol_case *c = &protocols[i];
        nsp_config config = {.endpoint = c->endpoint,
                             .endpoint_exact = c->flags & EXACT,
                             .insecure = !(c->flags & SECURE),
                             .protocol = c->protocol};
        nsp__otlp_endpoint endpoint;
        char detail[256] = "";
        assert_int_equal(nsp__otlp_endpoint_resolve(&endpoint, &config, detail, sizeof detail), NSP_OK);
        assert_int_equal(endpoint.protocol, c->expected);
        assert_int_equal(endpoint.peer.http2, c->expected == NSP_OTLP_GRPC);
        assert_string_equal(endpoint.peer.url, c->url);
        assert_string_equal(endpoint.peer.shown, c->shown);
        assert_int_equal(endpoint.peer.loopback, (c->flags & LOOPBACK) != 0);
        assert_int_equal(endpoint.peer.tls, (c->flags & TLS) != 0);
        assert_int_equal(endpoint.path_ignored, (c->flags & PATH_IGNORED) != 0);
        assert_int_equal(endpoint.peer.abstract, (c->flags & ABSTRACT) != 0);
        if (c->socket)
            assert_string_equal(endpoint.peer.unix_socket, c->socket);
        else
            assert_null(endpoint.peer.unix_socket);
        nsp__otlp_endpoint_free(&endpoint);
    }
}

static void a_complaint_does_not_tell_the_password(void **state)
{
    (void)state;
    static const char *const endpoints[] = {"ftp://user:secret@host/", "http://user:secret%00@host/",
                                            "http://secret%0d@host", "secret:secret%1f@host"};
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        nsp_config config = {.endpoint = endpoints[i]};
        nsp__otlp_endpoint endpoint;
        char detail[256] = "";
        assert_int_equal(nsp__otlp_endpoint_resolve(&endpoint, &config, detail, sizeof detail),
                         NSP_ERR_CONFIG);
        assert_null(strstr(detail, "secret"));
        assert_non_null(strstr(detail, "host"));
    }
}

typedef struct header_case {
    const char *text;
    const char *lines[4];
} header_case;

// Headers that are left out are just missing here; test_pairs.c checks the reasons.
static const header_case headers[] = {
    {NULL, {NULL}},
    {"", {NULL}},
    {"a=b", {"a: b"}},
    {"a=b,c=d", {"a: b", "c: d"}},
    {" a = b , c = d ,", {"a: b", "c: d"}},
    {"a=b=c", {"a: b=c"}},
    {"a=x%20y%2Cz", {"a: x y,z"}},
    {"a=", {"a;"}},
    {"a=%20,b=%09%20", {"a;", "b;"}}, // or curl would leave them out
    {"Authorization=Basic%20eA==\n", {"Authorization: Basic eA=="}},
    {"\"a=1\",'b=2'", {"a: 1", "b: 2"}},
    {"a%41=1", {"a%41: 1"}},
    {"a=1,bad key=2", {"a: 1"}},
    {"a=%XX,b=1", {"b: 1"}},
    {"Content-Type=x,b=1", {"b: 1"}},
    {"key=x%0d%0ay,b=1", {"b: 1"}},
    {"nonsense", {NULL}},
};

static void reads_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; ++i) {
        const header_case *c = &headers[i];
        struct curl_slist *list = NULL, *at;
        char detail[256] = "";
        assert_int_equal(nsp__http_headers_append(&list, c->text, detail, sizeof detail), NSP_OK);
        at = list;
        for (int n = 0; c->lines[n]; ++n, at = at->next) {
            assert_non_null(at);
            assert_string_equal(at->data, c->lines[n]);
        }
        assert_null(at);
        curl_slist_free_all(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves_each_form),
        cmocka_unit_test(finds_the_protocol),
        cmocka_unit_test(a_complaint_does_not_tell_the_password),
        cmocka_unit_test(reads_headers),
    };
    return cmocka_run_group_tests_name("http_endpoint", tests, NULL, NULL);
}
