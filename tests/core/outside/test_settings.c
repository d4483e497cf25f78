// SPDX-License-Identifier: Apache-2.0
//
// Settings as nanospan/inspect.h reports them: what is in force and why.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/inspect.h>

#include "config/environment.h"

// A copy of one setting, to be used after the iteration.
typedef struct told {
    const char *wanted;
    nsp_setting setting;
    char member[64], accepted[160], text[256], beaten_by[64], value[256], problem[512];
    size_t seen;
    bool has_text, has_problem;
} told;

static bool keep(void *argument, const nsp_setting *setting)
{
    told *t = argument;
    assert_int_equal(setting->size, sizeof *setting);
    assert_non_null(setting->variable);
    assert_true(setting->meaning[0] != 0 && setting->accepted[0] != 0);
    t->seen++;
    if (strcmp(setting->variable, t->wanted) != 0)
        return true;
    t->setting = *setting;
    t->has_text = setting->text != NULL;
    t->has_problem = setting->problem != NULL;
    snprintf(t->member, sizeof t->member, "%s", setting->member);
    snprintf(t->accepted, sizeof t->accepted, "%s", setting->accepted);
    snprintf(t->text, sizeof t->text, "%s", setting->text ? setting->text : "");
    snprintf(t->beaten_by, sizeof t->beaten_by, "%s", setting->beaten_by ? setting->beaten_by : "");
    snprintf(t->value, sizeof t->value, "%s", setting->value);
    snprintf(t->problem, sizeof t->problem, "%s", setting->problem ? setting->problem : "");
    return true;
}

static const told *setting_of(const char *variable)
{
    static told t;
    memset(&t, 0, sizeof t);
    t.wanted = variable;
    assert_int_equal(nsp_settings_each(keep, &t), NSP_OK);
    assert_int_equal(t.seen, nsp__variable_count);
    assert_non_null(t.setting.variable);
    return &t;
}

static int clean(void **state)
{
    (void)state;
    return clearenv();
}

static void unset_ones_have_their_defaults(void **state)
{
    (void)state;
    const told *t = setting_of("NSP_RING_BYTES");
    assert_int_equal(t->setting.state, NSP_SETTING_UNSET);
    assert_string_equal(t->member, "ring_bytes");
    assert_string_equal(t->value, "1 MiB");
    assert_string_equal(t->setting.fallback, "1 MiB");
    assert_string_equal(t->accepted, "64 KiB to 1 GiB");
    assert_true(t->setting.is_default && !t->has_text && !t->has_problem && !t->setting.secret);
    setenv("NSP_RING_BYTES", "", 1); // empty is unset
    assert_int_equal(setting_of("NSP_RING_BYTES")->setting.state, NSP_SETTING_UNSET);
}

static void set_ones_are_in_force(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *text, *value;
    } cases[] = {
        {"NSP_RING_BYTES", "4 MiB", "4 MiB"},
        {"ENABLE_TRACING", "off", "false"},
        {"OTEL_SDK_DISABLED", "true", "true"},
        {"SERVICE_NAME", "quantum-backend", "quantum-backend"},
        {"OTLP_ENDPOINT", "http://jaeger:4317", "http://jaeger:4317"},
        {"TRACE_SAMPLE_RATE", "0.1", "0.1"},
        {"NSP_COLLECTOR", "INVOKER", "invoker"},
        {"OTEL_BSP_SCHEDULE_DELAY", "20", "20 ms"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "7", "7"},
        {"OTEL_TRACES_SAMPLER", "always_off", "a rate of 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clearenv();
        setenv(cases[i].variable, cases[i].text, 1);
        const told *t = setting_of(cases[i].variable);
        assert_int_equal(t->setting.state, NSP_SETTING_IN_FORCE);
        assert_string_equal(t->text, cases[i].text);
        assert_string_equal(t->value, cases[i].value);
        assert_false(t->setting.is_default);
        assert_false(t->has_problem);
    }
}

static void stronger_ones_beat_weaker_ones(void **state)
{
    (void)state;
    setenv("OTLP_ENDPOINT", "http://weak:4318", 1);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://strong:4318", 1);
    const told *t = setting_of("OTLP_ENDPOINT");
    assert_int_equal(t->setting.state, NSP_SETTING_BEATEN);
    assert_string_equal(t->beaten_by, "OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_string_equal(t->text, "http://weak:4318");
    assert_string_equal(t->value, "http://strong:4318");
    t = setting_of("OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_int_equal(t->setting.state, NSP_SETTING_IN_FORCE);
    assert_string_equal(t->beaten_by, "");
    // A bad setting takes precedence over nothing.
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://strong", 1);
    assert_int_equal(setting_of("OTLP_ENDPOINT")->setting.state, NSP_SETTING_IN_FORCE);
    assert_int_equal(setting_of("OTEL_EXPORTER_OTLP_ENDPOINT")->setting.state, NSP_SETTING_BAD);
}

static void bad_ones_say_what_is_used_instead(void **state)
{
    (void)state;
    setenv("TRACE_SAMPLE_RATE", "1.5", 1);
    const told *t = setting_of("TRACE_SAMPLE_RATE");
    assert_int_equal(t->setting.state, NSP_SETTING_BAD);
    assert_string_equal(t->problem, "is not accepted and is ignored; accepted: 0 to 1; used instead: 1");
    assert_string_equal(t->value, "1");
    assert_true(t->setting.is_default);
}

static void some_are_read_by_nobody(void **state)
{
    (void)state;
    setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2048", 1);
    assert_int_equal(setting_of("OTEL_BSP_MAX_QUEUE_SIZE")->setting.state, NSP_SETTING_WITHOUT_EFFECT);
    setenv("OTEL_TRACES_SAMPLER_ARG", "0.5", 1);
    assert_int_equal(setting_of("OTEL_TRACES_SAMPLER_ARG")->setting.state, NSP_SETTING_WITHOUT_EFFECT);
    setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", 1);
    assert_int_equal(setting_of("OTEL_TRACES_SAMPLER_ARG")->setting.state, NSP_SETTING_IN_FORCE);
    setenv("TRACE_SAMPLE_RATE", "0.1", 1);
    assert_string_equal(setting_of("TRACE_SAMPLE_RATE")->beaten_by, "OTEL_TRACES_SAMPLER");
}

static void secrets_are_masked(void **state)
{
    (void)state;
    static const char *const settings[][2] = {
        {"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hush"},
        {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=hush"},
        {"OTLP_ENDPOINT", "http://user:hush@host:4318"},
        {"OTLP_ENDPOINT", "http://host:4318/v1/traces?key=hush"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "hush"}, // a bad value
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        clearenv();
        setenv(settings[i][0], settings[i][1], 1);
        const told *t = setting_of(settings[i][0]);
        assert_true(t->setting.secret && t->has_text);
        assert_string_equal(t->text, "(not shown)");
        assert_null(strstr(t->value, "hush"));
        assert_null(strstr(t->problem, "hush"));
    }
}

static bool stop_at_once(void *argument, const nsp_setting *setting)
{
    (void)setting;
    ++*(int *)argument;
    return false;
}

static void a_visitor_may_stop(void **state)
{
    (void)state;
    int visits = 0;
    assert_int_equal(nsp_settings_each(stop_at_once, &visits), NSP_OK);
    assert_int_equal(visits, 1);
    assert_int_equal(nsp_settings_each(NULL, NULL), NSP_ERR_INVALID);
    assert_int_equal(nsp_sessions_each(NULL, NULL, NULL), NSP_ERR_INVALID);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, clean, clean)
    const struct CMUnitTest tests[] = {
        TEST(unset_ones_have_their_defaults),
        TEST(set_ones_are_in_force),
        TEST(stronger_ones_beat_weaker_ones),
        TEST(bad_ones_say_what_is_used_instead),
        TEST(some_are_read_by_nobody),
        TEST(secrets_are_masked),
        TEST(a_visitor_may_stop),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
