// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// nsp_snapshot in an engine that is drained from outside: the drainer exports it with its own exporter, each trace once,
// and the engine's statistics count it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nanospan/drainer.h>
#include <nanospan/outlier.h>
#include <string.h>

#include "common/time.h"
#include "support/capture.h"
#include "trace/trace_state.h"

static nsp_drainer *drainer;

static int set_up(void **state)
{
    (void)state;
    nsp_config config;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_EXTERNAL;
    config.sample_rate = 0;
    config.schedule_delay_ns = 1000000; // nobody flushes
    capture_start(&config);
    assert_int_equal(nsp_outlier_set_rules("*: slower=10s, asked, history=60s"), NSP_OK);
    options.config = &config;
    options.exporter = config.custom_exporter;
    assert_int_equal(nsp_drainer_open(&drainer, &options), NSP_OK);
    assert_int_equal(nsp_drainer_add(drainer, nsp__trace_state.session->directory, NULL, 0), NSP_OK);
    return 0;
}

static int tear_down(void **state)
{
    assert_int_equal(nsp_drainer_close(drainer, 60 * NSP__SECOND), NSP_OK);
    return capture_teardown(state);
}

static void traces(int count)
{
    for (int i = 0; i < count; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("root"));
        nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        nsp_span_end(root);
    }
}

static nsp_stats stats(void)
{
    nsp_stats out = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&out), NSP_OK);
    return out;
}

// Drains until so many spans were exported, and a few times more, since no more are to come.
static void drain_until(size_t spans)
{
    const uint64_t end = nsp__monotonic_ns() + 60 * NSP__SECOND;
    while (capture_count() < spans || stats().exported < spans) {
        nsp_drainer_work(drainer, NULL);
        if (nsp__monotonic_ns() > end)
            fail_msg("%zu of %zu spans came", capture_count(), spans);
    }
    for (int i = 0; i < 10; i++)
        nsp_drainer_work(drainer, NULL);
    assert_int_equal(capture_count(), spans);
    assert_int_equal(capture_distinct(), spans);
    assert_int_equal(stats().exported, spans);
    assert_int_equal(stats().attempted, spans);
}

static size_t kept_for(const char *why)
{
    size_t found = 0;
    for (size_t i = 0; i < capture_count(); i++) {
        const char *text = captured_text(capture_at(i), "nanospan.kept");
        found += text != NULL && strcmp(text, why) == 0;
    }
    return found;
}

static void each_trace_comes_once(void **state)
{
    (void)state;
    traces(100);
    drain_until(0); // nobody has asked yet
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    drain_until(200);
    assert_int_equal(kept_for("snapshot"), 100);
    assert_int_equal(stats().snapshot, 200);
    assert_int_equal(stats().snapshot_overtaken, 0);
    traces(5);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    drain_until(210);
    assert_int_equal(kept_for("snapshot"), 105);
    assert_int_equal(stats().snapshot, 210);
    assert_int_equal(stats().taken_back, 210);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    drain_until(210);
}

// What came with an outlier is not exported once more.
static void not_what_an_outlier_has_kept(void **state)
{
    (void)state;
    traces(10);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    assert_true(nsp_trace_keep());
    nsp_span_end(root);
    traces(3);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    drain_until(27);
    assert_int_equal(kept_for("history"), 10);
    assert_int_equal(kept_for("asked"), 1);
    assert_int_equal(kept_for("snapshot"), 3);
    assert_int_equal(stats().snapshot, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_trace_comes_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_what_an_outlier_has_kept, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
