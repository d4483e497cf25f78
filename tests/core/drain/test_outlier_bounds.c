// SPDX-License-Identifier: Apache-2.0
//
// The bounds of rules that keep the slowest share, as whoever drains finds them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <nanospan/drainer.h>

#include "common/time.h"
#include "support/capture.h"
#include "trace/latency.h"
#include "trace/trace_state.h"

static const nsp__outlier_bounds *bounds(void)
{
    return &nsp__trace_state.control->outlier_bounds;
}

// For all names.
static void set_rule(double share)
{
    nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT;
    rule.slowest = share;
    assert_int_equal(nsp_outlier_set_rule("*", &rule), NSP_OK);
}

static void begin(nsp_collector_mode mode)
{
    nsp_config config;
    capture_config(&config);
    config.collector = mode;
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
}

static void measure(nsp_name name)
{
    for (uint64_t i = 0; i < 2000; i++)
        nsp__latency_add(nsp__producer_self(), name, i % 50 == 0 ? 90000 + i : 3000 + i);
}

// Nothing is recorded meanwhile, so there is nothing else to do for whoever drains.
static void measure_until_known(nsp_drainer *outside)
{
    const nsp_name name = NSP_NAME("bounded");
    const uint64_t deadline_ns = nsp__monotonic_ns() + 60 * NSP__SECOND;
    while (__atomic_load_n(&bounds()->slowest_ticks[1], __ATOMIC_RELAXED) == NSP__SLOWEST_UNKNOWN) {
        assert_true(nsp__monotonic_ns() < deadline_ns);
        measure(name);
        nsp_do_work(1);
        if (outside != NULL)
            nsp_drainer_work(outside, NULL);
        const struct timespec pause = nsp__timespec_of(10 * NSP__MILLISECOND);
        nanosleep(&pause, NULL);
    }
    const uint64_t bound = __atomic_load_n(&bounds()->slowest_ticks[1], __ATOMIC_RELAXED);
    assert_in_range(bound, 85000, 95000);
}

static void they_are_unknown_at_first(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_INVOKER);
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        assert_true(bounds()->slowest_ticks[i] == NSP__SLOWEST_UNKNOWN);
    assert_true(bounds()->tick_rate != 0);
    capture_end();
}

static void the_collectors_thread_finds_them(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_THREAD);
    set_rule(0.01);
    measure_until_known(NULL);
    capture_end();
}

static void an_invoker_finds_them(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_INVOKER);
    set_rule(0.01);
    measure_until_known(NULL);
    capture_end();
}

// One that comes later goes on from there.
static void a_drainer_outside_finds_them(void **state)
{
    (void)state;
    nsp_config config;
    begin(NSP_COLLECTOR_EXTERNAL);
    capture_config(&config);
    config.custom_exporter = NULL;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    options.config = &config;
    options.exporter = &capture_exporter;
    for (int i = 0; i < 2; i++) {
        nsp_drainer *outside;
        assert_int_equal(nsp_drainer_open(&outside, &options), NSP_OK);
        assert_int_equal(nsp_drainer_add(outside, nsp__trace_state.session->directory, NULL, 0), NSP_OK);
        nsp_drainer_work(outside, NULL);
        set_rule(i == 0 ? 0.01 : 0.015);
        measure_until_known(outside);
        assert_int_equal(nsp_drainer_close(outside, 60 * NSP__SECOND), NSP_OK);
        __atomic_store_n(&nsp__trace_state.control->outlier_bounds.slowest_ticks[1], NSP__SLOWEST_UNKNOWN,
                         __ATOMIC_RELAXED);
    }
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(they_are_unknown_at_first, capture_teardown),
        cmocka_unit_test_teardown(the_collectors_thread_finds_them, capture_teardown),
        cmocka_unit_test_teardown(an_invoker_finds_them, capture_teardown),
        cmocka_unit_test_teardown(a_drainer_outside_finds_them, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
