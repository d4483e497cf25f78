// SPDX-License-Identifier: Apache-2.0
// ctest: COST 60
//
// OTLP over gRPC: its parts, and the exporter with a receiver that answers in every way, frame by frame.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nanospan/exporter.h>
#include <nanospan/version.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "builtin.h"
#include "common/base64.h"
#include "grpc/frame.h"
#include "grpc/metadata.h"
#include "grpc/status.h"
#include "http/curl_version.h"
#include "http/gzip.h"
#include "rpc.pb-c.h"
#include "support/h2_server.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"

// SLACK_MS: how late a loaded machine may be. A busy one may be later than that at any moment, so what has to
// end in time is tried some times, and must once be in time.
enum { SLACK_MS = 1000, TRIES = 5 };

typedef struct fixture {
    h2_server *server;
    otlp_sender otlp;
} fixture;

static fixture *prepare(void)
{
    fixture *f = calloc(1, sizeof *f);
    f->server = h2_server_start(NULL);
    assert_non_null(f->server);
    otlp_sender_prepare(&f->otlp, h2_server_port(f->server));
    f->otlp.config.protocol = "grpc";
    return f;
}

static void create(fixture *f)
{
    otlp_sender_must_create(&f->otlp);
}

static void finish(fixture *f)
{
    otlp_sender_destroy(&f->otlp);
    h2_server_stop(f->server);
    free(f);
}

static void plan(fixture *f, h2_reply reply)
{
    h2_server_plan(f->server, &reply);
}

static nsp_send_result send_bytes(fixture *f, size_t length, unsigned timeout_ms)
{
    return otlp_sender_send(&f->otlp, length, timeout_ms);
}

static void expect_text(const fixture *f, const char *text)
{
    otlp_sender_expect(&f->otlp, text);
}

static void expect_header(const fixture *f, const char *line)
{
    const h2_request *request = h2_server_last(f->server);
    const char *found = strstr(request->headers, line);
    if (!found || (found != request->headers && found[-1] != '\n'))
        fail_msg("no \"%s\" in:\n%s", line, request->headers);
}

// ---- the parts ----

static void frames(void **state)
{
    (void)state;
    uint8_t prefix[NSP__GRPC_PREFIX_BYTES];
    nsp__grpc_prefix_write(prefix, true, 0x01020304);
    assert_memory_equal(prefix, "\1\1\2\3\4", 5);
    nsp__grpc_message message;
    assert_null(nsp__grpc_message_read(&message, (const uint8_t *)"\0\0\0\0\2ab", 7, NULL, 100));
    assert_int_equal(message.length, 2);
    assert_memory_equal(message.bytes, "ab", 2);
    assert_null(nsp__grpc_message_read(&message, (const uint8_t *)"\0\0\0\0\0", 5, "gzip", 100));
    assert_int_equal(message.length, 0);
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {{"", 0},
               {"\0\0\0\0", 4},
               {"\0\0\0\0\2a", 6},
               {"\0\0\0\0\1ab", 7},
               {"\2\0\0\0\1a", 6},
               {"\0\xff\xff\xff\xff", 5},
               {"\1\0\0\0\1a", 6},
               {"\0\0\0\0\6abcdef", 11}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        assert_non_null(
            nsp__grpc_message_read(&message, (const uint8_t *)bad[i].bytes, bad[i].length, NULL, 5));
        assert_int_equal(message.length, 0);
        assert_null(message.unpacked);
    }
}

// Makes a compressed frame around `length` bytes. The caller frees it.
static uint8_t *packed_frame(const uint8_t *bytes, size_t length, size_t *size)
{
    nsp__gzip *gzip = nsp__gzip_create(length);
    size_t packed;
    const uint8_t *out = nsp__gzip_compress(gzip, bytes, length, &packed);
    uint8_t *frame = malloc(NSP__GRPC_PREFIX_BYTES + packed);
    nsp__grpc_prefix_write(frame, true, packed);
    memcpy(frame + NSP__GRPC_PREFIX_BYTES, out, packed);
    *size = NSP__GRPC_PREFIX_BYTES + packed;
    nsp__gzip_destroy(gzip);
    return frame;
}

static void compressed_frames(void **state)
{
    (void)state;
    uint8_t zeros[5000] = {0};
    size_t size;
    uint8_t *frame = packed_frame(zeros, sizeof zeros, &size);
    nsp__grpc_message message;
    assert_null(nsp__grpc_message_read(&message, frame, size, "gzip", sizeof zeros));
    assert_int_equal(message.length, sizeof zeros);
    assert_memory_equal(message.bytes, zeros, sizeof zeros);
    free(message.unpacked);
    assert_non_null(nsp__grpc_message_read(&message, frame, size, "gzip", sizeof zeros - 1)); // a bomb
    assert_non_null(nsp__grpc_message_read(&message, frame, size, "snappy", sizeof zeros));
    assert_non_null(nsp__grpc_message_read(&message, frame, size, NULL, sizeof zeros));
    frame[size - 6] ^= 1; // the checksum
    assert_non_null(nsp__grpc_message_read(&message, frame, size, "gzip", sizeof zeros));
    free(frame);
}

static void timeouts_have_eight_digits_at_most(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "1n"},
        {1, "1n"},
        {99999999, "99999999n"},
        {100000000, "100000u"},
        {9999999999, "9999999u"},
        {99999999999, "99999999u"},
        {100000000000, "100000m"},
        {99999999999999, "99999999m"},
        {100000000000000, "100000S"},
        {100000000000000000, "1666666M"},
        {UINT64_MAX, "5124095H"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char line[NSP__GRPC_TIMEOUT_BYTES], expected[64];
        snprintf(expected, sizeof expected, "grpc-timeout: %s", cases[i].text);
        nsp__grpc_timeout_write(line, cases[i].ns);
        if (i == sizeof cases / sizeof *cases - 1)
            assert_true(strlen(line) <= strlen("grpc-timeout: ") + 9);
        else
            assert_string_equal(line, expected);
    }
}

static void metadata(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *lines[3];
    } cases[] = {
        {NULL, {NULL}},
        {"Api-Key=x%20y", {"api-key: x y"}},
        {"a=b,C=D", {"a: b", "c: D"}},
        {"a=", {"a;"}},
        {"Trace-Bin=a%01%ff", {"trace-bin: YQH/"}},
        {"x-bin=ab", {"x-bin: YWI"}},
        {"x-bin=a", {"x-bin: YQ"}},
        // These are left out, and the others remain:
        {"a=%c3%a4,b=1", {"b: 1"}},
        {"a=x%09y,b=1", {"b: 1"}},
        {"a=x%0d%0ay,b=1", {"b: 1"}},
        {"GRPC-Timeout=1S,b=1", {"b: 1"}},
        {"TE=x,b=1", {"b: 1"}},
        {"Content-Type=x,b=1", {"b: 1"}},
        {"Host=x,b=1", {"b: 1"}},
        {":path=/x,b=1", {"b: 1"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct curl_slist *list = NULL, *at;
        char detail[256] = "";
        assert_int_equal(nsp__grpc_metadata_append(&list, cases[i].text, detail, sizeof detail), NSP_OK);
        at = list;
        for (int n = 0; cases[i].lines[n]; ++n, at = at->next) {
            assert_non_null(at);
            assert_string_equal(at->data, cases[i].lines[n]);
        }
        assert_null(at);
        curl_slist_free_all(list);
    }
}

static void codes_and_messages(void **state)
{
    (void)state;
    nsp__grpc_code code;
    assert_true(nsp__grpc_code_read("14", &code) && code == NSP__GRPC_UNAVAILABLE);
    assert_true(nsp__grpc_code_read("17", &code) && code == NSP__GRPC_UNKNOWN);
    assert_true(nsp__grpc_code_read("99999999999999999999", &code) && code == NSP__GRPC_UNKNOWN);
    assert_false(nsp__grpc_code_read("", &code));
    assert_false(nsp__grpc_code_read("-1", &code));
    assert_false(nsp__grpc_code_read("0x", &code));
    assert_string_equal(nsp__grpc_code_name(NSP__GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    static const unsigned http[][2] = {{400, 13}, {401, 16}, {403, 7}, {404, 12}, {429, 14}, {502, 14},
                                       {503, 14}, {504, 14}, {200, 2}, {500, 2},  {302, 2}};
    for (size_t i = 0; i < sizeof http / sizeof *http; ++i)
        assert_int_equal(nsp__grpc_code_of_http(http[i][0]), http[i][1]);
    static const unsigned reset[][2] = {{0, 13}, {1, 13}, {2, 13}, {7, 14},
                                        {8, 1},  {11, 8}, {12, 7}, {99, 2}};
    for (size_t i = 0; i < sizeof reset / sizeof *reset; ++i)
        assert_int_equal(nsp__grpc_code_of_reset(reset[i][0]), reset[i][1]);
    static const char *const texts[][2] = {
        {"plain", "plain"},         {"a%20b%25", "a b%"},
        {"100%", "100%"},           {"%zz%4", "%zz%4"},
        {"a%0ab%1b[0m", "a b [0m"}, {"%C3%A4", "\xc3\xa4"},
        {"01234567", "0123456"},    {"01234%C3%A4x", "01234\xc3\xa4"[0] ? "01234" : ""}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        char text[16];
        nsp__grpc_message_text(text, i < 6 ? sizeof text : 9, texts[i][0]);
        if (i < 6)
            assert_string_equal(text, texts[i][1]);
        else
            assert_true(strlen(text) <= 8 && strncmp(text, "01234", 5) == 0);
    }
    char cut[8]; // the limit is within a character
    nsp__grpc_message_text(cut, sizeof cut, "012345%C3%A4");
    assert_string_equal(cut, "012345");
    nsp__grpc_message_text(cut, sizeof cut, "01234%C3%A4x"); // the limit is behind a character
    assert_string_equal(cut, "01234\xc3\xa4");
    nsp__grpc_message_text(cut, sizeof cut, "01234567");
    assert_string_equal(cut, "0123456");
}

// Makes a google.rpc.Status in base64. The caller frees it. seconds INT64_MIN: a RetryInfo without a delay.
static char *retry_info(const char *type, int64_t seconds, int32_t nanos)
{
    Nanospan__Rpc__Duration delay = NANOSPAN__RPC__DURATION__INIT;
    Nanospan__Rpc__RetryInfo info = NANOSPAN__RPC__RETRY_INFO__INIT;
    Nanospan__Rpc__Detail other = NANOSPAN__RPC__DETAIL__INIT, detail = NANOSPAN__RPC__DETAIL__INIT;
    Nanospan__Rpc__Detail *details[] = {&other, &detail};
    Nanospan__Rpc__Status status = NANOSPAN__RPC__STATUS__INIT;
    uint8_t packed[64], bytes[256], noise[] = {0xff, 0xff};
    delay.seconds = seconds;
    delay.nanos = nanos;
    info.retry_delay = seconds == INT64_MIN ? NULL : &delay;
    other.type_url = (char *)(uintptr_t) "type.googleapis.com/google.rpc.DebugInfo";
    other.value = (ProtobufCBinaryData){.len = sizeof noise, .data = noise};
    detail.type_url = (char *)(uintptr_t)type;
    detail.value =
        (ProtobufCBinaryData){.len = nanospan__rpc__retry_info__pack(&info, packed), .data = packed};
    status.code = 8;
    status.n_details = 2;
    status.details = details;
    char *text = calloc(1, NSP__BASE64_DIGITS(sizeof bytes) + 1);
    nsp__base64_encode(text, bytes, nanospan__rpc__status__pack(&status, bytes), false);
    return text;
}

static const char retry_type[] = "type.googleapis.com/google.rpc.RetryInfo";

static void retry_infos(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        int64_t seconds;
        int32_t nanos;
        bool found;
        uint64_t delay_ns;
    } cases[] = {
        {retry_type, 3, 500, true, 3000000500},
        {"google.rpc.RetryInfo", 0, 1, true, 1},
        {retry_type, 0, 0, true, 0},
        {retry_type, INT64_MIN, 0, true, 0},
        {retry_type, INT64_MAX, 999999999, true, 86400000 * MS},
        {retry_type, -1, 0, false, 0},
        {retry_type, 1, -1, false, 0},
        {retry_type, 1, 1000000000, false, 0},
        {"type.googleapis.com/google.rpc.Help", 3, 0, false, 0},
        {"", 3, 0, false, 0},
    };
    uint64_t delay;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char *text = retry_info(cases[i].type, cases[i].seconds, cases[i].nanos);
        assert_int_equal(nsp__grpc_retry_info(text, &delay), cases[i].found);
        assert_int_equal(delay, cases[i].delay_ns);
        free(text);
    }
    assert_false(nsp__grpc_retry_info(NULL, &delay));
    assert_false(nsp__grpc_retry_info("", &delay));
    assert_false(nsp__grpc_retry_info("!", &delay));
    assert_false(nsp__grpc_retry_info("////", &delay));
}

static void versions_of_curl(void **state)
{
    (void)state;
    assert_false(nsp__curl_reuses_clear_http2(0x075800)); // 7.88.0
    assert_false(nsp__curl_reuses_clear_http2(0x075801));
    assert_true(nsp__curl_reuses_clear_http2(0x080000));
    assert_true(nsp__curl_reuses_clear_http2(0x080c01));
    assert_true(nsp__curl_strips_te(0x080c01)); // 8.12.1
    assert_false(nsp__curl_strips_te(0x080c00));
    assert_false(nsp__curl_strips_te(0x080d00));
}

// ---- requests ----

static void sends_what_the_protocol_asks_for(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.headers = "X-Api-Key=a%20b%3D%2C%25,trace-bin=ab";
    create(f);
    assert_int_equal(send_bytes(f, 5000, PATIENCE_MS), NSP_SEND_EXPORTED);
    expect_header(f, ":method: POST\n");
    expect_header(f, ":scheme: http\n");
    expect_header(f, ":path: /opentelemetry.proto.collector.trace.v1.TraceService/Export\n");
    expect_header(f, "content-type: application/grpc\n");
    expect_header(f, "te: trailers\n");
    expect_header(f, "user-agent: nanospan/" NSP_VERSION "\n");
    expect_header(f, "grpc-accept-encoding: identity,gzip\n");
    expect_header(f, "x-api-key: a b=,%\n");
    expect_header(f, "trace-bin: YWI\n");
    char authority[160];
    snprintf(authority, sizeof authority, ":authority: %s\n", f->otlp.endpoint + strlen("http://"));
    expect_header(f, authority);
    const h2_request *request = h2_server_last(f->server);
    assert_null(strstr(request->headers, "grpc-encoding"));
    assert_null(strstr(request->headers, "expect:"));
    assert_null(strstr(request->headers, "accept: "));
    unsigned timeout = 0;
    const char *header = strstr(request->headers, "grpc-timeout: ");
    assert_non_null(header);
    assert_int_equal(sscanf(header, "grpc-timeout: %uu\n", &timeout), 1);
    assert_in_range(timeout, 1, PATIENCE_MS * 1000);
    assert_int_equal(request->length, 5005);
    assert_memory_equal(request->body, "\0\0\0\x13\x88", 5);
    assert_memory_equal(request->body + 5, f->otlp.body + 16, 5000);
    assert_true(f->otlp.report.answered);
    assert_int_equal(f->otlp.report.bytes, 5005);
    assert_string_equal(f->otlp.report.detail, "");
    finish(f);
}

static void many_requests_of_all_sizes(void **state)
{
    (void)state;
    fixture *f = prepare();
    create(f);
    static const size_t sizes[] = {0, 1, 1000, 16384, 65530, 65535, 65536, BODY - 16, 70000, 5};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        assert_int_equal(send_bytes(f, sizes[i], PATIENCE_MS), NSP_SEND_EXPORTED);
        const h2_request *request = h2_server_last(f->server);
        assert_int_equal(request->length, sizes[i] + 5);
        assert_memory_equal(request->body + 5, f->otlp.body + 16, sizes[i]);
        assert_int_equal(f->otlp.report.bytes, sizes[i] + 5);
    }
    unsigned connections = h2_server_connections(f->server);
    bool reused = nsp__curl_reuses_clear_http2(curl_version_info(CURLVERSION_NOW)->version_num);
    assert_int_equal(connections, reused ? 1 : sizeof sizes / sizeof *sizes);
    finish(f);
}

static void compresses_what_is_worth_it(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.compression = "gzip";
    create(f);
    assert_int_equal(send_bytes(f, BODY - 16, PATIENCE_MS), NSP_SEND_EXPORTED);
    expect_header(f, "grpc-encoding: gzip\n");
    const h2_request *request = h2_server_last(f->server);
    assert_int_equal(request->body[0], 1);
    assert_in_range(request->length, 100, BODY / 2);
    assert_int_equal(f->otlp.report.bytes, request->length);
    nsp__grpc_message message;
    assert_null(nsp__grpc_message_read(&message, request->body, request->length, "gzip", BODY));
    assert_int_equal(message.length, BODY - 16);
    assert_memory_equal(message.bytes, f->otlp.body + 16, BODY - 16);
    free(message.unpacked);
    assert_int_equal(send_bytes(f, 1000, PATIENCE_MS), NSP_SEND_EXPORTED);
    request = h2_server_last(f->server);
    assert_int_equal(request->length, 1005);
    assert_int_equal(request->body[0], 0);
    finish(f);
}

static void over_a_unix_socket(void **state)
{
    (void)state;
    char folder[] = "/tmp/nanospan-grpc-XXXXXX", path[64], endpoint[80];
    assert_non_null(mkdtemp(folder));
    for (int abstract = 0; abstract < 2; ++abstract) {
        snprintf(path, sizeof path, "%s%s/s", abstract ? "@" : "", folder);
        snprintf(endpoint, sizeof endpoint, "%s%s", abstract ? "unix-abstract:" : "unix://", path + abstract);
        fixture *f = prepare();
        h2_server_stop(f->server);
        f->server = h2_server_start(path);
        assert_non_null(f->server);
        f->otlp.config.endpoint = endpoint;
        f->otlp.config.protocol = NULL;
        create(f);
        for (int i = 0; i < 3; ++i)
            assert_int_equal(send_bytes(f, 5000, PATIENCE_MS), NSP_SEND_EXPORTED);
        expect_header(f, ":authority: localhost\n");
        finish(f);
    }
    unlink(path + 1);
    fixture *f = prepare();
    snprintf(endpoint, sizeof endpoint, "unix:%s", path + 1);
    f->otlp.config.endpoint = endpoint;
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY); // nothing listens there
    expect_text(f, endpoint);
    finish(f);
    rmdir(folder);
}

// ---- answers ----

// gRPC's list of codes, and what happens to the batch.
static const nsp_send_result results[] = {
    NSP_SEND_EXPORTED, // success
    NSP_SEND_UNKNOWN,  NSP_SEND_REJECTED, NSP_SEND_REJECTED, NSP_SEND_UNKNOWN,
    NSP_SEND_REJECTED, NSP_SEND_REJECTED, NSP_SEND_REJECTED, NSP_SEND_REJECTED,
    NSP_SEND_REJECTED, NSP_SEND_RETRY,    NSP_SEND_RETRY,    NSP_SEND_REJECTED,
    NSP_SEND_REJECTED, NSP_SEND_RETRY,    NSP_SEND_RETRY,    NSP_SEND_REJECTED};

// In three forms: Trailers-Only, trailers without a message, and trailers behind a message.
static void each_code_has_its_result(void **state)
{
    (void)state;
    fixture *f = prepare();
    char trailers[16][64];
    for (int code = 1; code <= 16; ++code) {
        snprintf(trailers[code - 1], sizeof trailers[0], "grpc-status: %d\ngrpc-message: no%%2c %d\n", code,
                 code);
        for (int form = 0; form < 3; ++form)
            plan(f, (h2_reply){.trailers = trailers[code - 1],
                               .apart = form == 1,
                               .data = form == 2 ? "\0\0\0\0\0" : NULL,
                               .length = form == 2 ? 5 : 0});
    }
    create(f);
    for (int code = 1; code <= 16; ++code)
        for (int form = 0; form < 3; ++form) {
            assert_int_equal(send_bytes(f, 100, PATIENCE_MS), results[code]);
            assert_true(f->otlp.report.answered);
            assert_int_equal(f->otlp.report.retry_after_ns, 0);
            char expected[256];
            snprintf(expected, sizeof expected, "%s answered %s: no, %d", f->otlp.endpoint,
                     nsp__grpc_code_name((nsp__grpc_code)code), code);
            assert_string_equal(f->otlp.report.detail, expected);
        }
    assert_int_equal(h2_server_requests(f->server), 16 * 3);
    finish(f);
}

static void retry_info_names_the_delay(void **state)
{
    (void)state;
    fixture *f = prepare();
    char *delay = retry_info(retry_type, 7, 500000000), *none = retry_info(retry_type, 0, 0);
    char trailers[3][512];
    snprintf(trailers[0], sizeof trailers[0], "grpc-status: 8\ngrpc-status-details-bin: %s\n", delay);
    snprintf(trailers[1], sizeof trailers[1], "grpc-status: 14\ngrpc-status-details-bin: %s\n", delay);
    snprintf(trailers[2], sizeof trailers[2], "grpc-status: 8\ngrpc-status-details-bin: %s\n", none);
    for (int i = 0; i < 3; ++i)
        plan(f, (h2_reply){.trailers = trailers[i], .apart = i == 1});
    plan(f, (h2_reply){.trailers = "grpc-status: 8\ngrpc-status-details-bin: CAg\n"});
    create(f);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
        assert_int_equal(f->otlp.report.retry_after_ns, 7500 * MS);
    }
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_int_equal(f->otlp.report.retry_after_ns, 0);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    finish(f);
    free(delay);
    free(none);
}

static void reads_partial_success(void **state)
{
    (void)state;
    static const char partial[] = "\0\0\0\0\x0d\x0a\x0b\x08\x03\x12\x07no room";
    static const uint8_t message[] = "\x0a\x0b\x08\x03\x12\x07no room";
    static const char ok[] = "grpc-status: 0\n";
    size_t size;
    uint8_t *packed = packed_frame(message, 13, &size);
    fixture *f = prepare();
    plan(f, (h2_reply){.data = partial, .length = 18, .trailers = ok});
    plan(f, (h2_reply){.data = partial, .length = 18, .trailers = ok, .chunk = 1});
    plan(f, (h2_reply){.headers = "grpc-encoding: gzip\n", .data = packed, .length = size, .trailers = ok});
    plan(f,
         (h2_reply){.data = partial, .length = 18, .trailers = ok, .content_type = "application/grpc+proto"});
    plan(f, (h2_reply){.data = "\0\0\0\0\6<html>", .length = 11, .trailers = ok});
    create(f);
    for (int i = 0; i < 4; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
        assert_int_equal(f->otlp.report.rejected, 3);
        assert_string_equal(f->otlp.report.detail, "no room");
    }
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
    assert_int_equal(f->otlp.report.rejected, 0);
    expect_text(f, "not OTLP");
    finish(f);
    free(packed);
}

// Success, but its one message is missing or malformed.
static void a_bad_message_confirms_nothing(void **state)
{
    (void)state;
    static const char ok[] = "grpc-status: 0\n";
    static uint8_t large[(64 << 10) + 6];
    nsp__grpc_prefix_write(large, false, sizeof large - 5);
    uint8_t *zeros = calloc(1, (64 << 10) + 1);
    size_t size;
    uint8_t *bomb = packed_frame(zeros, (64 << 10) + 1, &size);
    fixture *f = prepare();
    plan(f, (h2_reply){.trailers = ok});
    plan(f, (h2_reply){.data = "\0\0\0\0\5ab", .length = 7, .trailers = ok});
    plan(f, (h2_reply){.data = "\0\0\0\0\0\0\0\0\0\0", .length = 10, .trailers = ok});
    plan(f, (h2_reply){.data = "\1\0\0\0\2ab", .length = 7, .trailers = ok});
    plan(f, (h2_reply){.headers = "grpc-encoding: gzip\n", .data = bomb, .length = size, .trailers = ok});
    plan(f, (h2_reply){.data = large, .length = sizeof large, .trailers = ok});
    create(f);
    static const char *const texts[] = {"no message",  "malformed", "more than one",
                                        "unknown way", "too long",  "longer than 64 KiB"};
    for (int i = 0; i < 6; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
        expect_text(f, texts[i]);
    }
    finish(f);
    free(zeros);
    free(bomb);
}

static void answers_that_are_not_grpc(void **state)
{
    (void)state;
    fixture *f = prepare();
    // No status: the trailers were lost, there never were any, or the server is of a different kind.
    plan(f, (h2_reply){.data = "\0\0\0\0\0", .length = 5});
    plan(f, (h2_reply){.data = "\0\0\0\0\0", .length = 5, .trailers = "x: y\n"});
    plan(f, (h2_reply){.content_type = "text/html", .data = "<html>", .length = 6});
    plan(f, (h2_reply){.content_type = "", .status = 404});
    plan(f, (h2_reply){.content_type = "",
                       .status = 307,
                       .headers = "location: https://u:secret@there/x?k=secret\n"});
    plan(f, (h2_reply){.content_type = "text/html", .status = 503, .headers = "retry-after: 7\n"});
    plan(f, (h2_reply){.content_type = "text/html", .status = 502, .data = "bad", .length = 3});
    plan(f, (h2_reply){.status = 429});
    plan(f, (h2_reply){.status = 401});
    plan(f,
         (h2_reply){.status = 503, .trailers = "grpc-status: 16\n"}); // a status counts, whatever HTTP says
    plan(f, (h2_reply){.trailers = "grpc-status: none\n"});
    // A status before a message does not count; one after it does.
    plan(f, (h2_reply){.headers = "grpc-status: 0\n", .data = "\0\0\0\0\0", .length = 5});
    plan(f,
         (h2_reply){.headers = "grpc-status: 0\n", .data = "\0\0\0\0\0", .length = 5, .trailers = "x: y\n"});
    plan(f, (h2_reply){.headers = "grpc-status: 0\n",
                       .data = "\0\0\0\0\0",
                       .length = 5,
                       .trailers = "grpc-status: 13\n"});
    create(f);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNKNOWN);
        expect_text(f, "broke off");
    }
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
    expect_text(f, "answered 200 over HTTP, not gRPC");
    assert_true(f->otlp.report.answered);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_text(f, "answered 404 over HTTP, not gRPC");
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_text(f, "answered 307, a redirect to https://there/x,");
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_int_equal(f->otlp.report.retry_after_ns, 7000 * MS);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_RETRY);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_text(f, "UNAUTHENTICATED");
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
    expect_text(f, "with a grpc-status that is not a number");
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNKNOWN);
        expect_text(f, "broke off");
    }
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_text(f, "INTERNAL");
    finish(f);
}

static void an_answer_that_breaks_off_is_asked_for_a_few_times(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (h2_reply){.data = "\0\0\0\0\0", .length = 5});
    plan(f, (h2_reply){.status = 200});
    plan(f, (h2_reply){.data = "\0\0\0\0\0", .length = 5, .trailers = "x: y\n"});
    plan(f, (h2_reply){.data = "\0\0\0\0\0", .length = 5});
    create(f);
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNKNOWN);
        expect_text(f, "broke off");
    }
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNCONFIRMED);
    expect_text(f, "does a proxy drop trailers?");
    finish(f);
}

static void an_early_refusal_counts(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (h2_reply){.manner = H2_EARLY, .trailers = "grpc-status: 16\ngrpc-message: who are you\n"});
    create(f);
    assert_int_equal(send_bytes(f, BODY - 16, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_text(f, "UNAUTHENTICATED: who are you");
    finish(f);
}

static void streams_that_are_reset(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (h2_reply){.manner = H2_RESET, .error = 0x2});
    plan(f, (h2_reply){.manner = H2_RESET, .error = 0x8});
    plan(f, (h2_reply){.manner = H2_RESET, .error = 0xb});
    plan(f, (h2_reply){.manner = H2_RESET, .error = 0x7}); // every time, because curl asks again
    create(f);
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_text(f, "INTERNAL");
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_UNKNOWN);
    expect_text(f, "CANCELLED");
    assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_REJECTED);
    expect_text(f, "RESOURCE_EXHAUSTED");
    nsp_send_result result = send_bytes(f, 100, 10000);
    print_message("refused: %s\n", f->otlp.report.detail);
    assert_true(result == NSP_SEND_RETRY || result == NSP_SEND_UNKNOWN);
    finish(f);
}

static void a_refused_stream_is_sent_again(void **state)
{
    (void)state;
    static const h2_manner manners[] = {H2_RESET, H2_GOAWAY};
    for (int i = 0; i < 2; ++i) {
        fixture *f = prepare();
        plan(f, (h2_reply){.manner = manners[i], .error = manners[i] == H2_RESET ? 0x7 : 0});
        plan(f, (h2_reply){.data = "\0\0\0\0\0", .length = 5, .trailers = "grpc-status: 0\n"});
        create(f);
        nsp_send_result result = send_bytes(f, 100, 10000);
        print_message("%s\n", f->otlp.report.detail);
        if (result != NSP_SEND_EXPORTED) { // curl has not repeated it, so the sender does
            assert_true(result == NSP_SEND_RETRY || result == NSP_SEND_UNKNOWN);
            assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
        }
        finish(f);
    }
}

static void accept_it(void *context, const h2_request *request, h2_reply *reply)
{
    (void)context;
    (void)request;
    *reply = (h2_reply){.data = "\0\0\0\0\0", .length = 5, .trailers = "grpc-status: 0\n"};
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
        in_time = result == NSP_SEND_UNKNOWN && took <= (limit_ms + SLACK_MS) * MS;
    }
    assert_true(in_time);
}

static void a_lost_answer_is_unknown(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (h2_reply){.manner = H2_HANG_UP});
    plan(f, (h2_reply){.manner = H2_GOAWAY_LATER});
    create(f);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(send_bytes(f, 50000, PATIENCE_MS), NSP_SEND_UNKNOWN);
        assert_false(f->otlp.report.answered);
        expect_text(f, "no answer from http://127.0.0.1:");
    }
    finish(f);
    static const h2_reply silences[] = {{.manner = H2_SILENT},
                                        {.manner = H2_HALF, .data = "\0\0\0\0\0", .length = 5}};
    for (int i = 0; i < 2; ++i) {
        f = prepare();
        plan(f, silences[i]);
        create(f);
        expect_to_end_at(f, 300, 300);
        expect_text(f, "DEADLINE_EXCEEDED");
        // The next request is not affected.
        h2_server_judge(f->server, accept_it, NULL);
        assert_int_equal(send_bytes(f, 100, PATIENCE_MS), NSP_SEND_EXPORTED);
        finish(f);
    }
}

static void a_request_that_is_not_read_is_certainly_not_taken(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (h2_reply){.manner = H2_STALLED});
    create(f);
    assert_int_equal(send_bytes(f, BODY - 16, 500), NSP_SEND_RETRY);
    assert_in_range(f->otlp.report.bytes, 0, BODY - 1);
    finish(f);
}

static void the_configured_timeout_limits_one_request(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.export_timeout_ns = 200 * MS;
    plan(f, (h2_reply){.manner = H2_SILENT});
    create(f);
    expect_to_end_at(f, 200, PATIENCE_MS);
    const char *header = strstr(h2_server_last(f->server)->headers, "grpc-timeout: ");
    unsigned timeout = 0;
    assert_int_equal(sscanf(header, "grpc-timeout: %uu\n", &timeout), 1);
    assert_in_range(timeout, 1, 200000);
    finish(f);
}

// Waits until the request has begun to come, and cancels the send.
typedef struct cancelling {
    fixture *f;
    unsigned requests; // before
    uint64_t at_ns;    // when it was cancelled
} cancelling;

static void *cancel_in_the_middle(void *argument)
{
    cancelling *me = argument;
    while (h2_server_requests(me->f->server) == me->requests)
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 50 * MS}, NULL);
    me->at_ns = now_ns();
    __atomic_store_n(&me->f->otlp.cancel, 1, __ATOMIC_RELEASE);
    return NULL;
}

// The server counts a request at its headers, so on a busy machine the rest of it may not have left.
static void cancel_ends_a_stalled_send(void **state)
{
    (void)state;
    fixture *f = prepare();
    plan(f, (h2_reply){.manner = H2_SILENT});
    create(f);
    bool in_time = false;
    for (int i = 0; i < TRIES && !in_time; ++i) {
        pthread_t thread;
        cancelling how = {f, h2_server_requests(f->server), 0};
        f->otlp.cancel = 0;
        assert_int_equal(pthread_create(&thread, NULL, cancel_in_the_middle, &how), 0);
        nsp_send_result result = send_bytes(f, 100, 20000);
        uint64_t end = now_ns();
        pthread_join(thread, NULL);
        assert_true(end >= how.at_ns);
        assert_true(result == NSP_SEND_UNKNOWN || result == NSP_SEND_RETRY);
        in_time = result == NSP_SEND_UNKNOWN && end - how.at_ns <= (50 + SLACK_MS) * MS;
    }
    assert_true(in_time);
    finish(f);
}

// ---- the wrong port ----

// The spans are kept, and one line names the protocol and the port that would work.
static void expect_the_other_port(fixture *f, const char *protocol, const char *port)
{
    create(f);
    for (int i = 0; i < 3; ++i) {
        nsp_send_result result = send_bytes(f, 100, PATIENCE_MS);
        print_message("%d: %s\n", result, f->otlp.report.detail);
        assert_int_equal(result, NSP_SEND_RETRY);
    }
    assert_int_equal(f->otlp.lines, 1);
    assert_non_null(strstr(f->otlp.last_line, protocol));
    assert_non_null(strstr(f->otlp.last_line, port));
}

static void grpc_to_http1_names_the_confusion(void **state)
{
    (void)state;
    fixture *f = prepare();
    http_server *other = http_server_start(NULL);
    snprintf(f->otlp.endpoint, sizeof f->otlp.endpoint, "http://127.0.0.1:%u", http_server_port(other));
    expect_the_other_port(f, "http/protobuf", "4318");
    http_server_stop(other);
    finish(f);
}

static void http1_to_grpc_names_the_confusion(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.protocol = "http/protobuf";
    expect_the_other_port(f, "PROTOCOL=grpc", "4317");
    finish(f);
}

// ---- configuration ----

static void leftovers_are_logged(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.endpoint = "http://127.0.0.1:1/v1/traces";
    create(f);
    assert_int_equal(f->otlp.lines, 1);
    assert_non_null(strstr(f->otlp.last_line, "path"));
    nsp__exporter_otlp.destroy(f->otlp.exporter);
    f->otlp.config.endpoint = f->otlp.endpoint;
    f->otlp.config.certificate = "/nonexistent";
    f->otlp.lines = 0;
    create(f);
    assert_int_equal(f->otlp.lines, 1);
    assert_non_null(strstr(f->otlp.last_line, "clear text"));
    finish(f);
}

// Only the exporter knows what HTTP accepts and gRPC does not; core has logged the others.
static void metadata_that_is_left_out_is_logged(void **state)
{
    (void)state;
    fixture *f = prepare();
    f->otlp.config.headers = "a=1,b=%c3%a4,grpc-timeout=1S,c-bin=%00";
    create(f);
    assert_int_equal(f->otlp.lines, 1);
    assert_non_null(strstr(f->otlp.last_line,
                           "headers: entry 2 is left out: its value contains more than printable ASCII"));
    assert_null(strstr(f->otlp.last_line, "entry 3"));
    finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),
        cmocka_unit_test(compressed_frames),
        cmocka_unit_test(timeouts_have_eight_digits_at_most),
        cmocka_unit_test(metadata),
        cmocka_unit_test(codes_and_messages),
        cmocka_unit_test(retry_infos),
        cmocka_unit_test(versions_of_curl),
        cmocka_unit_test(sends_what_the_protocol_asks_for),
        cmocka_unit_test(many_requests_of_all_sizes),
        cmocka_unit_test(compresses_what_is_worth_it),
        cmocka_unit_test(over_a_unix_socket),
        cmocka_unit_test(each_code_has_its_result),
        cmocka_unit_test(retry_info_names_the_delay),
        cmocka_unit_test(reads_partial_success),
        cmocka_unit_test(a_bad_message_confirms_nothing),
        cmocka_unit_test(answers_that_are_not_grpc),
        cmocka_unit_test(an_answer_that_breaks_off_is_asked_for_a_few_times),
        cmocka_unit_test(an_early_refusal_counts),
        cmocka_unit_test(streams_that_are_reset),
        cmocka_unit_test(a_refused_stream_is_sent_again),
        cmocka_unit_test(a_lost_answer_is_unknown),
        cmocka_unit_test(a_request_that_is_not_read_is_certainly_not_taken),
        cmocka_unit_test(the_configured_timeout_limits_one_request),
        cmocka_unit_test(cancel_ends_a_stalled_send),
        cmocka_unit_test(grpc_to_http1_names_the_confusion),
        cmocka_unit_test(http1_to_grpc_names_the_confusion),
        cmocka_unit_test(leftovers_are_logged),
        cmocka_unit_test(metadata_that_is_left_out_is_logged),
    };
    return cmocka_run_group_tests_name("otlp_grpc", tests, NULL, NULL);
}
