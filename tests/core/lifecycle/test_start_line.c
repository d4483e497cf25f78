// SPDX-License-Identifier: Apache-2.0
//
// The line that nsp_init logs: that tracing is on, where spans go, and at what rate. It is logged once for
// each start, and without secrets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define MINUTE 60000000000u

static int reset(void **state)
{
    (void)state;
    nsp_shutdown(0);
    script_reset();
    return clearenv();
}

// Runs nsp_init and nsp_shutdown, and checks that the line was logged once and that no line contains a
// secret.
static void expect_line(const nsp_config *config, const char *line)
{
    script_reset();
    assert_int_equal(nsp_init(config), NSP_OK);
    if (script_lines_with(line) != 1)
        fail_msg("not one line \"%s\"", line);
    assert_int_equal(script_lines_with("tracing is on"), 1);
    assert_int_equal(script_lines_with("hush"), 0);
    assert_int_equal(nsp_shutdown(MINUTE), NSP_OK);
    assert_int_equal(script_lines_with("tracing is on"), 1);
}

static void each_exporter(void **state)
{
    (void)state;
    static const struct {
        const char *exporter, *endpoint, *protocol, *line;
    } cases[] = {
        {"otlp", "http://127.0.0.1:4317", NULL, "OTLP over gRPC to http://127.0.0.1:4317, "},
        {"otlp", "http://127.0.0.1:4318", NULL, "OTLP over HTTP to http://127.0.0.1:4318/v1/traces, "},
        {NULL, "https://127.0.0.1/a", "http/json",
         "OTLP over HTTP with JSON to https://127.0.0.1/a/v1/traces, "},
        {NULL, "http://me:hush@127.0.0.1:4317", NULL, "OTLP over gRPC to http://127.0.0.1:4317, "},
        {NULL, "http://127.0.0.1:1/?token=hush", NULL, "OTLP over HTTP to http://127.0.0.1:1/v1/traces, "},
        {NULL, "unix:///run/otlp.sock", NULL, "OTLP over gRPC to unix:/run/otlp.sock, "},
        {"file", NULL, NULL, "file /dev/null, "},
        {"console", NULL, NULL, "standard output, "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nsp_config config;
        script_config(&config);
        config.custom_exporter = NULL;
        config.exporter = cases[i].exporter;
        config.endpoint = cases[i].endpoint;
        config.protocol = cases[i].protocol;
        config.headers = "authorization=hush";
        config.file = "/dev/null";
        char line[128];
        snprintf(line, sizeof line, "tracing is on: %ssample rate 1", cases[i].line);
        expect_line(&config, line);
    }
}

static void rates(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.sample_rate = 0.025;
    expect_line(&config, "tracing is on: exporter scripted, sample rate 0.025");
    config.sample_rate = 0;
    expect_line(&config, "tracing is on: exporter scripted, sample rate 0");
}

static void from_the_environment(void **state)
{
    (void)state;
    setenv("OTLP_ENDPOINT", "http://127.0.0.1:4317", 1);
    setenv("TRACE_SAMPLE_RATE", "0.5", 1);
    nsp_config scripted_config, config;
    script_config(&scripted_config);
    nsp_config_init(&config);
    config.log = scripted_config.log;
    expect_line(&config, "tracing is on: OTLP over gRPC to http://127.0.0.1:4317, sample rate 0.5");
}

static void where_nothing_is_sent_or_info_is_not_wanted(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.log_level = NSP_LOG_WARN;
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(nsp_shutdown(MINUTE), NSP_OK);
    script_config(&config);
    script.created = NSP_ERR_SYSTEM; // a line already says so
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(nsp_shutdown(MINUTE), NSP_OK);
    assert_int_equal(script_lines_with("tracing is on"), 0);
}

static void child_traces(void *argument)
{
    (void)argument;
    nsp_span *span = nsp_span_begin(NSP_NAME("child's"));
    CHILD_CHECK(nsp_span_recording(span));
    nsp_span_end(span);
    CHILD_CHECK(script_lines_with("tracing is on") == 1);
    nsp_shutdown(MINUTE);
}

// A child's session begins with its first span, on a thread that should not have to log.
static void not_in_forked_children(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    nsp_config config;
    script_config(&config);
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(nsp_flush(MINUTE),
                     NSP_OK); // our threads have started, and hold no lock of the allocator
    assert_int_equal(child_run(child_traces, NULL, 60), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_exporter, reset, reset),
        cmocka_unit_test_setup_teardown(rates, reset, reset),
        cmocka_unit_test_setup_teardown(from_the_environment, reset, reset),
        cmocka_unit_test_setup_teardown(where_nothing_is_sent_or_info_is_not_wanted, reset, reset),
        cmocka_unit_test_setup_teardown(not_in_forked_children, reset, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
