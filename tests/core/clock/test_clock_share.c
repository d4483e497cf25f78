// SPDX-License-Identifier: Apache-2.0
//
// A drainer's private copy of another process's clock: what is accepted as one, and what the owner finds in
// the shared one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "clock/clock_share.h"
#include "support/clock_world.h"

static int begin(void **state)
{
    (void)state;
    clock_world_begin(2.6);
    return 0;
}

static nsp__clock *copy_of(const nsp__clock *clock)
{
    nsp__clock *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, clock, sizeof *copy);
    return copy;
}

// Everything but the slots of breakpoints that are not published.
static void assert_same(const nsp__clock *a, const nsp__clock *b)
{
    assert_memory_equal(a, b, offsetof(nsp__clock, breakpoints));
    for (uint32_t i = (uint32_t)(a->published >> 32); i != (uint32_t)a->published; i++)
        assert_memory_equal(&a->breakpoints[i % NSP__CLOCK_BREAKPOINTS],
                            &b->breakpoints[i % NSP__CLOCK_BREAKPOINTS], sizeof a->breakpoints[0]);
}

// Any events: rates that change, steps of the wall clock, resets of the counter, and more breakpoints than
// there are slots.
static void the_owner_finds_what_the_drainer_knows(void **state)
{
    (void)state;
    nsp__clock *shared = clock_world_new_clock(), *copy = copy_of(shared);
    uint64_t published = copy->published, random = 7, resets = 0;
    for (int i = 0; i < 20000; i++) {
        clock_world_pass(20 * MS);
        switch (random_below(&random, 40)) {
        case 0: clock_world.wall += random_below(&random, 3) * S; break;
        case 1: clock_world.slew = (double)random_below(&random, 400) * 1e-6 - 200e-6; break;
        default: break;
        }
        if (random_below(&random, 2000) == 0) {
            clock_world.counter = (nsp__int128)S << 32;
            resets++;
        }
        nsp__clock_anchor(copy);
        if (random_below(&random, 3) == 0) // several anchors may be published at once
            nsp__clock_publish(shared, copy, &published);
    }
    nsp__clock_publish(shared, copy, &published);
    assert_same(shared, copy);
    assert_true(resets != 0 && (uint32_t)copy->published > 2 * NSP__CLOCK_BREAKPOINTS);
    assert_true(nsp__clock_sane(shared));
    assert_int_equal(convert(shared, clock_world_ticks()), convert(copy, clock_world_ticks()));
    // The next drainer continues with it.
    nsp__clock *next = copy_of(shared);
    clock_world_pass(20 * MS);
    nsp__clock_anchor(next);
    nsp__clock_anchor(copy);
    assert_in_range(distance(convert(next, clock_world_ticks()), clock_world_unix()), 0,
                    nsp__clock_error_bound(next) + 1);
    free(next);
    free(copy);
    free(shared);
}

static nsp__clock *bent_clock(void)
{
    nsp__clock *clock = clock_world_new_clock();
    for (int i = 0; i < 200; i++) {
        clock_world.slew = i % 2 ? 100e-6 : -100e-6;
        clock_world_pass(30 * MS);
        nsp__clock_anchor(clock);
    }
    assert_true(breakpoints_of(clock) > 3);
    assert_true(nsp__clock_sane(clock));
    return clock;
}

#define REFUSED(member, value)                                                                               \
    do {                                                                                                     \
        nsp__clock *copy = copy_of(clock);                                                                   \
        copy->member = (value);                                                                              \
        assert_false(nsp__clock_sane(copy));                                                                 \
        free(copy);                                                                                          \
    } while (0)

static void what_nobody_wrote_is_refused(void **state)
{
    (void)state;
    nsp__clock *clock = bent_clock();
    REFUSED(published, 0);
    REFUSED(published, NSP__CLOCK_BREAKPOINTS + 1);
    REFUSED(rate, 0);
    REFUSED(rate, UINT64_MAX);
    REFUSED(drift_ppb, UINT64_MAX);
    REFUSED(breakpoints[1].rate, 0);
    REFUSED(breakpoints[1].rate, UINT64_MAX);
    REFUSED(breakpoints[1].led_rate, 0);
    REFUSED(breakpoints[1].led_rate, UINT64_MAX);
    REFUSED(breakpoints[1].bend, 0);
    REFUSED(breakpoints[1].tick, 0);
    free(clock);
}

// Whatever else is in it, working with it harms nobody: no division by zero, no overflow, no endless loop.
static void whatever_is_accepted_can_be_worked_with(void **state)
{
    (void)state;
    nsp__clock *clock = bent_clock(), *shared = copy_of(clock);
    static const uint64_t values[] = {0, 1, 2, INT64_MAX, (uint64_t)1 << 62, (uint64_t)1 << 48, UINT64_MAX};
    const size_t words = offsetof(nsp__clock, breakpoints[4]) / sizeof(uint64_t);
    uint64_t random = 3, accepted = 0;
    for (int i = 0; i < 20000; i++) {
        nsp__clock *copy = copy_of(clock);
        for (int changes = 0; changes < 3; changes++) {
            uint64_t value = random_below(&random, 2) != 0
                                 ? random_next(&random) >> random_below(&random, 64)
                                 : values[random_below(&random, sizeof values / sizeof values[0])];
            ((uint64_t *)copy)[random_below(&random, words)] = value;
        }
        if (nsp__clock_sane(copy)) {
            uint64_t published = copy->published;
            for (int pass = 0; pass < 3; pass++) {
                clock_world_pass(20 * MS);
                nsp__clock_anchor(copy);
                nsp__clock_publish(shared, copy, &published);
                convert(copy, random_next(&random));
                duration(copy, random_next(&random), random_next(&random));
                nsp__clock_error_bound(copy);
            }
            accepted++;
        }
        free(copy);
    }
    assert_true(accepted > 1000);
    free(shared);
    free(clock);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, clock_world_end)
    const struct CMUnitTest tests[] = {
        TEST(the_owner_finds_what_the_drainer_knows),
        TEST(what_nobody_wrote_is_refused),
        TEST(whatever_is_accepted_can_be_worked_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
