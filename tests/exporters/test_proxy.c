// SPDX-License-Identifier: Apache-2.0
//
// Proxies: gRPC goes through them, and messages name a proxy that is down or refuses, but not its password.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/h2_server.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"
#include "support/proxy.h"

static otlp_sender otlp;

static int clean(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

// The endpoint's name is known only to a proxy, so whatever arrives came through one.
static void begin(const char *protocol, bool tls)
{
    otlp_sender_prepare(&otlp, 1);
    snprintf(otlp.endpoint, sizeof otlp.endpoint, "%s://collector.invalid:4317", tls ? "https" : "http");
    otlp.config.protocol = protocol;
    otlp.config.headers = "x-api-key=ours";
    otlp_sender_must_create(&otlp);
}

static void name_proxy(const char *variable, unsigned port)
{
    char url[96];
    snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%u", port);
    setenv(variable, url, 1);
}

static void expect_said(const char *text)
{
    otlp_sender_expect(&otlp, text);
    assert_null(strstr(otlp.report.detail, "secret"));
    assert_null(strstr(otlp.last_line, "secret"));
}

static void grpc_in_clear_is_led_through(void **state)
{
    (void)state;
    h2_server *server = h2_server_start(NULL);
    proxy *between = proxy_start(PROXY_TUNNEL, 0, h2_server_port(server));
    name_proxy("http_proxy", proxy_port(between));
    begin("grpc", false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(otlp_sender_send(&otlp, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    assert_int_equal(h2_server_requests(server), 3);
    static const char start[] = "CONNECT collector.invalid:4317 HTTP/1.1\r\n";
    assert_memory_equal(proxy_last(between), start, sizeof start - 1);
    assert_null(strcasestr(proxy_last(between), "x-api-key")); // only the receiver should see it
    assert_non_null(strstr(h2_server_last(server)->headers, "x-api-key: ours"));
    otlp_sender_destroy(&otlp);
    proxy_stop(between);
    h2_server_stop(server);
}

static const struct {
    const char *protocol;
    bool tls;
    const char *variable;
} kinds[] = {{"grpc", false, "http_proxy"},
             {"grpc", true, "https_proxy"},
             {"http/protobuf", true, "HTTPS_PROXY"},
             {"http/protobuf", false, "all_proxy"},
             {"grpc", false, "ALL_PROXY"}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void a_proxy_that_is_down_is_named(void **state)
{
    (void)state;
    // Bound, but not listening, so that no other process takes this port meanwhile.
    int dead = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(dead, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(dead, (struct sockaddr *)&address, &length), 0);
    for (int i = 0; i < KINDS; i++) {
        clean(NULL);
        name_proxy(kinds[i].variable, ntohs(address.sin_port));
        begin(kinds[i].protocol, kinds[i].tls);
        assert_int_equal(otlp_sender_send(&otlp, 100, PATIENCE_MS), NSP_SEND_RETRY);
        char expected[96];
        snprintf(expected, sizeof expected, "the proxy 127.0.0.1:%u (%s): Connection refused",
                 ntohs(address.sin_port), kinds[i].variable);
        expect_said(expected);
        assert_non_null(strstr(otlp.last_line, "no_proxy"));
        otlp_sender_destroy(&otlp);
    }
    close(dead);
}

static void a_proxy_that_refuses_is_named(void **state)
{
    (void)state;
    static const struct {
        proxy_manner manner;
        unsigned status;
        const char *text;
    } cases[] = {{PROXY_ANSWER, 403, "answered 403"},
                 {PROXY_ANSWER, 407, "answered 407: it wants a user and password"},
                 {PROXY_ANSWER, 502, "answered 502"},
                 {PROXY_HANG_UP, 0, "does not make the connection"}};
    for (int i = 0; i < 4; i++)
        for (int kind = 0; kind < 3; kind++) {
            proxy *between = proxy_start(cases[i].manner, cases[i].status, 1);
            clean(NULL);
            name_proxy(kinds[kind].variable, proxy_port(between));
            begin(kinds[kind].protocol, kinds[kind].tls);
            assert_int_equal(otlp_sender_send(&otlp, 100, PATIENCE_MS), NSP_SEND_RETRY);
            expect_said("the proxy 127.0.0.1:");
            expect_said(cases[i].text);
            otlp_sender_destroy(&otlp);
            proxy_stop(between);
        }
    // The proxy itself answers requests in clear text.
    proxy *between = proxy_start(PROXY_ANSWER, 407, 1);
    clean(NULL);
    name_proxy("http_proxy", proxy_port(between));
    begin("http/protobuf", false);
    assert_int_equal(otlp_sender_send(&otlp, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_said("the proxy 127.0.0.1:");
    expect_said("407: it wants a user and password");
    otlp_sender_destroy(&otlp);
    proxy_stop(between);
}

static void a_proxy_that_cannot_exist_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"http://user:secret@proxy.invalid:3128", "the name of the proxy proxy.invalid:3128 (http_proxy)"},
        {"foo://user:secret@127.0.0.1:3128", "the proxy 127.0.0.1:3128 (http_proxy)"},
        {"http://user:secret@\xff:3128", "(http_proxy) is not a URL that libcurl accepts"},
        {"http://user:secret@[::1", "the proxy (not a URL) (http_proxy)"}};
    for (int i = 0; i < 4; i++) {
        setenv("http_proxy", cases[i][0], 1);
        begin("grpc", false);
        assert_int_equal(otlp_sender_send(&otlp, 100, PATIENCE_MS), NSP_SEND_RETRY);
        if (i < 3)
            otlp_sender_expect(&otlp, cases[i][1]);
        expect_said("proxy");
        otlp_sender_destroy(&otlp);
    }
}

static void a_proxy_that_can_never_be_used_is_an_error(void **state)
{
    (void)state;
    static const char *const proxies[] = {"http://user:secret%00@127.0.0.1:3128",
                                          "secret%0a:secret@127.0.0.1:3128"};
    for (int i = 0; i < 2; i++) {
        setenv("http_proxy", proxies[i], 1);
        otlp_sender_prepare(&otlp, 1);
        otlp.config.endpoint = "http://collector.invalid:4318";
        assert_int_equal(otlp_sender_create(&otlp), NSP_ERR_CONFIG);
        assert_non_null(strstr(otlp.last_line, "the proxy 127.0.0.1:3128 (http_proxy) cannot be used"));
        assert_null(strstr(otlp.last_line, "secret"));
    }
}

static void no_proxy_goes_around(void **state)
{
    (void)state;
    proxy *between = proxy_start(PROXY_ANSWER, 403, 1);
    for (int i = 0; i < 2; i++) {
        clean(NULL);
        name_proxy("http_proxy", proxy_port(between));
        setenv(i ? "NO_PROXY" : "no_proxy", "other.example,.invalid", 1);
        begin("http/protobuf", false);
        assert_int_equal(otlp_sender_send(&otlp, 100, PATIENCE_MS), NSP_SEND_RETRY);
        expect_said("collector.invalid");
        assert_null(strstr(otlp.report.detail, "proxy"));
        assert_string_equal(proxy_last(between), "");
        otlp_sender_destroy(&otlp);
    }
    proxy_stop(between);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(grpc_in_clear_is_led_through, clean),
        cmocka_unit_test_setup(a_proxy_that_is_down_is_named, clean),
        cmocka_unit_test_setup(a_proxy_that_refuses_is_named, clean),
        cmocka_unit_test_setup(a_proxy_that_cannot_exist_is_named, clean),
        cmocka_unit_test_setup(a_proxy_that_can_never_be_used_is_an_error, clean),
        cmocka_unit_test_setup(no_proxy_goes_around, clean),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
