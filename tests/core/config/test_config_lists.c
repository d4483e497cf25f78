// SPDX-License-Identifier: Apache-2.0
//
// Lists and endpoints in the environment: which entries are left out, and what the log line says about them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "config/config.h"
#include "config/environment.h"
#include "support/environment.h"

static struct {
    char line[1024];
    int count;
} logged;

static void keep_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    snprintf(logged.line, sizeof logged.line, "%s", line);
    (void)level;
    logged.count++;
}

static void report(void)
{
    memset(&logged, 0, sizeof logged);
    nsp__log_configure(NSP_LOG_DEBUG, keep_line, NULL);
    nsp__environment_report(NULL);
}

static void one_bad_entry_does_not_affect_others(void **state)
{
    (void)state;
    nsp_config config = with("OTEL_EXPORTER_OTLP_TRACES_HEADERS=a=1,bad key=hunter2,te=hunter3",
                             "OTEL_EXPORTER_OTLP_HEADERS=weaker=1");
    assert_string_equal(config.headers, "a=1,bad key=hunter2,te=hunter3");
    nsp_config resolved;
    assert_int_equal(nsp__config_resolve(&resolved, &config), NSP_OK);
    nsp__config_free(&resolved);
    report();
    assert_int_equal(logged.count, 1);
    assert_string_equal(
        logged.line,
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS: entry 2 is left out: its name contains a character that HTTP "
        "does not allow; entry 3 is left out: its name is one that the exporter sets itself");
    config = with("OTEL_PROPAGATORS=\"b3 , jaeger,x\"\n", NULL);
    report();
    assert_string_equal(logged.line,
                        "OTEL_PROPAGATORS: jaeger is not supported in this version, and is left out; "
                        "x is not known, and is left out");
    with("OTEL_RESOURCE_ATTRIBUTES=a=1,b", NULL);
    report();
    assert_string_equal(logged.line, "OTEL_RESOURCE_ATTRIBUTES: entry 2 is left out: it has no \"=\"");
}

static void bad_headers_let_no_weaker_ones_in(void **state)
{
    (void)state;
    nsp_config config =
        with("OTEL_EXPORTER_OTLP_TRACES_HEADERS=hunter2", "OTEL_EXPORTER_OTLP_HEADERS=authorization=other");
    assert_null(config.headers);
    report();
    assert_int_equal(logged.count, 1);
    assert_null(strstr(logged.line, "hunter2"));
    assert_non_null(strstr(logged.line,
                           "OTEL_EXPORTER_OTLP_TRACES_HEADERS=(not shown) has no entry that can be used "
                           "(entry 1 is left out: it has no \"=\") and is ignored"));
    assert_non_null(strstr(logged.line, "used instead: nothing"));
}

static void the_applications_own_lists_are_reported_too(void **state)
{
    (void)state;
    nsp_config config = with("OTEL_EXPORTER_OTLP_HEADERS=a=1,b", NULL);
    memset(&logged, 0, sizeof logged);
    nsp__log_configure(NSP_LOG_DEBUG, keep_line, NULL);
    nsp__environment_report(&config); // headers from the environment
    assert_int_equal(logged.count, 1);
    assert_non_null(strstr(logged.line, "OTEL_EXPORTER_OTLP_HEADERS: entry 2"));
    config = with(NULL, NULL);
    config.headers = "a=1,hunter2";
    memset(&logged, 0, sizeof logged);
    nsp__environment_report(&config);
    assert_int_equal(logged.count, 1);
    assert_string_equal(logged.line, "headers: entry 2 is left out: it has no \"=\"");
    config.size = offsetof(nsp_config, headers); // an older caller's struct ends before them
    memset(&logged, 0, sizeof logged);
    nsp__environment_report(&config);
    assert_int_equal(logged.count, 0);
}

static void exporters_are_a_list(void **state)
{
    (void)state;
    static const struct {
        const char *text, *exporter, *said; // NULL: nothing
    } cases[] = {
        {"otlp", "otlp", NULL},
        {" otlp ", "otlp", NULL},
        {"otlp,console", "otlp,console", NULL},
        {"Console, OTLP ,console,", "console,otlp", NULL},
        {"\"otlp\",'file'", "otlp,file", NULL},
        {"none", "none", NULL},
        {"none,otlp", "otlp", "none is left out: it has no effect next to other entries"},
        {"zipkin,otlp", "otlp", "entry 1 is left out: zipkin is not known"},
        {"otlp,,zipkin,x", "otlp",
         "entry 3 is left out: zipkin is not known; entry 4 is left out: x is not known"},
        {"zipkin,jaeger", NULL, "accepted: a list of otlp, console, file or none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char setting[200];
        snprintf(setting, sizeof setting, "OTEL_TRACES_EXPORTER=%s", cases[i].text);
        nsp_config config = with(setting, NULL);
        if (cases[i].exporter)
            assert_string_equal(config.exporter, cases[i].exporter);
        else
            assert_null(config.exporter);
        report();
        assert_int_equal(logged.count, cases[i].said != NULL);
        if (cases[i].said && !strstr(logged.line, cases[i].said))
            fail_msg("%s", logged.line);
    }
}

static void an_endpoint_is_refused_with_a_line_that_shows_it(void **state)
{
    (void)state;
    with("OTLP_ENDPOINT=http://ex ample:4318", NULL);
    report();
    assert_non_null(
        strstr(logged.line, "OTLP_ENDPOINT=http://ex ample:4318 is not accepted (it contains a blank)"));
    with("OTLP_ENDPOINT=http://a\nb", NULL);
    report();
    assert_non_null(
        strstr(logged.line, "OTLP_ENDPOINT=http://a\\nb is not accepted (it contains a line break"));
    with("OTLP_ENDPOINT=\"http://-\"", NULL);
    report();
    assert_non_null(
        strstr(logged.line, "OTLP_ENDPOINT=\"http://-\" is not accepted (its host name has a part that "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_bad_entry_does_not_affect_others),
        cmocka_unit_test(bad_headers_let_no_weaker_ones_in),
        cmocka_unit_test(the_applications_own_lists_are_reported_too),
        cmocka_unit_test(exporters_are_a_list),
        cmocka_unit_test(an_endpoint_is_refused_with_a_line_that_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
