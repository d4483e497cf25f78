// SPDX-License-Identifier: Apache-2.0
//
// Configuration: each variable, which setting takes precedence, the effect of a bad value, and how nsp_init
// treats a struct that was filled in code, also by an older or newer caller.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nanospan/exporter.h>

#include "base/log.h"
#include "config/config.h"
#include "config/environment.h"
#include "support/environment.h"

static int clean(void **state)
{
    (void)state;
    return clearenv();
}

static const nsp__variable *variable_named(const char *name)
{
    for (size_t i = 0; i < nsp__variable_count; i++) {
        if (!strcmp(nsp__variables[i].name, name))
            return &nsp__variables[i];
    }
    fail_msg("no variable is called %s", name);
    return NULL;
}

// The member that the variable sets, as text: independent of what the table says about units.
static const char *member_text(const char *name, const nsp_config *config)
{
    static char text[256];
    const nsp__variable *variable = variable_named(name);
    const char *member = (const char *)config + variable->offset;
    if (variable->kind->text) {
        const char *const *string = (const char *const *)(const void *)member;
        snprintf(text, sizeof text, "%s", *string ? *string : "NULL");
        return text;
    }
    const nsp__kind *kind = variable->kind;
    if (kind == &nsp__kind_flag_else_false || kind == &nsp__kind_flag_inverted ||
        kind == &nsp__kind_flag_relaxed)
        snprintf(text, sizeof text, "%d", *(const bool *)member);
    else if (kind == &nsp__kind_ratio || kind == &nsp__kind_sampler || kind == &nsp__kind_sampler_argument ||
             kind == &nsp__kind_per_second)
        snprintf(text, sizeof text, "%g", *(const double *)(const void *)member);
    else if (variable->width == 8)
        snprintf(text, sizeof text, "%llu", *(const unsigned long long *)(const void *)member);
    else
        snprintf(text, sizeof text, "%u", *(const unsigned *)(const void *)member);
    return text;
}

// Name, the member's default, a value, the member after it, and a value that is rejected (NULL: none is).
static const struct {
    const char *name, *fallback, *value, *then, *bad;
} each[] = {
    {"OTEL_SDK_DISABLED", "1", "TRUE", "0", "1"},
    {"ENABLE_TRACING", "1", "Off", "0", "maybe"},
    {"OTEL_SERVICE_NAME", "unknown-service", "a b", "a b", NULL},
    {"SERVICE_NAME", "unknown-service", "quantum-backend", "quantum-backend", NULL},
    {"SERVICE_VERSION", "1.0.0", "2.1", "2.1", NULL},
    {"ENVIRONMENT", "development", "prod", "prod", NULL},
    {"OTEL_RESOURCE_ATTRIBUTES", "NULL", "a=b,c=%20d", "a=b,c=%20d", "a"},
    {"OTEL_TRACES_SAMPLER", "1", "always_off", "0", "sometimes"},
    {"OTEL_TRACES_SAMPLER_ARG", "1", "0.5", "1", "half"},
    {"TRACE_SAMPLE_RATE", "1", "0.1", "0.1", "1.1"},
    {"TRACE_SAMPLE_LIMIT", "0", "500/s", "500", "500/m"},
    {"NSP_OUTLIERS", "NULL", "a*: slower=50us, errors; b: asked", "a*: slower=50us, errors; b: asked",
     "a: slower"},
    {"OTEL_PROPAGATORS", "tracecontext,baggage", "b3multi, b3", "b3multi, b3", "jaeger"},
    {"OTEL_TRACES_EXPORTER", "NULL", "FILE", "file", "zipkin"},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "NULL", "https://a/b", "https://a/b", "ftp://a"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT", "NULL", "http://[::1]:4318/x", "http://[::1]:4318/x", "http://"},
    {"OTLP_ENDPOINT", "NULL", "jaeger:4317", "jaeger:4317", "jaeger:0"},
    {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "NULL", "grpc", "grpc", "http/xml"},
    {"OTEL_EXPORTER_OTLP_PROTOCOL", "NULL", "HTTP/protobuf", "http/protobuf", "udp"},
    {"OTEL_EXPORTER_OTLP_TRACES_INSECURE", "1", "false", "0", "no"},
    {"OTEL_EXPORTER_OTLP_INSECURE", "1", "False", "0", "0"},
    {"OTLP_INSECURE", "1", "no", "0", "never"},
    {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "NULL", "key=secret", "key=secret", "hunter2"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "NULL", "a=b,c=d", "a=b,c=d", "a=%0d%0ab"},
    {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none", "gzip", "gzip", "zstd"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION", "none", "GZIP", "gzip", "1"},
    {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "NULL", "/a.pem", "/a.pem", NULL},
    {"OTEL_EXPORTER_OTLP_CERTIFICATE", "NULL", "/a.pem", "/a.pem", NULL},
    {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "NULL", "/k.pem", "/k.pem", NULL},
    {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "NULL", "/k.pem", "/k.pem", NULL},
    {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "NULL", "/c.pem", "/c.pem", NULL},
    {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "NULL", "/c.pem", "/c.pem", NULL},
    {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10000000000", "0", "0", "soon"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", "10000000000", "2147483647", "2147483647000000", "-1"},
    {"OTEL_BSP_EXPORT_TIMEOUT", "10000000000", "30000", "30000000000", "-1"},
    {"NSP_FILE", "nanospan.jsonl", "/tmp/x", "/tmp/x", NULL},
    {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "128", "0", "0", "-1"},
    {"OTEL_ATTRIBUTE_COUNT_LIMIT", "128", "64", "64", "many"},
    {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4294967295", "100", "100", "-5"},
    {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4294967295", "100", "100", "1e3"},
    {"OTEL_SPAN_EVENT_COUNT_LIMIT", "128", "5", "5", "5 x"},
    {"OTEL_SPAN_LINK_COUNT_LIMIT", "128", "6", "6", "0x6"},
    {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "128", "7", "7", "+7"},
    {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "128", "8", "8", "8.5"},
    {"NSP_RING_BYTES", "1048576", "2MiB", "2097152", "2 GiB"},
    {"NSP_RECORD_BYTES", "4096", "512", "512", "511"},
    {"NSP_OPEN_SPANS", "32", "1024", "1024", "0"},
    {"NSP_DETACHED_SPANS", "1024", "262144", "262144", "262145"},
    {"NSP_THREADS", "1024", "4096", "4096", "4097"},
    {"NSP_WATERMARK", "0.75", "0.1", "0.1", "0.05"},
    {"NSP_OUTLIER_BYTES", "65536", "4 KiB", "4096", "4095"},
    {"NSP_SHM_DIR", "/dev/shm", "none", "none", "shm"},
    {"NSP_HUGE_PAGES", "0", "yes", "1", "2 MiB"},
    {"NSP_LOCK_MEMORY", "0", "On", "1", "maybe"},
    {"NSP_CPU_NUMBERS", "1", "Off", "0", "maybe"},
    {"NSP_SWITCHES", "0", "On", "1", "maybe"},
    {"NSP_KEEP_SESSIONS", "8", "0", "0", "65537"},
    {"NSP_KEEP_BYTES", "1073741824", "512 KiB", "524288", "512 KB"},
    {"NSP_COLLECTOR", "0", "external", "2", "nobody"},
    {"NSP_COLLECTOR_CPUS", "NULL", "0,2-3", "0,2-3", "first"},
    {"NSP_POLL_MIN_US", "100000", "250", "250000", "1000001"},
    {"NSP_POLL_MAX_US", "5000000", "1000000", "1000000000", "0"},
    {"NSP_CLOCK", "0", "monotonic", "2", "sundial"},
    {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8192", "2147483647", "1048576", "0"},
    {"NSP_BATCH_BYTES", "1048576", "64kib", "65536", "65535"},
    {"NSP_BATCHES", "8", "1024", "1024", "1"},
    {"OTEL_BSP_SCHEDULE_DELAY", "5000000000", "2147483647", "2147483647000000", "5s"},
    {"OTEL_BSP_MAX_QUEUE_SIZE", "1048576", "4096", "1048576", NULL},
    {"NSP_RETRY_MIN_MS", "1000000000", "1", "1000000", "0"},
    {"NSP_RETRY_MAX_MS", "30000000000", "3600000", "3600000000000", "3600001"},
    {"NSP_EXIT_TIMEOUT_MS", "1000000000", "20", "20000000", "99999999999999999999"},
    {"OTEL_LOG_LEVEL", "3", "Debug", "4", "loud"},
};
enum { EACH = sizeof each / sizeof *each };

static void every_variable_sets_its_member(void **state)
{
    (void)state;
    assert_int_equal(EACH, nsp__variable_count);
    for (size_t i = 0; i < EACH; i++) {
        char setting[200];
        nsp_config config = with(NULL, NULL);
        assert_string_equal(member_text(each[i].name, &config), each[i].fallback);
        snprintf(setting, sizeof setting, "%s=%s", each[i].name, each[i].value);
        config = with(setting, NULL);
        assert_string_equal(member_text(each[i].name, &config), each[i].then);
        snprintf(setting, sizeof setting, "%s=", each[i].name);
        config = with(setting, NULL);
        assert_string_equal(member_text(each[i].name, &config), each[i].fallback);
    }
}

static struct {
    char line[1024];
    nsp_log_level level;
    int count;
} logged;

static void keep_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    snprintf(logged.line, sizeof logged.line, "%s", line);
    logged.level = level;
    logged.count++;
}

static void report(void)
{
    memset(&logged, 0, sizeof logged);
    nsp__log_configure(NSP_LOG_DEBUG, keep_line, NULL);
    nsp__environment_report(NULL);
}

static void every_bad_value_is_ignored_and_reported_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < EACH; i++) {
        char setting[200];
        snprintf(setting, sizeof setting, "%s=%s", each[i].name, each[i].value);
        with(setting, NULL);
        report();
        if (strcmp(each[i].name, "OTEL_BSP_MAX_QUEUE_SIZE") != 0)
            assert_int_equal(logged.count, 0);
        if (!each[i].bad)
            continue;
        snprintf(setting, sizeof setting, "%s=%s", each[i].name, each[i].bad);
        bool argument = !strcmp(each[i].name, "OTEL_TRACES_SAMPLER_ARG");
        memset(&logged, 0, sizeof logged);
        nsp_config config = with(setting, argument ? "OTEL_TRACES_SAMPLER=traceidratio" : NULL);
        assert_int_equal(logged.count, 0); // nsp_config_init logs nothing
        bool counts = variable_named(each[i].name)->kind == &nsp__kind_flag_else_false; // it counts as false
        assert_string_equal(member_text(each[i].name, &config), counts ? "0" : each[i].fallback);
        nsp_config resolved;
        assert_int_equal(nsp__config_resolve(&resolved, NULL), NSP_OK);
        nsp__config_free(&resolved);
        report();
        assert_int_equal(logged.count, 1);
        assert_int_equal(logged.level, NSP_LOG_WARN);
        assert_ptr_equal(strstr(logged.line, each[i].name), logged.line);
        assert_non_null(strstr(logged.line, "accepted: "));
        assert_non_null(strstr(logged.line, "used instead: "));
        assert_int_equal(strstr(logged.line, each[i].bad) == NULL, variable_named(each[i].name)->secret);
    }
}

// The default of OpenTelemetry's variables is TLS, that of OTLP_ENDPOINT is clear text.
static void an_endpoint_without_a_scheme_has_its_variables_default(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *insecure;
        bool clear;
    } cases[] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", NULL, false},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector:4317", NULL, false},
        {"OTLP_ENDPOINT=collector:4317", NULL, true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_INSECURE=TRUE", true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_TRACES_INSECURE=true", true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTLP_INSECURE=yes", true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_INSECURE=", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_INSECURE=0", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_INSECURE=1", false},
        {"OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_INSECURE=foo", false},
        {"OTLP_ENDPOINT=collector:4317", "OTLP_INSECURE=false", false},
        {"OTLP_ENDPOINT=collector:4317", "OTLP_INSECURE=maybe", true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTLP_INSECURE=maybe", false},
        // A host that begins like a scheme and a URL in a query are not schemes.
        {"OTEL_EXPORTER_OTLP_ENDPOINT=unix-gateway:4317", NULL, false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318/?from=http://desk", NULL, false},
        // The variable that is used decides.
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTLP_ENDPOINT=other:4317", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:port", "OTLP_ENDPOINT=other:4317", true},
        // With a scheme `insecure` has no effect, so it keeps the default that an endpoint set by the
        // application has.
        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317", NULL, true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=unix:/run/otlp.sock", NULL, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nsp_config config = with(cases[i].endpoint, cases[i].insecure);
        if (config.insecure != cases[i].clear)
            fail_msg("%s %s", cases[i].endpoint, cases[i].insecure ? cases[i].insecure : "");
    }
}

static void a_report_says_what_is_used_instead(void **state)
{
    (void)state;
    with("NSP_RING_BYTES=12 parsecs", NULL);
    report();
    assert_string_equal(
        logged.line, "NSP_RING_BYTES=12 parsecs is not accepted and is ignored; accepted: 64 KiB to 1 GiB; "
                     "used instead: 1 MiB");
    with("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=soon", "OTEL_EXPORTER_OTLP_TIMEOUT=2000");
    report();
    assert_non_null(strstr(
        logged.line, "accepted: 0 (no limit) or 1 to 4294967295 ms (larger values count as the largest); "
                     "used instead: 2000 ms"));
    with("OTEL_TRACES_SAMPLER=parentbased_jaeger_remote", "TRACE_SAMPLE_RATE=0.25");
    report();
    assert_non_null(strstr(logged.line, "not supported in this version"));
    assert_non_null(strstr(logged.line, "a rate of 0.25, following remote parents"));
    with("OTLP_ENDPOINT=ftp://me:secret@host", NULL);
    report();
    assert_int_equal(logged.count, 1);
    assert_null(strstr(logged.line, "secret"));
}

static void white_space_around_a_value_is_ignored(void **state)
{
    (void)state;
    for (size_t i = 0; i < EACH; i++) {
        char setting[200];
        snprintf(setting, sizeof setting, "%s=\r\n \t%s \n\n", each[i].name, each[i].value);
        nsp_config config = with(setting, NULL);
        assert_string_equal(member_text(each[i].name, &config), each[i].then);
        snprintf(setting, sizeof setting, "%s= \n", each[i].name);
        config = with(setting, NULL);
        assert_string_equal(member_text(each[i].name, &config), each[i].fallback);
        report();
        assert_int_equal(logged.count, 0);
    }
}

static void whatever_is_too_large_counts_as_the_largest(void **state)
{
    (void)state;
    static const char *const names[] = {"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_SCHEDULE_DELAY",
                                        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"};
    static const char *const largest[] = {"4294967295000000", "4294967295000000", "1048576", "4294967295"};
    for (size_t i = 0; i < 4; i++) {
        char setting[200];
        snprintf(setting, sizeof setting, "%s=%s", names[i],
                 i % 2 ? "9223372036854775807" : "99999999999999999999999");
        nsp_config config = with(setting, NULL);
        report();
        assert_int_equal(logged.count, 0);
        assert_string_equal(member_text(names[i], &config), largest[i]);
        nsp_config resolved;
        assert_int_equal(nsp__config_resolve(&resolved, &config), NSP_OK);
        nsp__config_free(&resolved);
    }
}

static void the_queue_size_is_mentioned_once(void **state)
{
    (void)state;
    // Another test may have logged it already, so this checks only that it is never logged twice.
    int said = 0;
    for (int i = 0; i < 3; i++) {
        with("OTEL_BSP_MAX_QUEUE_SIZE=2048", NULL);
        report();
        said += logged.count;
        if (logged.count)
            assert_int_equal(logged.level, NSP_LOG_INFO);
    }
    assert_true(said <= 1);
}

static void the_stronger_name_wins(void **state)
{
    (void)state;
    static const struct {
        const char *strong, *weak, *member, *then;
    } pairs[] = {
        {"OTEL_SDK_DISABLED=false", "ENABLE_TRACING=false", "ENABLE_TRACING", "1"},
        {"OTEL_SDK_DISABLED=true", "ENABLE_TRACING=true", "ENABLE_TRACING", "0"},
        {"OTEL_SDK_DISABLED=0", "ENABLE_TRACING=0", "ENABLE_TRACING", "0"},
        {"OTEL_SERVICE_NAME=o", "SERVICE_NAME=u", "SERVICE_NAME", "o"},
        {"OTEL_TRACES_SAMPLER=always_on", "TRACE_SAMPLE_RATE=0.1", "TRACE_SAMPLE_RATE", "1"},
        {"OTEL_TRACES_SAMPLER=always_off", "TRACE_SAMPLE_RATE=0.1", "TRACE_SAMPLE_RATE", "0"},
        {"OTEL_TRACES_SAMPLER=traceidratio", "TRACE_SAMPLE_RATE=0.1", "TRACE_SAMPLE_RATE", "1"},
        {"OTEL_TRACES_SAMPLER=jaeger_remote", "TRACE_SAMPLE_RATE=0.1", "TRACE_SAMPLE_RATE", "0.1"},
        {"OTEL_TRACES_SAMPLER_ARG=0.5", "TRACE_SAMPLE_RATE=0.1", "TRACE_SAMPLE_RATE", "0.1"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=a:1", "OTEL_EXPORTER_OTLP_ENDPOINT=b:1", "OTLP_ENDPOINT", "a:1"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=a:1", "OTLP_ENDPOINT=b:1", "OTLP_ENDPOINT", "a:1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=a:1", "OTLP_ENDPOINT=b:1", "OTLP_ENDPOINT", "a:1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=a:x", "OTLP_ENDPOINT=b:1", "OTLP_ENDPOINT", "b:1"},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
         "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
        {"OTEL_EXPORTER_OTLP_TRACES_INSECURE=true", "OTLP_INSECURE=false", "OTLP_INSECURE", "1"},
        {"OTEL_EXPORTER_OTLP_TRACES_INSECURE=false", "OTEL_EXPORTER_OTLP_INSECURE=true", "OTLP_INSECURE",
         "0"},
        {"OTEL_EXPORTER_OTLP_INSECURE=false", "OTLP_INSECURE=true", "OTLP_INSECURE", "0"},
        {"OTEL_EXPORTER_OTLP_TRACES_HEADERS=a=1", "OTEL_EXPORTER_OTLP_HEADERS=b=1",
         "OTEL_EXPORTER_OTLP_HEADERS", "a=1"},
        {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=none", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
         "OTEL_EXPORTER_OTLP_COMPRESSION", "none"},
        {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=a", "OTEL_EXPORTER_OTLP_CERTIFICATE=b",
         "OTEL_EXPORTER_OTLP_CERTIFICATE", "a"},
        {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=a", "OTEL_EXPORTER_OTLP_CLIENT_KEY=b",
         "OTEL_EXPORTER_OTLP_CLIENT_KEY", "a"},
        {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE=a", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=b",
         "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "a"},
        {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=1", "OTEL_EXPORTER_OTLP_TIMEOUT=2", "OTEL_BSP_EXPORT_TIMEOUT",
         "1000000"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT=1", "OTEL_BSP_EXPORT_TIMEOUT=2", "OTEL_BSP_EXPORT_TIMEOUT", "1000000"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=1", "OTEL_ATTRIBUTE_COUNT_LIMIT=2", "OTEL_ATTRIBUTE_COUNT_LIMIT",
         "1"},
        {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=1", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=2",
         "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        nsp_config config = with(pairs[i].strong, pairs[i].weak);
        assert_string_equal(member_text(pairs[i].member, &config), pairs[i].then);
    }
}

static void samplers_mean_what_they_are_called(void **state)
{
    (void)state;
    static const struct {
        const char *sampler, *argument;
        double rate;
        nsp_parent_policy policy;
    } cases[] = {
        {"always_on", "0.5", 1, NSP_PARENT_DECIDE},
        {"always_off", "0.5", 0, NSP_PARENT_DECIDE},
        {"traceidratio", "0.5", 0.5, NSP_PARENT_DECIDE},
        {"traceidratio", "2", 1, NSP_PARENT_DECIDE},
        {"parentbased_always_on", "0.5", 1, NSP_PARENT_FOLLOW},
        {"parentbased_always_off", "0.5", 0, NSP_PARENT_FOLLOW},
        {"parentbased_traceidratio", "0.25", 0.25, NSP_PARENT_FOLLOW},
        {"ParentBased_TraceIdRatio", "1e-3", 1e-3, NSP_PARENT_FOLLOW},
        {"parentbased_", "0.25", 1, NSP_PARENT_FOLLOW},
        {"nonsense", "0.25", 1, NSP_PARENT_FOLLOW},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sampler[100], argument[100];
        snprintf(sampler, sizeof sampler, "OTEL_TRACES_SAMPLER=%s", cases[i].sampler);
        snprintf(argument, sizeof argument, "OTEL_TRACES_SAMPLER_ARG=%s", cases[i].argument);
        nsp_config config = with(sampler, argument);
        assert_true(config.sample_rate == cases[i].rate);
        assert_int_equal(config.parent_policy, cases[i].policy);
    }
}

static void only_the_traces_endpoint_is_exact(void **state)
{
    (void)state;
    assert_true(with("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://a/b", "OTLP_ENDPOINT=c").endpoint_exact);
    assert_false(with("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ftp://a/b", "OTLP_ENDPOINT=c").endpoint_exact);
    assert_false(with("OTEL_EXPORTER_OTLP_ENDPOINT=http://a/b", NULL).endpoint_exact);
    assert_false(with("OTLP_ENDPOINT=http://a:4317", NULL).endpoint_exact);
    // v1/traces is appended to the specification's base variable whatever its path is; ours holds the
    // complete URL.
    assert_false(with("OTEL_EXPORTER_OTLP_ENDPOINT=http://a/v1/traces", NULL).endpoint_exact);
    assert_true(with("OTLP_ENDPOINT=http://a:4318/v1/traces/", NULL).endpoint_exact);
    assert_null(with("OTLP_ENDPOINT=http://a:4317", NULL).protocol);
    assert_null(with(NULL, NULL).exporter);
    nsp_config given = with("OTEL_EXPORTER_OTLP_ENDPOINT=http://a/b", NULL), resolved;
    given.endpoint_exact = true;
    assert_int_equal(nsp__config_resolve(&resolved, &given), NSP_OK);
    assert_true(resolved.endpoint_exact);
    nsp__config_free(&resolved);
}

static void values_of_each_class_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *name, *good, *bad;
    } cases[] = {
        {"TRACE_SAMPLE_RATE", "0 1 1.0 .5 1e-9 0.000001 1.", "-0.1 1.0001 nan inf 0x1p-1 1,0 e 1e 10% 1.0.0"},
        {"TRACE_SAMPLE_LIMIT", "0 0/s 500 500/s .5 0.5/s 1e3/s 1e9 0.001/s",
         "-1 nan inf 0.0009 1.1e9 500/ 500/m 500s /s s 500/s/s 0x10 1,5 500/S"},
        {"ENABLE_TRACING", "true TRUE 1 yes YES on false 0 no off", "2 y enabled tru"},
        {"OTEL_SDK_DISABLED", "true True false", "1 0 yes on no off"},
        {"NSP_KEEP_BYTES", "0 1024 1KiB 1kib 3MiB 2GiB 1TiB 1024TiB",
         "-1 1.5MiB 1K 1MB 1MiBs KiB 1025TiB 0x10"},
        {"OTLP_ENDPOINT",
         "h h:1 h:65535 http://h HTTPS://h:1/p http://u:p@h:1 [::1] [::1]:4317 http://h?q http://h: "
         "http://h:/",
         "http:// :4317 h:0 h:65536 h:x h: grpc://h unix: unix:// unix:/// unix://s unix-abstract: [::1 []:1 "
         "[::1]x http://u@ http://u@:1"},
        {"NSP_SHM_DIR", "/dev/shm none /", "None shm ./shm"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nsp__variable *variable = variable_named(cases[i].name);
        for (int bad = 0; bad < 2; bad++) {
            char values[200], *rest = values, *value;
            snprintf(values, sizeof values, "%s", bad ? cases[i].bad : cases[i].good);
            while ((value = strsep(&rest, " "))) {
                nsp_config config = with(NULL, NULL), before = config;
                if (nsp__variable_apply(variable, value, NULL, &config) == bad)
                    fail_msg("%s=%s was %s", cases[i].name, value, bad ? "accepted" : "refused");
                if (bad)
                    assert_memory_equal(&config, &before, sizeof config);
            }
        }
    }
}

// Resolves a configuration with one bad member, and expects the error to name that member.
#define REFUSED(member_, value_)                                                                             \
    do {                                                                                                     \
        nsp_config given_, out_ = {.size = 7};                                                               \
        nsp_config_init(&given_);                                                                            \
        given_.member_ = value_;                                                                             \
        assert_int_equal(nsp__config_resolve(&out_, &given_), NSP_ERR_CONFIG);                               \
        assert_ptr_equal(strstr(nsp_error_detail(), #member_ ": "), nsp_error_detail());                     \
        assert_non_null(strstr(nsp_error_detail(), "accepted: "));                                           \
        assert_int_equal(out_.size, 7);                                                                      \
    } while (0)

static void a_member_out_of_range_is_refused_by_name(void **state)
{
    (void)state;
    REFUSED(sample_rate, -0.1);
    REFUSED(sample_rate, 1.1);
    REFUSED(sample_rate, __builtin_nan(""));
    REFUSED(sample_limit, -1);
    REFUSED(sample_limit, 0.0001);
    REFUSED(sample_limit, __builtin_inf());
    REFUSED(sample_limit, __builtin_nan(""));
    REFUSED(outliers, "a: slower=50");
    REFUSED(watermark, 0.05);
    REFUSED(watermark, __builtin_nan(""));
    REFUSED(parent_policy, (nsp_parent_policy)2);
    REFUSED(resource_attributes, "a");
    REFUSED(exporter, "kafka");
    REFUSED(endpoint, "ftp://a");
    REFUSED(protocol, "udp");
    REFUSED(headers, "Bearer");
    REFUSED(compression, "zip");
    REFUSED(export_timeout_ns, 999999);
    REFUSED(ring_bytes, 65535);
    REFUSED(ring_bytes, (UINT64_C(1) << 30) + 1);
    REFUSED(record_bytes, 65529);
    REFUSED(open_spans, 0);
    REFUSED(detached_spans, 262145);
    REFUSED(threads, 0);
    REFUSED(shm_dir, "relative");
    REFUSED(keep_sessions, 65537);
    REFUSED(keep_bytes, UINT64_MAX);
    REFUSED(collector, (nsp_collector_mode)3);
    REFUSED(collector_cpus, "3-1");
    REFUSED(poll_min_ns, 0);
    REFUSED(poll_max_ns, 0);
    REFUSED(clock, (nsp_clock_mode)3);
    REFUSED(batch_spans, 0);
    REFUSED(batch_bytes, 1);
    REFUSED(batches, 1);
    REFUSED(schedule_delay_ns, UINT64_MAX);
    REFUSED(retry_min_ns, 0);
    REFUSED(retry_max_ns, UINT64_MAX);
    REFUSED(exit_timeout_ns, UINT64_MAX);
    REFUSED(log_level, (nsp_log_level)5);
}

static void an_error_names_value_and_range(void **state)
{
    (void)state;
    nsp_config given, out;
    nsp_config_init(&given);
    given.ring_bytes = 1000;
    nsp__config_resolve(&out, &given);
    assert_string_equal(nsp_error_detail(),
                        "ring_bytes: 1000 is not accepted; accepted: 65536 to 1073741824");
    nsp_config_init(&given);
    given.endpoint = "http://ex ample\n\"";
    nsp__config_resolve(&out, &given);
    assert_string_equal(
        nsp_error_detail(),
        "endpoint: http://ex ample\\n\" is not accepted (it contains a line break or another control "
        "character); accepted: host:port, an http or https URL, or unix:PATH");
    nsp_config_init(&given);
    given.headers = "secret";
    nsp__config_resolve(&out, &given);
    assert_null(strstr(nsp_error_detail(), "secret"));
}

static void sizes_are_rounded_up(void **state)
{
    (void)state;
    nsp_config given, out;
    nsp_config_init(&given);
    given.ring_bytes = 65537;
    given.record_bytes = 513;
    given.batches = 9;
    given.poll_min_ns = 20000000;
    given.retry_min_ns = 40000000000;
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
    assert_int_equal(out.ring_bytes, 131072);
    assert_int_equal(out.record_bytes, 520);
    assert_int_equal(out.batches, 16);
    assert_int_equal(out.poll_max_ns, 20000000);
    assert_int_equal(out.retry_max_ns, 40000000000);
    nsp__config_free(&out);
}

static void texts_that_are_not_set_get_their_default(void **state)
{
    (void)state;
    nsp_config given = with("SERVICE_NAME=engine", "OTLP_ENDPOINT=h"), out;
    given.service_name = NULL;
    given.environment = "";
    given.shm_dir = NULL;
    given.file = "";
    given.endpoint = "";
    given.exporter = "OTLP";
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
    assert_string_equal(out.service_name, "unknown-service");
    assert_string_equal(out.environment, "development");
    assert_string_equal(out.shm_dir, "/dev/shm");
    assert_string_equal(out.file, "nanospan.jsonl");
    assert_null(out.endpoint);
    assert_string_equal(out.exporter, "otlp");
    nsp__config_free(&out);
}

static void init_writes_no_byte_beyond_the_size(void **state)
{
    (void)state;
    struct {
        nsp_config config;
        unsigned char more[64];
    } caller;
    const nsp_config whole = with("SERVICE_VERSION=3", NULL);
    for (size_t size = 0; size <= sizeof caller; size++) {
        const unsigned char *bytes = (const unsigned char *)&caller;
        memset(&caller, 0xee, sizeof caller);
        nsp__config_init(&caller.config, size);
        for (size_t i = size; i < sizeof caller; i++)
            assert_int_equal(bytes[i], 0xee);
        if (size < sizeof(size_t)) {
            for (size_t i = 0; i < size; i++)
                assert_int_equal(bytes[i], 0xee);
            continue;
        }
        assert_int_equal(caller.config.size, size);
        size_t known = size < sizeof whole ? size : sizeof whole;
        assert_memory_equal(bytes + sizeof(size_t), (const unsigned char *)&whole + sizeof(size_t),
                            known - sizeof(size_t));
        for (size_t i = known; i < size; i++)
            assert_int_equal(bytes[i], 0);
    }
}

static void an_older_caller_gets_the_environment_for_the_rest(void **state)
{
    (void)state;
    with("NSP_BATCHES=32", "NSP_FILE=theirs");
    // The struct as if it had once ended before `batches`, with garbage behind it.
    nsp_config given, out;
    memset(&given, 0xee, sizeof given);
    nsp__config_init(&given, offsetof(nsp_config, batches));
    given.file = "mine";
    given.batches = 0xeeeeeeee;
    assert_int_equal(offsetof(nsp_config, batches) % 8, 0);
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
    assert_int_equal(out.size, sizeof out);
    assert_string_equal(out.file, "mine");
    assert_int_equal(out.batches, 32);
    assert_int_equal(out.log_level, NSP_LOG_INFO);
    assert_null(out.log);
    nsp__config_free(&out);
}

static void a_caller_without_the_memory_settings(void **state)
{
    (void)state;
    with("NSP_LOCK_MEMORY=yes", "NSP_HUGE_PAGES=no");
    nsp_config given, out;
    memset(&given, 0xee, sizeof given);
    nsp__config_init(&given, offsetof(nsp_config, huge_pages));
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
    assert_true(out.lock_memory);
    assert_false(out.huge_pages);
    nsp__config_free(&out);
}

static void reserved_bytes_are_zero(void **state)
{
    (void)state;
    nsp_config given, out;
    nsp_config_init(&given);
    for (size_t i = 0; i < sizeof given.reserved; i++) {
        assert_int_equal(given.reserved[i], 0);
        given.reserved[i] = 1; // a member of a later version
        assert_int_equal(nsp__config_resolve(&out, &given), NSP_ERR_CONFIG);
        assert_ptr_equal(strstr(nsp_error_detail(), "size: "), nsp_error_detail());
        given.reserved[i] = 0;
    }
}

static void a_newer_caller_may_not_want_more(void **state)
{
    (void)state;
    struct {
        nsp_config config;
        uint64_t unheard_of[2];
    } given;
    nsp_config out;
    nsp__config_init(&given.config, sizeof given);
    assert_int_equal(nsp__config_resolve(&out, &given.config), NSP_OK);
    assert_int_equal(out.size, sizeof out);
    nsp__config_free(&out);
    given.unheard_of[1] = 1;
    assert_int_equal(nsp__config_resolve(&out, &given.config), NSP_ERR_CONFIG);
    assert_non_null(strstr(nsp_error_detail(), "size: "));
}

static void a_struct_that_was_never_initialised_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, sizeof(size_t), sizeof(nsp_config) - 1, sizeof(nsp_config) + 3, SIZE_MAX - 7};
    nsp_config given, out;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        nsp_config_init(&given);
        given.size = sizes[i];
        assert_int_equal(nsp__config_resolve(&out, &given), NSP_ERR_CONFIG);
        assert_ptr_equal(strstr(nsp_error_detail(), "size: "), nsp_error_detail());
    }
}

static void texts_are_copies(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        const nsp__kind *kind = variable->kind;
        if (!kind->text || kind == &nsp__kind_choice_text || kind == &nsp__kind_choice_list)
            continue;
        // A valid value for each kind: pairs, an endpoint, a list of CPUs or propagators, rules, a folder.
        const char *value = kind == &nsp__kind_attributes || kind == &nsp__kind_headers ? "k=v"
                            : kind == &nsp__kind_cpus                                   ? "0"
                            : kind == &nsp__kind_propagators                            ? "b3"
                            : kind == &nsp__kind_outliers                               ? "a: errors"
                            : kind->showable                                            ? "changing"
                                                                                        : "/changing";
        char text[20];
        nsp_config given, out;
        snprintf(text, sizeof text, "%s", value);
        nsp_config_init(&given);
        const char *pointer = text;
        memcpy((char *)&given + variable->offset, &pointer, sizeof pointer);
        assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
        memset(text, 'x', sizeof text - 1);
        assert_string_equal(member_text(variable->name, &out), value);
        nsp__config_free(&out);
        assert_null(out.service_name);
        nsp__config_free(&out);
    }
    // The same for a value from the environment.
    with("OTEL_SERVICE_NAME=before", NULL);
    nsp_config out;
    assert_int_equal(nsp__config_resolve(&out, NULL), NSP_OK);
    memset(getenv("OTEL_SERVICE_NAME"), 'x', 6);
    assert_string_equal(out.service_name, "before");
    nsp__config_free(&out);
}

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    (void)state;
    (void)context;
    return NSP_OK;
}

static void destroy(void *state)
{
    (void)state;
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    (void)batch;
    (void)view;
    return false;
}

static nsp_send_result send_nothing(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                    nsp_send_report *sent)
{
    (void)state;
    (void)batch;
    (void)deadline_ns;
    (void)sent;
    return NSP_SEND_EXPORTED;
}

static nsp_path_result append_path(void *state, nsp_batch *batch, const nsp_path_view *view)
{
    (void)state, (void)batch, (void)view;
    return NSP_PATH_ONE_BY_ONE;
}

static void a_custom_exporter_is_copied(void **state)
{
    (void)state;
    char name[] = "mine";
    nsp_exporter exporter = {.size = sizeof exporter,
                             .name = name,
                             .create = create,
                             .destroy = destroy,
                             .append = append,
                             .send = send_nothing};
    nsp_config given, out;
    nsp_config_init(&given);
    given.custom_exporter = &exporter;
    given.log_context = &given;
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
    exporter.append = NULL;
    name[0] = 'x';
    assert_ptr_not_equal(out.custom_exporter, &exporter);
    assert_ptr_equal(out.custom_exporter->append, append);
    assert_string_equal(out.custom_exporter->name, "mine");
    assert_ptr_equal(out.log_context, &given);
    nsp__config_free(&out);
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_ERR_CONFIG); // append is missing
    exporter.append = append;
    exporter.name = NULL;
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
    assert_string_equal(out.custom_exporter->name, "custom");
    nsp__config_free(&out);
    // Of a program that was built before append_path was there.
    exporter.size = offsetof(nsp_exporter, append_path);
    exporter.append_path = append_path;
    assert_int_equal(nsp__config_resolve(&out, &given), NSP_OK);
    assert_ptr_equal(out.custom_exporter->send, send_nothing);
    assert_null(out.custom_exporter->append_path);
    nsp__config_free(&out);
    static const size_t sizes[] = {0, offsetof(nsp_exporter, append_path) - 8, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        exporter.size = sizes[i];
        assert_int_equal(nsp__config_resolve(&out, &given), NSP_ERR_CONFIG);
        assert_ptr_equal(strstr(nsp_error_detail(), "custom_exporter: "), nsp_error_detail());
    }
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        nsp_config config = with(NULL, NULL);
        assert_true(nsp__variable_apply(variable, variable->fallback, NULL, &config));
        assert_true(nsp__variable_holds(variable, &config));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(variable->name, nsp__variables[j].name);
            // Variables of the same member are adjacent in the table. The ignored one sets no member.
            if (variable->offset == nsp__variables[j].offset && variable->kind != &nsp__kind_ignored)
                assert_int_equal(variable->offset, nsp__variables[i - 1].offset);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_variable_sets_its_member, clean),
        cmocka_unit_test_setup(every_bad_value_is_ignored_and_reported_once, clean),
        cmocka_unit_test_setup(an_endpoint_without_a_scheme_has_its_variables_default, clean),
        cmocka_unit_test_setup(a_report_says_what_is_used_instead, clean),
        cmocka_unit_test_setup(white_space_around_a_value_is_ignored, clean),
        cmocka_unit_test_setup(whatever_is_too_large_counts_as_the_largest, clean),
        cmocka_unit_test_setup(the_queue_size_is_mentioned_once, clean),
        cmocka_unit_test_setup(the_stronger_name_wins, clean),
        cmocka_unit_test_setup(samplers_mean_what_they_are_called, clean),
        cmocka_unit_test_setup(only_the_traces_endpoint_is_exact, clean),
        cmocka_unit_test_setup(values_of_each_class_are_judged, clean),
        cmocka_unit_test_setup(a_member_out_of_range_is_refused_by_name, clean),
        cmocka_unit_test_setup(an_error_names_value_and_range, clean),
        cmocka_unit_test_setup(sizes_are_rounded_up, clean),
        cmocka_unit_test_setup(texts_that_are_not_set_get_their_default, clean),
        cmocka_unit_test_setup(init_writes_no_byte_beyond_the_size, clean),
        cmocka_unit_test_setup(an_older_caller_gets_the_environment_for_the_rest, clean),
        cmocka_unit_test_setup(a_caller_without_the_memory_settings, clean),
        cmocka_unit_test_setup(reserved_bytes_are_zero, clean),
        cmocka_unit_test_setup(a_newer_caller_may_not_want_more, clean),
        cmocka_unit_test_setup(a_struct_that_was_never_initialised_is_refused, clean),
        cmocka_unit_test_setup(texts_are_copies, clean),
        cmocka_unit_test_setup(a_custom_exporter_is_copied, clean),
        cmocka_unit_test_setup(the_table_is_sound, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
