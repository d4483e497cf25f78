// SPDX-License-Identifier: Apache-2.0
//
// Instrumented plug-ins that are loaded and unloaded: their recorded spans outlive them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "support/capture.h"

typedef int record_fn(int round, int spans);

// Calls dlopen, records, calls dlclose. When it returns, the plug-in's texts are no longer in memory.
static void load_and_record(int round, int spans)
{
    void *plugin = dlopen(NSP_PLUGIN_DIR "/plugin.so", RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL)
        fail_msg("%s", dlerror());
    record_fn *record;
    *(void **)&record = dlsym(plugin, "plugin_record");
    assert_non_null(record);
    assert_int_equal(record(round, spans), spans);
    assert_int_equal(dlclose(plugin), 0);
    assert_null(dlopen(NSP_PLUGIN_DIR "/plugin.so", RTLD_NOW | RTLD_NOLOAD));
}

static void begin(void)
{
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER; // nothing is collected before this test says so
    capture_start(&config);
}

static void check_child(const captured_span *span, int round)
{
    char text[40];
    snprintf(text, sizeof text, "a text on the plug-in's stack %d", round);
    assert_string_equal(captured_text(span, "plug-in text"), text);
    assert_int_equal(span->event_count, 1);
    assert_string_equal(span->events[0].name, "plug-in event");
}

static void records_outlive_the_plugin(void **state)
{
    (void)state;
    begin();
    load_and_record(7, 5);
    assert_int_equal(capture_count(), 0); // all spans are still pending
    capture_settle();
    assert_int_equal(capture_count(), 5);
    assert_int_equal(capture_count_named("plug-in child"), 4);
    assert_string_equal(captured_text(capture_named("plug-in root"), "plug-in round"), "7");
    check_child(capture_named("plug-in child"), 7);
    capture_end();
}

static void open_over_dlclose(void **state)
{
    (void)state;
    begin();
    nsp_span *outer = nsp_span_begin(NSP_NAME("outer"));
    load_and_record(1, 2);
    assert_ptr_equal(nsp_span_current(), outer);
    nsp_span_end(outer);
    capture_settle();
    assert_true(captured_child_of(capture_named("plug-in root"), capture_named("outer")));
    capture_end();
}

// Each load has its own call sites, which find the names of the previous load.
static void many_rounds_take_no_more_names(void **state)
{
    (void)state;
    enum { ROUNDS = 500 };
    begin();
    load_and_record(0, 2);
    nsp_name before = nsp_intern("before the rounds", 17);
    for (int i = 1; i < ROUNDS; i++)
        load_and_record(i, 2);
    assert_int_equal(nsp_intern("after the rounds", 16), before + 1);
    capture_settle();
    assert_int_equal(capture_count(), 2 * ROUNDS);
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, "plug-in child") == 0)
            check_child(capture_at(i), (int)(i / 2));
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(records_outlive_the_plugin, capture_teardown),
        cmocka_unit_test_teardown(open_over_dlclose, capture_teardown),
        cmocka_unit_test_teardown(many_rounds_take_no_more_names, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
