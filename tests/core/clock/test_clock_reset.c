// SPDX-License-Identifier: Apache-2.0
//
// Spans that were open while the counter was reset, as happens when a virtual machine is restored on another
// host.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "drain/span_view.h"
#include "support/clock_world.h"

static void view_of(nsp_span_view *view, const nsp__clock *clock, nsp_ticks start, nsp_ticks end)
{
    static nsp__record record;
    static struct nsp__clock_segment segment;
    record = (nsp__record){.bytes = sizeof record, .start = start, .end = end};
    nsp__clock_segment_at(clock, clock_world_ticks(), &segment);
    nsp__span_view_make(view, &record, clock, &segment);
}

static void a_span_open_over_a_reset_ends_when_it_ended(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLOCK_WORLD_SPEEDS; i++) {
        clock_world_begin(clock_world_speeds[i]);
        clock_world.counter += (nsp__int128)(clock_world_speeds[i] * 7200e9) << 32; // up for two hours
        nsp__clock *clock = clock_world_new_clock();
        clock_world_drain_for(clock, S, MS);
        nsp_ticks start = clock_world_ticks();
        clock_world_drain_for(clock, S, MS);
        nsp_ticks event = clock_world_ticks();
        clock_world.counter = (nsp__int128)1000 << 32;
        clock_world_drain_for(clock, S, MS);
        uint64_t ended = clock_world_unix();
        nsp_ticks end = clock_world_ticks();
        clock_world_drain_for(clock, 100 * MS, MS);

        nsp_span_view view;
        view_of(&view, clock, start, end);
        assert_in_range(distance(view.end_ns, ended), 0, MS);
        assert_in_range(view.end_ns - view.start_ns, 1, 10 * S); // it took 2 s, of which 1 s is known
        assert_in_range(nsp_span_view_ns(&view, event), view.start_ns, view.end_ns);
        assert_in_range(nsp_span_view_ns(&view, end), view.start_ns, view.end_ns);
        free(clock);
    }
}

static void an_end_supplied_before_the_start_is_moved_to_it(void **state)
{
    (void)state;
    clock_world_begin(2.6);
    nsp__clock *clock = clock_world_new_clock();
    clock_world_drain_for(clock, S, MS);
    uint64_t began = clock_world_unix();
    nsp_ticks start = clock_world_ticks();
    clock_world_drain_for(clock, 10 * MS, MS);
    nsp_span_view view;
    view_of(&view, clock, start, start - 1000);
    assert_in_range(distance(view.start_ns, began), 0, MS);
    assert_int_equal(view.end_ns - view.start_ns, 1);
    free(clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_span_open_over_a_reset_ends_when_it_ended, clock_world_end),
        cmocka_unit_test_teardown(an_end_supplied_before_the_start_is_moved_to_it, clock_world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
