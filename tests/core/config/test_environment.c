// SPDX-License-Identifier: Apache-2.0
//
// The effect of environment variables on a running engine, seen from the receiver: headers, several
// exporters, no time limit. test_config.c tests their effect on an nsp_config.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "support/http_server.h"
#include "support/scripted.h"

#define SECOND 1000000000ull
#define MS 1000000ull

typedef struct fixture {
    http_server *server;
    char file[64];
    char lines[8192]; // of the log
} fixture;

static fixture *logged_by;

static void keep_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    size_t used = strlen(logged_by->lines);
    snprintf(logged_by->lines + used, sizeof logged_by->lines - used, "%s\n", line);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    char endpoint[64];
    clearenv();
    f->server = http_server_start("X-Api-Key");
    snprintf(endpoint, sizeof endpoint, "\"http://127.0.0.1:%u\"\n", http_server_port(f->server));
    snprintf(f->file, sizeof f->file, "/tmp/nanospan-test-XXXXXX");
    close(mkstemp(f->file));
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, 1);
    setenv("NSP_SHM_DIR", "none", 1);
    setenv("NSP_FILE", f->file, 1);
    setenv("NSP_RETRY_MIN_MS", "1", 1);
    logged_by = f;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    nsp_shutdown(SECOND);
    http_server_stop(f->server);
    unlink(f->file);
    free(f);
    return clearenv();
}

static void start(void)
{
    nsp_config config;
    nsp_config_init(&config);
    config.log = keep_line;
    if (nsp_init(&config) != NSP_OK)
        fail_msg("%s", nsp_error_detail());
}

static void record(int spans)
{
    for (int i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("environment.span")));
}

// Ends the session; every span counts as exported.
static void expect_exported(uint64_t spans)
{
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_shutdown(20 * SECOND), NSP_OK);
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.exported, spans);
    assert_int_equal(stats.attempted, spans);
}

// How often the text is in the file.
static int times_in(const char *path, const char *text)
{
    char line[65536];
    int times = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        for (const char *at = line; (at = strstr(at, text)); at++)
            times++;
    fclose(file);
    return times;
}

static void a_bad_header_stops_nothing(void **state)
{
    fixture *f = *state;
    setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "bad key=hunter2,Content-Type=x,a=%XX,x-api-key=secret\n", 1);
    start();
    record(3);
    expect_exported(3);
    assert_string_equal(http_server_last(f->server)->extra, "secret");
    assert_string_equal(http_server_last(f->server)->content_type, "application/x-protobuf");
    assert_non_null(strstr(f->lines, "OTEL_EXPORTER_OTLP_TRACES_HEADERS: entry 1 is left out: "));
    assert_non_null(strstr(f->lines, "; entry 2 is left out: "));
    assert_non_null(strstr(f->lines, "; entry 3 is left out: "));
    assert_null(strstr(f->lines, "hunter2"));
}

static void weaker_headers_do_not_come_in_silently(void **state)
{
    fixture *f = *state;
    setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "hunter2", 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of-another-system", 1);
    start();
    record(1);
    expect_exported(1);
    assert_string_equal(http_server_last(f->server)->extra, "");
    assert_non_null(strstr(f->lines, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=(not shown) has no entry"));
}

static void each_exporter_of_a_list_gets_each_span_once(void **state)
{
    fixture *f = *state;
    setenv("OTEL_TRACES_EXPORTER", " otlp , file ", 1);
    // A batch that one exporter did not take is sent again, to that exporter only.
    http_server_plan(f->server, &(http_reply){.status = 503});
    http_server_plan(f->server, &(http_reply){.status = 503});
    http_server_plan(f->server, &(http_reply){.status = 200});
    start();
    record(100);
    assert_int_equal(nsp_flush(20 * SECOND), NSP_OK);
    assert_int_equal(http_server_requests(f->server), 3);
    record(50);
    expect_exported(150);
    assert_int_equal(http_server_requests(f->server), 4);
    assert_int_equal(times_in(f->file, "environment.span"), 150);
}

static void a_refusal_by_one_is_a_refusal(void **state)
{
    fixture *f = *state;
    setenv("OTEL_TRACES_EXPORTER", "file,otlp", 1);
    http_server_plan(f->server, &(http_reply){.status = 400});
    start();
    record(10);
    nsp_shutdown(20 * SECOND);
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    assert_int_equal(stats.rejected, 10);
    assert_int_equal(stats.exported, 0);
    assert_int_equal(times_in(f->file, "environment.span"), 10);
    assert_non_null(strstr(f->lines, "otlp: "));
}

static void an_exporter_that_cannot_be_made_costs_no_other(void **state)
{
    fixture *f = *state;
    setenv("OTEL_TRACES_EXPORTER", "file,otlp", 1);
    setenv("NSP_FILE", "/nowhere/at/all", 1);
    start();
    record(5);
    expect_exported(5);
    assert_int_equal(http_server_requests(f->server), 1);
    assert_non_null(strstr(f->lines, "exporter file cannot be used: a system call failed; it gets no spans"));
    assert_null(strstr(f->lines, "spans are discarded"));
}

static void a_span_that_fills_a_batch_fits_into_a_list_too(void **state)
{
    fixture *f = *state;
    static char text[60001];
    memset(text, 'x', sizeof text - 1);
    setenv("OTEL_TRACES_EXPORTER", "otlp,file", 1);
    setenv("NSP_BATCH_BYTES", "64 KiB", 1);
    setenv("NSP_RECORD_BYTES", "65528", 1);
    start();
    for (int i = 0; i < 5; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("environment.large"));
        nsp_span_set_str(span, NSP_KEY("text"), text);
        nsp_span_end(span);
    }
    expect_exported(5);
    assert_int_equal(http_server_requests(f->server), 5);
}

// A request without a timeout of its own still ends when the shutdown's time is over.
static void no_limit_ends_with_the_shutdown(void **state)
{
    fixture *f = *state;
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0", 1);
    setenv("OTEL_BSP_SCHEDULE_DELAY", "1", 1);
    http_server_plan(f->server, &(http_reply){.manner = HTTP_STALL});
    bool in_time = false; // at least once, because a busy machine may hold up any
    for (unsigned tries = 1; tries <= 5 && !in_time; tries++) {
        start();
        record(1);
        while (http_server_requests(f->server) < tries)
            test_sleep_ms(1);
        uint64_t before = test_now_ns();
        assert_int_equal(nsp_shutdown(400 * MS), NSP_ERR_TIMEOUT);
        in_time = test_now_ns() - before < 5 * SECOND;
        assert_null(strstr(f->lines, "OTEL_EXPORTER_OTLP_TIMEOUT"));
        assert_int_equal(http_server_requests(f->server), tries);
    }
    assert_true(in_time);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bad_header_stops_nothing),
        TEST(weaker_headers_do_not_come_in_silently),
        TEST(each_exporter_of_a_list_gets_each_span_once),
        TEST(a_refusal_by_one_is_a_refusal),
        TEST(an_exporter_that_cannot_be_made_costs_no_other),
        TEST(a_span_that_fills_a_batch_fits_into_a_list_too),
        TEST(no_limit_ends_with_the_shutdown),
    };
    return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
