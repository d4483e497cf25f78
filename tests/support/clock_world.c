// SPDX-License-Identifier: Apache-2.0
#include "support/clock_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

struct clock_world clock_world;

void clock_world_pass(uint64_t ns)
{
    const double unit = 4294967296.0;
    clock_world.counter += (nsp__int128)((double)ns * clock_world.ticks_a_ns * unit);
    if (clock_world.clocks_stopped)
        return;
    nsp__int128 passed = (nsp__int128)((double)ns * (1 + clock_world.slew) * unit);
    if (clock_world.monotonic_stopped)
        clock_world.wall += (uint64_t)(passed >> 32);
    else
        clock_world.monotonic += passed;
}

static void pay(void)
{
    clock_world_pass(clock_world.read_ns / 2);
    if (clock_world.read_ns)
        clock_world_pass(random_below(&clock_world.random, clock_world.read_ns));
    if (clock_world.interruptions && random_below(&clock_world.random, 50) == 0)
        clock_world_pass(50 * US);
}

uint64_t clock_world_ticks(void)
{
    return (uint64_t)(clock_world.counter >> 32);
}

uint64_t clock_world_unix(void)
{
    return (uint64_t)(clock_world.monotonic >> 32) + clock_world.wall;
}

static uint64_t world_counter(void)
{
    pay();
    uint64_t value = clock_world_ticks();
    pay();
    return value;
}

static uint64_t world_monotonic(void)
{
    pay();
    uint64_t value = (uint64_t)(clock_world.monotonic >> 32);
    pay();
    return value;
}

static uint64_t world_realtime(void)
{
    pay();
    uint64_t value = clock_world_unix();
    pay();
    return value;
}

static const nsp__clock_source world_source = {world_counter, world_monotonic, world_realtime,
                                               clock_world_pass};

void clock_world_begin(double ticks_a_ns)
{
    memset(&clock_world, 0, sizeof clock_world);
    clock_world.counter = (nsp__int128)(12345 * S) << 32;
    clock_world.monotonic = (nsp__int128)(5000 * S) << 32;
    clock_world.wall = 1767225600u * S;
    clock_world.ticks_a_ns = ticks_a_ns;
    clock_world.read_ns = 20;
    nsp__clock_select(NSP_CLOCK_COUNTER);
    nsp__clock_source_use(&world_source);
}

int clock_world_end(void **state)
{
    (void)state;
    nsp__clock_source_use(NULL);
    nsp__clock_set_active(NULL);
    nsp__clock_select(NSP_CLOCK_AUTO);
    return 0;
}

static void check_bound(const nsp__clock *clock, nsp_ticks ticks, uint64_t unix_ns)
{
    uint64_t tick_ns = (uint64_t)(1 / clock_world.ticks_a_ns) + 1;
    assert_in_range(distance(convert(clock, ticks), unix_ns), 0, nsp__clock_error_bound(clock) + tick_ns);
}

void clock_world_drain(nsp__clock *clock, uint64_t ns)
{
    uint64_t steps = nsp__clock_steps(clock);
    clock_world_pass(ns / 2);
    uint64_t span_end = clock_world_ticks(), span_end_unix = clock_world_unix();
    clock_world_pass(ns - ns / 2);
    nsp__clock_anchor(clock);
    check_bound(clock, clock_world_ticks(), clock_world_unix());
    if (nsp__clock_steps(clock) == steps) // otherwise it is unknown on which side of the step it was
        check_bound(clock, span_end, span_end_unix);
}

void clock_world_drain_for(nsp__clock *clock, uint64_t ns, uint64_t pass_ns)
{
    for (uint64_t passed = 0; passed < ns; passed += pass_ns)
        clock_world_drain(clock, pass_ns);
}

const double clock_world_speeds[CLOCK_WORLD_SPEEDS] = {2.6, 0.024, 1.0, 0.0625, 4.9};

nsp__clock *clock_world_new_clock(void)
{
    nsp__clock *clock = calloc(1, sizeof *clock);
    assert_non_null(clock);
    nsp__clock_calibrate(clock);
    return clock;
}
