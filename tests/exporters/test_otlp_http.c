// SPDX-License-Identifier: Apache-2.0
//
// The sending half of the exporter `otlp`, with a receiver that answers in every way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <nanospan/exporter.h>
#include <nanospan/version.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "builtin.h"
#include "drain/sender.h"
#include "http/transfer.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"

// SLACK_MS: how late a loaded machine may be. A busy one may be later than that at any moment, so what has to
// end in time is tried some times, and must once be in time.
enum { SLACK_MS = 400, TRIES = 5 };

typedef struct fixture {
    http_server *server;
    otlp_sender otlp;
} fixture;

// A name server that does not answer until it is told to: curl's lookups come here, because the program's own
// symbol takes precedence. All are atomic.
static unsigned begun_lookups, ended_lookups;
static bool lookups_end;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    if (node && strcmp(node, "hanging.invalid") == 0) {
        __atomic_fetch_add(&begun_lookups, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < 6000 && !__atomic_load_n(&lookups_end, __ATOMIC_ACQUIRE); ++i)
            nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
        __atomic_fetch_add(&ended_lookups, 1, __ATOMIC_RELEASE);
        return EAI_AGAIN;
    }
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, out);
}

static unsigned lookups(const unsigned *count)
{
    return __atomic_load_n(count, __ATOMIC_ACQUIRE);
}

// Lets the threads end that curl has left behind in the look-ups.
static void end_lookups(void)
{
    __atomic_store_n(&lookups_end, true, __ATOMIC_RELEASE);
    while (lookups(&ended_lookups) != lookups(&begun_lookups))
        nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    __atomic_store_n(&lookups_end, false, __ATOMIC_RELEASE);
}

static fixture *prepare(void)
{
    fixture *f = calloc(1, sizeof *f);
    f->server = http_server_start("X-Api-Key");
    assert_non_null(f->server);
    otlp_sender_prepare(&f->otlp, http_server_port(f->server));
    return f;
}

static void create(fixture *f)
{
    otlp_sender_must_create(&f->otlp);
}

static void finish(fixture *f)
{
    otlp_sender_destroy(&f->otlp);
    http_server_stop(f->server);
    free(f);
}

static void plan(fixture *f, http_reply reply)
{
    http_server_plan(f->server, &reply);
}

static nsp_send_result send_bytes(fixture *f, size_t length, unsigned timeout_ms)
{
    return otlp_sender_send(&f->otlp, length, timeout_ms);
}

static void sends_what_the_protocol_asks_for(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.headers = "x-api-key=a%20b%3D%2C%25";
    create(f);
    assert_int_equal(send_bytes(f, 5000, PATIENCE_MS), NSP_SEND_EXPORTED);
    const http_request *request = http_server_last(f->server);
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->path, "/v1/traces");
    assert_string_equal(request->content_type, "application/x-protobuf");
    assert_string_equal(request->content_encoding, "");
    assert_string_equal(request->user_agent, "nanospan/" NSP_VERSION);
    assert_string_equal(request->extra, "a b=,%");
    assert_int_equal(request->body_length, 5000);
    assert_memory_equal(request->body, f->otlp.body + 16, 5000);
    assert_true(f->otlp.report.answered);
    assert_int_equal(f->otlp.report.bytes, 5000);
    assert_int_equal(f->otlp.report.rejected, 0);
    assert_string_equal(f->otlp.report.detail, "");
    finish(f);
}

static void keeps_one_connection(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (http_reply){.status = 200});
    plan(f, (http_reply){.status = 503, .length = 100});
    plan(f, (http_reply){.status = 200});
    create(f);
    for (int i = 0; i < 20; ++i)
        send_bytes(f, 100, PATIENCE_MS);
    assert_int_equal(http_server_requests(f->server), 20);
    assert_int_equal(http_server_connections(f->server), 1);
    finish(f);
}

static void compresses_what_is_worth_it(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.compression = "gzip";
    create(f);
    assert_int_equal(send_bytes(f, BODY - 16, PATIENCE_MS), NSP_SEND_EXPORTED);
    const http_request *request = http_server_last(f->server);
    assert_string_equal(request->content_encoding, "gzip");
    assert_in_range(request->length, 1, BODY / 2);
    assert_int_equal(f->otlp.report.bytes, request->length);
    assert_int_equal(request->body_length, BODY - 16);
    assert_memory_equal(request->body, f->otlp.body + 16, BODY - 16);
    assert_int_equal(send_bytes(f, 1000, PATIENCE_MS), NSP_SEND_EXPORTED);
    request = http_server_last(f->server);
    assert_string_equal(request->content_encoding, "");
    assert_int_equal(request->body_length, 1000);
    finish(f);
}

static void reads_partial_success(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (http_reply){.status = 200, .body = "\x0a\x0b\x08\x03\x12\x07no room", .length = 13});
    plan(f, (http_reply){.status = 200, .body = "\x0a\x09\x12\x07no room", .length = 11});
    plan(f, (http_reply){.status = 200, .body = "<html>", .length = 6});
    plan(f, (http_reply){.status = 202, .body = "<html>", .length = 6});
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    assert_int_equal(f->otlp.report.rejected, 3);
    assert_string_equal(f->otlp.report.detail, "no room");
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    assert_int_equal(f->otlp.report.rejected, 0);
    assert_string_equal(f->otlp.report.detail, "no room");
    // A server that answers like this may not even have read the request.
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
    assert_int_equal(f->otlp.report.rejected, 0);
    assert_non_null(strstr(f->otlp.report.detail, "not OTLP"));
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    assert_string_equal(f->otlp.report.detail, "");
    finish(f);
}

// As servers written in Go and nginx answer.
static void a_tls_port_that_says_so_gets_the_spans_later(void **state)
{
    (void)state;
    static const char *const bodies[] = {"Client sent an HTTP request to an HTTPS server.\n",
                                         "<html><h1>The plain HTTP request was sent to HTTPS port</h1>"};
    for (int i = 0; i < 2; ++i) {
        fixture *f = prepare();
        plan(f, (http_reply){.status = 400, .body = bodies[i], .length = strlen(bodies[i])});
        create(f);
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
        assert_true(f->otlp.report.answered);
        assert_non_null(strstr(f->otlp.last_line, "speaks TLS"));
        finish(f);
    }
}

static void the_reply_says_its_form(void **state)
{
    (void)state;
    static const char json[] = "{\"partialSuccess\":{\"rejectedSpans\":\"2\"}}",
                      protobuf[] = "\x0a\x02\x08\x03";
    fixture *f = prepare();
    plan(f, (http_reply){.status = 200,
                         .header = "Content-Type",
                         .value = "application/json; charset=utf-8",
                         .body = json,
                         .length = sizeof json - 1});
    plan(f, (http_reply){.status = 200,
                         .header = "Content-Type",
                         .value = "application/x-protobuf",
                         .body = protobuf,
                         .length = sizeof protobuf - 1});
    for (int i = 0; i < 2; ++i) {
        f->otlp.config.protocol = i ? "http/json" : "http/protobuf";
        create(f);
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
        assert_int_equal(f->otlp.report.rejected, 2 + i);
        otlp_sender_destroy(&f->otlp);
    }
    f->otlp.exporter = NULL;
    finish(f);
}

static void a_web_page_is_no_answer(void **state)
{
    (void)state;
    static const unsigned statuses[] = {200, 202};
    fixture *f = prepare();
    for (int i = 0; i < 2; ++i)
        plan(f, (http_reply){.status = statuses[i],
                             .header = "Content-Type",
                             .value = "text/HTML; charset=utf-8",
                             .body = "<html>Please log in</html>",
                             .length = 26});
    create(f);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
        assert_true(f->otlp.report.answered);
        assert_non_null(strstr(f->otlp.report.detail, "web page"));
    }
    finish(f);
}

static void a_redirect_names_where_it_leads(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"https://collector.example:4318/v1/traces", " https://collector.example:4318/v1/traces,"},
        {"http://user:secret@other.example/path?key=secret", " http://other.example/path,"},
        {"/login?back=secret", " /login,"},
        {"//user:secret@other.example/#secret", " //other.example/,"},
        {"secret@elsewhere/path", " elsewhere/path,"},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    fixture *f = prepare();
    for (int i = 0; i < CASES; ++i)
        plan(f, (http_reply){.status = 302, .header = "Location", .value = cases[i][0]});
    create(f);
    for (int i = 0; i < CASES; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
        if (!strstr(f->otlp.report.detail, "a redirect to") || !strstr(f->otlp.report.detail, cases[i][1]) ||
            strstr(f->otlp.report.detail, "secret"))
            fail_msg("\"%s\" of \"%s\"", f->otlp.report.detail, cases[i][0]);
    }
    assert_int_equal(http_server_requests(f->server), CASES);
    finish(f);
}

static void retries_what_the_specification_names(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        nsp_send_result result;
    } cases[] = {
        {429, NSP_SEND_RETRY},    {502, NSP_SEND_RETRY},    {503, NSP_SEND_RETRY},
        {504, NSP_SEND_RETRY},    {400, NSP_SEND_REJECTED}, {401, NSP_SEND_REJECTED},
        {404, NSP_SEND_REJECTED}, {413, NSP_SEND_REJECTED}, {500, NSP_SEND_REJECTED},
        {501, NSP_SEND_REJECTED}, {505, NSP_SEND_REJECTED}, {301, NSP_SEND_REJECTED},
        {307, NSP_SEND_REJECTED}, {304, NSP_SEND_REJECTED},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    fixture *f = prepare();
    for (int i = 0; i < CASES; ++i)
        plan(f, (http_reply){.status = cases[i].status, .header = "Location", .value = f->otlp.endpoint});
    create(f);
    for (int i = 0; i < CASES; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), cases[i].result);
        assert_true(f->otlp.report.answered);
        assert_int_equal(f->otlp.report.retry_after_ns, 0);
        char expected[192];
        snprintf(expected, sizeof expected, "%s/v1/traces answered %u", f->otlp.endpoint, cases[i].status);
        assert_memory_equal(f->otlp.report.detail, expected, strlen(expected));
    }
    assert_int_equal(http_server_requests(f->server), CASES); // a redirect is not followed
    finish(f);
}

static void passes_on_what_the_receiver_says(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (http_reply){.status = 400,
                         .body = "\x08\x03\x12\x0f"
                                 "bad\nspan\x1b[0m id!",
                         .length = 20});
    // The length of this one, 41, is the code of a parenthesis.
    plan(f, (http_reply){.status = 400,
                         .body = "\x08\x03\x12\x29"
                                 "the request has no spans in it: what now?",
                         .length = 45});
    plan(f, (http_reply){.status = 400, .length = 100000});
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    assert_non_null(strstr(f->otlp.report.detail, "answered 400: bad span [0m id!"));
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    assert_non_null(strstr(f->otlp.report.detail, "answered 400: the request has no spans in it: what now?"));
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    assert_in_range(strlen(f->otlp.report.detail), 100, 159);
    finish(f);
}

static void reads_retry_after_in_both_forms(void **state)
{
    (void)state;
    fixture *f = prepare();
    char date[64], past[64];
    time_t later = time(NULL) + 1000, earlier = time(NULL) - 1000;
    struct tm parts;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&later, &parts));
    strftime(past, sizeof past, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&earlier, &parts));
    plan(f, (http_reply){.status = 503, .header = "Retry-After", .value = "7"});
    plan(f, (http_reply){.status = 429, .header = "Retry-After", .value = date});
    plan(f, (http_reply){.status = 429, .header = "Retry-After", .value = past});
    plan(f, (http_reply){.status = 503, .header = "Retry-After", .value = "soon"});
    plan(f, (http_reply){.status = 503, .header = "Retry-After", .value = "99999999999999999999"});
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_int_equal(f->otlp.report.retry_after_ns, 7000 * MS);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_in_range(f->otlp.report.retry_after_ns, 900000 * MS, 1000000 * MS);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
        assert_int_equal(f->otlp.report.retry_after_ns, 0);
    }
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_in_range(f->otlp.report.retry_after_ns, 0, 86400000 * MS);
    finish(f);
}

// Sends to a server that has not answered by the limit. Where the machine is so busy that the request does
// not even leave by then, the spans were certainly not taken.
static void expect_to_end_at(fixture *f, unsigned limit_ms, unsigned timeout_ms)
{
    bool in_time = false;
    for (int i = 0; i < TRIES && !in_time; ++i) {
        uint64_t begin = now_ns();
        nsp_send_result result = send_bytes(f, 100, timeout_ms);
        uint64_t took = now_ns() - begin;
        assert_true(result == NSP_SEND_UNKNOWN || result == NSP_SEND_RETRY);
        assert_true(took >= limit_ms * MS);
        assert_non_null(strstr(f->otlp.report.detail, "timed out"));
        in_time = result == NSP_SEND_UNKNOWN && took <= (limit_ms + SLACK_MS) * MS;
    }
    assert_true(in_time);
}

static void a_lost_answer_is_unknown(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (http_reply){.status = 200, .manner = HTTP_HANG_UP});
    plan(f, (http_reply){.status = 200, .manner = HTTP_HANG_UP_MIDWAY, .length = 1000});
    plan(f, (http_reply){.status = 400, .manner = HTTP_HANG_UP_MIDWAY, .length = 1000});
    plan(f, (http_reply){.status = 200, .manner = HTTP_STALL});
    create(f);
    assert_int_equal(send_bytes(f, 50000, PATIENCE_MS), NSP_SEND_UNKNOWN);
    assert_false(f->otlp.report.answered);
    assert_non_null(strstr(f->otlp.report.detail, "no answer from http://127.0.0.1:"));
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNKNOWN);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_to_end_at(f, 200, 200);
    finish(f);
}

static void a_slow_answer_within_the_deadline_counts(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (http_reply){.status = 200, .delay_ms = 300});
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    finish(f);
}

static void the_configured_timeout_limits_one_request(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.export_timeout_ns = 150 * MS;
    plan(f, (http_reply){.status = 200, .manner = HTTP_STALL});
    create(f);
    expect_to_end_at(f, 150, PATIENCE_MS);
    finish(f);
}

// Waits until the request has come or the look-up has begun, and cancels the send.
typedef struct cancelling {
    fixture *f;
    unsigned requests, lookups; // before
    uint64_t at_ns;             // when it was cancelled
} cancelling;

static void *cancel_in_the_middle(void *argument)
{
    cancelling *me = argument;
    while (http_server_requests(me->f->server) == me->requests && lookups(&begun_lookups) == me->lookups)
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 50 * MS}, NULL);
    me->at_ns = now_ns();
    __atomic_store_n(&me->f->otlp.cancel, 1, __ATOMIC_RELEASE);
    return NULL;
}

// Sends with a distant deadline, and is cancelled while nobody answers.
static void expect_to_end_when_cancelled(fixture *f, nsp_send_result result)
{
    bool in_time = false;
    for (int i = 0; i < TRIES && !in_time; ++i) {
        pthread_t thread;
        cancelling how = {f, http_server_requests(f->server), lookups(&begun_lookups), 0};
        f->otlp.cancel = 0;
        assert_int_equal(pthread_create(&thread, NULL, cancel_in_the_middle, &how), 0);
        assert_int_equal(send_bytes(f, 100, 20000), result);
        uint64_t end = now_ns();
        pthread_join(thread, NULL);
        assert_true(end >= how.at_ns);
        in_time = end - how.at_ns <= (50 + SLACK_MS) * MS;
    }
    assert_true(in_time);
}

static void cancel_ends_a_stalled_send(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (http_reply){.status = 200, .manner = HTTP_STALL});
    create(f);
    expect_to_end_when_cancelled(f, NSP_SEND_UNKNOWN);
    finish(f);
}

static void cancel_does_not_wait_for_a_name_server(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.endpoint = "http://hanging.invalid:4318";
    create(f);
    expect_to_end_when_cancelled(f, NSP_SEND_RETRY);
    assert_int_equal(f->otlp.report.bytes, 0);
    finish(f); // destroying it does not wait either
    assert_true(lookups(&begun_lookups) > 0);
    assert_int_equal(lookups(&ended_lookups), 0);
    end_lookups();
}

static void a_huge_answer_is_not_read(void **state)
{
    (void)state;
    fixture *f = prepare();
    // Unknown fields of two bytes each: protobuf-c would need fifty times their size to keep them.
    enum { MOST = 64 << 10 };
    char *fields = malloc(MOST + 2);
    for (size_t i = 0; i < MOST + 2; i += 2)
        memcpy(fields + i, "\x78\x01", 2);
    plan(f, (http_reply){.status = 200, .body = fields, .length = MOST});
    plan(f, (http_reply){.status = 200, .body = fields, .length = MOST + 2});
    plan(f, (http_reply){.status = 503, .length = 5 << 20, .header = "Retry-After", .value = "7"});
    plan(f, (http_reply){.status = 400, .length = 5 << 20});
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
    assert_non_null(strstr(f->otlp.report.detail, "longer than 64 KiB"));
    // For an error the status is enough.
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_int_equal(f->otlp.report.retry_after_ns, 7000 * MS);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    finish(f);
    free(fields);
}

static void a_dead_port_is_retried(void **state)
{
    (void)state;
    fixture *f = prepare();
    // Bound, but not listening, so that no other process takes this port meanwhile.
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(sock, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(sock, (struct sockaddr *)&address, &length), 0);
    snprintf(f->otlp.endpoint, sizeof f->otlp.endpoint, "http://user:secret@127.0.0.1:%u/x?key=secret",
             ntohs(address.sin_port));
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_false(f->otlp.report.answered);
    char expected[160];
    snprintf(expected, sizeof expected, "cannot reach http://127.0.0.1:%u/x/v1/traces: Connection refused",
             ntohs(address.sin_port));
    assert_string_equal(f->otlp.report.detail, expected);
    close(sock);
    finish(f);
}

// The process has no free descriptor, or only one.
static void used_up_descriptors_are_reported(void **state)
{
    (void)state;
    static const char *const endpoints[] = {NULL, "http://collector.invalid:4318",
                                            "http://collector.invalid:4318"};
    static const int left[] = {0, 0, 1}; // resolving a name needs more than one
    for (int i = 0; i < 3; ++i) {
        fixture *f = prepare();
        if (endpoints[i])
            f->otlp.config.endpoint = endpoints[i];
        create(f);
        struct rlimit before, none;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        int lowest = dup(STDERR_FILENO);
        assert_true(lowest > STDERR_FILENO);
        close(lowest);
        none = before;
        lowest += left[i];
        none.rlim_cur = (rlim_t)lowest;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        nsp_send_result result = send_bytes(f, 100, PATIENCE_MS);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(result, NSP_SEND_RETRY);
        char expected[96];
        snprintf(expected, sizeof expected, "no file descriptor is left: the process may have %d", lowest);
        otlp_sender_expect(&f->otlp, expected);
        assert_int_equal(f->otlp.lines, 1);
        assert_non_null(strstr(f->otlp.last_line, "descriptor"));
        if (!endpoints[i])
            assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
        finish(f);
    }
}

static void no_proxy_stands_before_loopback(void **state)
{
    (void)state;
    fixture *f = prepare();
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    unsetenv("http_proxy");
    finish(f);
}

static void a_request_that_is_read_no_further_is_certainly_not_taken(void **state)
{
    (void)state;
    fixture *f = prepare();
    // Accepts into its backlog and never reads. The buffers at both ends hold less than the body.
    int sock = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(sock, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(sock, 1), 0);
    assert_int_equal(getsockname(sock, (struct sockaddr *)&address, &length), 0);
    snprintf(f->otlp.endpoint, sizeof f->otlp.endpoint, "127.0.0.1:%u", ntohs(address.sin_port));
    f->otlp.config.insecure = true;
    create(f);
    enum { LARGE = 32 << 20 };
    nsp_batch batch = {.data = calloc(1, LARGE), .capacity = LARGE, .length = LARGE};
    bool sent_some = false; // on a busy machine there may be no time for that
    for (int i = 0; i < TRIES && !sent_some; ++i) {
        memset(&f->otlp.report, 0, sizeof f->otlp.report);
        assert_int_equal(
            nsp__exporter_otlp.send(f->otlp.exporter, &batch, now_ns() + 500 * MS, &f->otlp.report),
            NSP_SEND_RETRY);
        assert_in_range(f->otlp.report.bytes, 0, LARGE - 1);
        sent_some = f->otlp.report.bytes > 0;
    }
    assert_true(sent_some);
    free(batch.data);
    close(sock);
    finish(f);
}

static void expect_refusal(nsp_status status, const char *text, void (*change)(nsp_config *))
{
    fixture *f = prepare();
    change(&f->otlp.config);
    assert_int_equal(nsp__exporter_otlp.create(&f->otlp.exporter, &f->otlp.context), status);
    assert_null(f->otlp.exporter);
    assert_int_equal(f->otlp.lines, 1);
    assert_non_null(strstr(f->otlp.last_line, text));
    finish(f);
}

static void set_protocol(nsp_config *config)
{
    config->protocol = "smtp";
}

static void set_endpoint(nsp_config *config)
{
    config->endpoint = "unix://host/path";
}

static void set_compression(nsp_config *config)
{
    config->compression = "zstd";
}

static void a_bad_configuration_is_logged_once(void **state)
{
    (void)state;
    expect_refusal(NSP_ERR_CONFIG, "protocol \"smtp\"", set_protocol);
    expect_refusal(NSP_ERR_CONFIG, "absolute path", set_endpoint);
    expect_refusal(NSP_ERR_CONFIG, "compression \"zstd\"", set_compression);
}

// Core has logged what is wrong with the bad ones.
static void a_bad_header_does_not_affect_others(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.headers =
        "a=1,Content-Type=text/plain,bad key=2,content-length=7,b=%XX,y=a%0d%0aHost: other,x-api-key=k%201\n";
    create(f);
    assert_int_equal(f->otlp.lines, 0);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
    const http_request *request = http_server_last(f->server);
    assert_string_equal(request->extra, "k 1");
    assert_string_equal(request->content_type, "application/x-protobuf");
    assert_int_equal(request->body_length, 100);
    finish(f);
}

static void a_path_that_is_given_twice_is_logged(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.endpoint = "http://127.0.0.1:1/v1/traces";
    create(f);
    assert_int_equal(f->otlp.lines, 1);
    assert_non_null(strstr(f->otlp.last_line, "http://127.0.0.1:1/v1/traces/v1/traces"));
    finish(f);
    f = prepare();
    f->otlp.config.endpoint = "http://127.0.0.1:1/v1/traces";
    f->otlp.config.endpoint_exact = true;
    create(f);
    assert_int_equal(f->otlp.lines, 0);
    finish(f);
}

// ---- the exporter under the sender ----

typedef enum beginning { AT_ONCE, ASKED, LOOKED_UP } beginning;

typedef struct outcome {
    beginning stopped_when;
    unsigned stop_ms;
    bool all_sent;
    uint64_t least_exported, most_exported, unconfirmed; // the others are discarded
} outcome;

enum { BATCHES = 3, SPANS = 10, POOL = BATCHES + 1 };

// On the heap, because a sender's thread that is left behind still uses it.
typedef struct pool {
    nsp__batch_pool batches;
    nsp__batch_header headers[POOL];
    nsp__counters counters;
    bool left_behind;
} pool;

static nsp__sender *start_sender(fixture *f, pool *all)
{
    nsp__sender *sender;
    assert_true(nsp__batch_pool_init(&all->batches, POOL, &all->counters));
    for (int i = 0; i < POOL; ++i) {
        nsp__batch *batch = &all->batches.batches[i];
        batch->exported.data = f->otlp.body;
        batch->exported.capacity = BODY;
        batch->header = &all->headers[i];
    }
    const nsp__sender_options options = {.exporter = &nsp__exporter_otlp,
                                         .exporter_state = f->otlp.exporter,
                                         .closed_max = POOL,
                                         .cancel = &f->otlp.cancel,
                                         .export_timeout_ns = f->otlp.config.export_timeout_ns,
                                         .left_behind = &all->left_behind};
    assert_int_equal(nsp__sender_start(&sender, &options), NSP_OK);
    for (uint32_t i = 1; i <= BATCHES; ++i) {
        nsp__batch *batch = nsp__batch_pool_take(&all->batches);
        assert_non_null(batch);
        batch->header->state = NSP__BATCH_CLOSED;
        batch->header->spans = batch->exported.spans = SPANS;
        batch->exported.length = 50000;
        nsp__sender_put_closed(sender, batch);
    }
    return sender;
}

static void wait_until(const fixture *f, beginning what, unsigned lookups_before)
{
    while ((what == ASKED && http_server_requests(f->server) == 0) ||
           (what == LOOKED_UP && lookups(&begun_lookups) == lookups_before))
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
}

// Sends three batches and stops. Returns whether it ended as expected and in time. Whatever the machine does,
// each span is counted once.
static bool stops_as(fixture *f, const outcome *expected, nsp__counters *counters)
{
    unsigned lookups_before = lookups(&begun_lookups);
    pool *all = calloc(1, sizeof *all);
    create(f);
    nsp__sender *sender = start_sender(f, all);
    wait_until(f, expected->stopped_when, lookups_before);
    uint64_t begin = now_ns(), limit_ms = expected->stop_ms + (expected->all_sent ? 0 : 200 + SLACK_MS);
    bool all_sent = nsp__sender_stop(sender, begin + expected->stop_ms * MS).all_sent;
    bool in_time = now_ns() - begin <= limit_ms * MS;
    *counters = all->counters;
    assert_int_equal(counters->exported + counters->unconfirmed + counters->discarded, BATCHES * SPANS);
    if (all->left_behind) // the machine was so busy that the thread did not come back; it may still do so
        return false;
    nsp__batch_pool_destroy(&all->batches);
    free(all);
    begin = now_ns();
    finish(f);
    return in_time && now_ns() - begin <= SLACK_MS * MS && all_sent == expected->all_sent &&
           counters->exported >= expected->least_exported && counters->exported <= expected->most_exported &&
           counters->unconfirmed == expected->unconfirmed;
}

static void expect_to_stop(const http_reply *reply, const char *endpoint, const outcome *expected,
                           nsp__counters *counters)
{
    bool as_expected = false;
    for (int i = 0; i < TRIES && !as_expected; ++i) {
        fixture *f = prepare();
        if (reply)
            plan(f, *reply);
        if (endpoint)
            f->otlp.config.endpoint = endpoint;
        as_expected = stops_as(f, expected, counters);
        print_message("exported %llu, unconfirmed %llu, discarded %llu%s\n",
                      (unsigned long long)counters->exported, (unsigned long long)counters->unconfirmed,
                      (unsigned long long)counters->discarded, as_expected ? "" : ", or not in time");
    }
    assert_true(as_expected);
}

static void the_sender_stops_in_time_whatever_the_backend_does(void **state)
{
    (void)state;
    nsp__counters counters;
    expect_to_stop(NULL, NULL, &(outcome){AT_ONCE, PATIENCE_MS, true, 30, 30, 0}, &counters);
    assert_int_equal(counters.bytes_sent, 150000);

    // stalled: the first batch may have been taken
    expect_to_stop(&(http_reply){.status = 200, .manner = HTTP_STALL}, NULL,
                   &(outcome){ASKED, 300, false, 0, 0, 10}, &counters);

    // slow: the first batch usually gets through, and the second one is being sent
    expect_to_stop(&(http_reply){.status = 200, .delay_ms = 400}, NULL,
                   &(outcome){ASKED, 600, false, 0, 10, 10}, &counters);

    // busy, and asks for a pause
    expect_to_stop(&(http_reply){.status = 503, .header = "Retry-After", .value = "20"}, NULL,
                   &(outcome){ASKED, 300, false, 0, 0, 0}, &counters);
    assert_int_equal(counters.batches_sent, 1);

    // nothing listens
    expect_to_stop(NULL, "http://127.0.0.1:1", &(outcome){AT_ONCE, 300, false, 0, 0, 0}, &counters);
    assert_int_equal(counters.batches_sent, 0);

    // the name server hangs
    expect_to_stop(NULL, "http://hanging.invalid:4318", &(outcome){LOOKED_UP, 300, false, 0, 0, 0},
                   &counters);
    end_lookups();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_the_protocol_asks_for),
        cmocka_unit_test(keeps_one_connection),
        cmocka_unit_test(compresses_what_is_worth_it),
        cmocka_unit_test(reads_partial_success),
        cmocka_unit_test(a_tls_port_that_says_so_gets_the_spans_later),
        cmocka_unit_test(the_reply_says_its_form),
        cmocka_unit_test(a_web_page_is_no_answer),
        cmocka_unit_test(a_redirect_names_where_it_leads),
        cmocka_unit_test(retries_what_the_specification_names),
        cmocka_unit_test(passes_on_what_the_receiver_says),
        cmocka_unit_test(reads_retry_after_in_both_forms),
        cmocka_unit_test(a_lost_answer_is_unknown),
        cmocka_unit_test(a_slow_answer_within_the_deadline_counts),
        cmocka_unit_test(the_configured_timeout_limits_one_request),
        cmocka_unit_test(cancel_ends_a_stalled_send),
        cmocka_unit_test(cancel_does_not_wait_for_a_name_server),
        cmocka_unit_test(a_huge_answer_is_not_read),
        cmocka_unit_test(a_dead_port_is_retried),
        cmocka_unit_test(used_up_descriptors_are_reported),
        cmocka_unit_test(no_proxy_stands_before_loopback),
        cmocka_unit_test(a_request_that_is_read_no_further_is_certainly_not_taken),
        cmocka_unit_test(a_bad_configuration_is_logged_once),
        cmocka_unit_test(a_bad_header_does_not_affect_others),
        cmocka_unit_test(a_path_that_is_given_twice_is_logged),
        cmocka_unit_test(the_sender_stops_in_time_whatever_the_backend_does),
    };
    return cmocka_run_group_tests_name("otlp_http", tests, NULL, NULL);
}
