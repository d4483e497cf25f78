// SPDX-License-Identifier: Apache-2.0
//
// Keeping the clock correct with simulated clocks that drift, jump and stand still.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock/clock.h"
#include "support/clock_world.h"
#include <stdlib.h>

// Clocks that drift against the counter and change their drift: the map is exact within the bound, in every
// pass.
static void test_drift_and_jitter(void **state)
{
    (void)state;
    for (size_t s = 0; s < CLOCK_WORLD_SPEEDS; s++)
        for (int noisy = 0; noisy < 2; noisy++) {
            clock_world_begin(clock_world_speeds[s]);
            clock_world.slew = 200e-6;
            nsp__clock *clock = clock_world_new_clock();
            clock_world.interruptions = noisy;
            clock_world.read_ns = noisy ? 200 : 20;
            clock_world_drain_for(clock, 3 * S, 700 * US);
            clock_world.slew = -200e-6;
            clock_world_drain_for(clock, 3 * S, 5 * MS);
            clock_world.slew = 0;
            clock_world_drain_for(clock, 3 * S, 20 * MS);
            // Settled: now only the readings and the interval between passes limit the precision.
            clock_world_drain_for(clock, S, MS);
            assert_in_range(nsp__clock_error_bound(clock), 0, (noisy ? 30 : 2) * US);
            assert_int_equal(nsp__clock_steps(clock), 0);
            free(clock);
        }
}

// In the way of adjtime: both clocks run 500 ppm fast, then slow.
static void test_slew(void **state)
{
    (void)state;
    for (size_t s = 0; s < CLOCK_WORLD_SPEEDS; s++) {
        clock_world_begin(clock_world_speeds[s]);
        nsp__clock *clock = clock_world_new_clock();
        clock_world_drain_for(clock, 2 * S, MS);
        const double slews[] = {500e-6, 0, -500e-6, 0};
        for (int i = 0; i < 4; i++) {
            clock_world.slew = slews[i];
            clock_world_drain_for(clock, 2 * S, 2 * MS);
        }
        assert_int_equal(nsp__clock_steps(clock), 0);
        free(clock);
    }
}

// On a quiet machine the map settles: a straight line needs no breakpoints.
static void test_quiet_machine_needs_few_breakpoints(void **state)
{
    (void)state;
    clock_world_begin(2.6);
    nsp__clock *clock = clock_world_new_clock();
    clock_world_drain_for(clock, 60 * S, 5 * MS);
    assert_in_range(breakpoints_of(clock), 1, 30);
    free(clock);
}

static void test_steps_change_no_duration(void **state)
{
    (void)state;
    const int64_t steps[] = {50 * (int64_t)US, (int64_t)MS, 10 * (int64_t)S, 3600 * (int64_t)S};
    for (size_t s = 0; s < CLOCK_WORLD_SPEEDS; s++)
        for (int i = 0; i < 8; i++) {
            clock_world_begin(clock_world_speeds[s]);
            nsp__clock *clock = clock_world_new_clock();
            clock_world_drain_for(clock, S, MS);
            int64_t step = i % 2 ? -steps[i / 2] : steps[i / 2];
            uint64_t tick_ns = (uint64_t)(1 / clock_world_speeds[s]) + 1;

            uint64_t start = clock_world_ticks(), start_unix = clock_world_unix();
            clock_world_drain(clock, 40 * MS);
            uint64_t inner_end = clock_world_ticks(), inner_unix = clock_world_unix();
            clock_world_pass(10 * MS);
            clock_world.wall += (uint64_t)step;
            clock_world_drain_for(clock, 50 * MS, MS);
            uint64_t end = clock_world_ticks(), end_unix = clock_world_unix();
            clock_world_drain(clock, MS);

            assert_int_equal(nsp__clock_steps(clock), 1);
            uint64_t real = end_unix - (uint64_t)step - start_unix;
            assert_in_range(distance(duration(clock, start, end), real), 0, US + 2 * tick_ns);
            assert_in_range(distance(convert(clock, end), end_unix), 0,
                            nsp__clock_error_bound(clock) + tick_ns);
            // What ended before the step is converted with the time that applied before it.
            assert_in_range(distance(duration(clock, start, inner_end), inner_unix - start_unix), 0,
                            US + 2 * tick_ns);
            assert_in_range(distance(convert(clock, inner_end), inner_unix), 0, 2 * US + tick_ns);
            // The step is over, and no further one is counted.
            clock_world_drain_for(clock, S, MS);
            assert_int_equal(nsp__clock_steps(clock), 1);
            free(clock);
        }
}

// A step too small to be distinguished from noise is followed gently.
static void test_small_error_is_corrected_gently(void **state)
{
    (void)state;
    clock_world_begin(2.6);
    nsp__clock *clock = clock_world_new_clock();
    clock_world_drain_for(clock, 2 * S, MS);
    clock_world.wall += 8 * US;
    uint64_t ticks = clock_world_ticks(), ns = convert(clock, ticks);
    for (int i = 0; i < 1500; i++) {
        clock_world_drain(clock, MS);
        uint64_t next_ticks = clock_world_ticks(), next_ns = convert(clock, next_ticks);
        double rate = (double)(next_ns - ns) / ((double)(next_ticks - ticks) / clock_world.ticks_a_ns);
        assert_true(rate > 1 - 510e-6 && rate < 1 + 510e-6);
        ticks = next_ticks;
        ns = next_ns;
    }
    assert_int_equal(nsp__clock_steps(clock), 0);
    assert_in_range(distance(ns, clock_world_unix()), 0, US);
    free(clock);
}

static void test_machine_slept(void **state)
{
    (void)state;
    // The counter and the wall clock ran on and CLOCK_MONOTONIC did not, so the map was right all along.
    clock_world_begin(2.6);
    nsp__clock *clock = clock_world_new_clock();
    clock_world_drain_for(clock, S, MS);
    uint64_t rate = clock->rate;
    clock_world.monotonic_stopped = true;
    clock_world_pass(3 * S);
    clock_world.monotonic_stopped = false;
    clock_world_drain_for(clock, S, MS);
    assert_int_equal(nsp__clock_steps(clock), 0);

    // The sleep is so short that the rate measured across it seems possible. It must not be used.
    clock_world.monotonic_stopped = true;
    clock_world_pass(60 * US);
    clock_world.monotonic_stopped = false;
    clock_world_drain_for(clock, 20 * MS, MS);
    assert_in_range(distance(clock->rate, rate), 0, rate / 100000);
    assert_int_equal(nsp__clock_steps(clock), 0);

    // The counter ran on and both clocks stood still, as in a virtual machine that is paused.
    clock_world.clocks_stopped = true;
    clock_world_pass(2 * S);
    clock_world.clocks_stopped = false;
    clock_world_drain_for(clock, S, MS);
    assert_int_equal(nsp__clock_steps(clock), 1);

    // The counter was reset.
    clock_world.counter = (nsp__int128)1000 << 32;
    clock_world_drain_for(clock, S, MS);
    assert_int_equal(nsp__clock_steps(clock), 2);
    free(clock);

    // A machine that was paused during the calibration.
    clock_world_begin(2.6);
    clock = calloc(1, sizeof *clock);
    nsp__clock_calibrate(clock);
    clock->rate /= 3;
    clock->breakpoints[0].rate = clock->breakpoints[0].led_rate = clock->rate;
    for (int i = 0; i < 50; i++) {
        clock_world_pass(MS);
        nsp__clock_anchor(clock);
    }
    clock_world_drain_for(clock, S, MS);
    assert_in_range(nsp__clock_error_bound(clock), 0, 3 * US);
    free(clock);
}

// A collector that paused for a minute in the middle of a correction.
static void test_stalled_drainer(void **state)
{
    (void)state;
    clock_world_begin(2.6);
    nsp__clock *clock = clock_world_new_clock();
    clock_world_drain_for(clock, 2 * S, MS);
    clock_world.wall += 9 * US;
    clock_world_drain_for(clock, 20 * MS, MS);
    uint64_t before = nsp__clock_error_bound(clock);
    clock_world_pass(60 * S);
    assert_true(nsp__clock_error_bound(clock) > before);
    assert_in_range(distance(convert(clock, clock_world_ticks()), clock_world_unix()), 0, 100 * US);
    clock_world_drain_for(clock, S, MS);
    free(clock);
}

// Ticks are nanoseconds: the map only adds the offset of the wall clock, and durations are exact to the
// nanosecond.
static void test_fallback(void **state)
{
    (void)state;
    clock_world_begin(1);
    nsp__clock_select(NSP_CLOCK_MONOTONIC);
    clock_world.slew = 100e-6;
    nsp__clock *clock = clock_world_new_clock();
    uint64_t start = nsp_now();
    for (int i = 0; i < 3000; i++) {
        clock_world_pass(MS);
        nsp__clock_anchor(clock);
        uint64_t monotonic = (uint64_t)(clock_world.monotonic >> 32);
        assert_in_range(distance(convert(clock, monotonic), clock_world_unix()), 0,
                        nsp__clock_error_bound(clock));
    }
    uint64_t end = nsp_now();
    assert_int_equal(duration(clock, start, end), end - start);
    clock_world.wall += 3600 * S;
    clock_world_pass(MS);
    nsp__clock_anchor(clock);
    end = nsp_now();
    assert_int_equal(duration(clock, start, end), end - start);
    assert_in_range(distance(convert(clock, end), clock_world_unix()), 0, nsp__clock_error_bound(clock));
    assert_int_equal(nsp__clock_steps(clock), 1);
    assert_int_equal(breakpoints_of(clock), 2);
    free(clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_drift_and_jitter, clock_world_end),
        cmocka_unit_test_teardown(test_slew, clock_world_end),
        cmocka_unit_test_teardown(test_quiet_machine_needs_few_breakpoints, clock_world_end),
        cmocka_unit_test_teardown(test_steps_change_no_duration, clock_world_end),
        cmocka_unit_test_teardown(test_small_error_is_corrected_gently, clock_world_end),
        cmocka_unit_test_teardown(test_machine_slept, clock_world_end),
        cmocka_unit_test_teardown(test_stalled_drainer, clock_world_end),
        cmocka_unit_test_teardown(test_fallback, clock_world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
