// SPDX-License-Identifier: Apache-2.0
//
// Histograms of local roots' durations, in a thread's slot.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "support/capture.h"
#include "drain/latencies.h"
#include "trace/latency.h"

// ---- steps ----

// Every step begins where the one before ends, and is about 3 % wide, or one tick.
static void steps_cover_all_durations(void **state)
{
    (void)state;
    assert_int_equal(nsp__latency_step_ticks(0), 0);
    for (uint32_t step = 0; step < NSP__LATENCY_STEPS; step++) {
        const uint64_t first = nsp__latency_step_ticks(step), next = nsp__latency_step_ticks(step + 1);
        assert_true(next > first);
        assert_true(next - first == 1 || (double)(next - first) / (double)(first + 32) <= 1.0 / 32);
        assert_int_equal(nsp__latency_step(first), step);
        assert_int_equal(nsp__latency_step(first + (next - first) / 2), step);
        assert_int_equal(nsp__latency_step(next - 1), step);
    }
    assert_int_equal(nsp__latency_step_ticks(NSP__LATENCY_STEPS), NSP__LATENCY_TICKS_MAX + 1);
}

static void impossible_durations_count_at_the_ends(void **state)
{
    (void)state;
    static const uint64_t longer[] = {NSP__LATENCY_TICKS_MAX, NSP__LATENCY_TICKS_MAX + 1, (uint64_t)1 << 40,
                                      INT64_MAX - 32};
    static const int64_t negative[] = {-1, -31, -32, -33, -1000000, INT64_MIN};
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++)
        assert_int_equal(nsp__latency_step(longer[i]), NSP__LATENCY_STEPS - 1);
    for (size_t i = 1; i < sizeof negative / sizeof negative[0]; i++)
        assert_int_equal(nsp__latency_step((uint64_t)negative[i]), 0);
    assert_int_equal(nsp__latency_step((uint64_t)negative[0]), 0);
    assert_int_equal(nsp__latency_step(INT64_MAX), 0);
}

// ---- places ----

static nsp__latencies *latencies(void)
{
    return nsp__slot_latencies(nsp__producer_self()->slot);
}

static nsp_name numbered(unsigned number)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "latency %u", number);
    return nsp_intern(text, (size_t)length);
}

static int begin(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.ring_bytes = 64 * 1024;
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    capture_end();
    return 0;
}

static void the_first_names_have_a_place(void **state)
{
    (void)state;
    nsp__producer *producer = nsp__producer_self();
    for (unsigned round = 1; round <= 3; round++)
        for (unsigned name = 0; name < NSP__LATENCY_PLACES + 2; name++)
            nsp__latency_add(producer, numbered(name), 1000 * name + round);
    for (unsigned name = 0; name < NSP__LATENCY_PLACES; name++) {
        const nsp__latency_place *place = &latencies()->places[name];
        assert_int_equal(place->name, numbered(name));
        nsp_latency all = NSP_LATENCY_INIT;
        uint64_t ticks = 0;
        nsp__latencies_add(&all, &ticks, place);
        assert_int_equal(ticks, 3000 * name + 6);
        assert_int_equal(all.count, 3);
        for (unsigned round = 1; round <= 3; round++)
            assert_true(all.counts[nsp__latency_step(1000 * name + round)] > 0);
        const uint32_t last = nsp__latency_step(1000 * name + 3);
        assert_int_equal(nsp__latency_latest(place), last); // counted with the next
        assert_int_equal(all.counts[last], nsp__latency_count(place, last) + 1);
    }
    assert_int_equal(latencies()->unmeasured, 3 * 2);
}

// What the frames and the ring hold begins behind the histograms.
static void nothing_else_lies_there(void **state)
{
    (void)state;
    const nsp__slot *slot = nsp__producer_self()->slot;
    const uint64_t edge = NSP__SLOT_LATENCIES + sizeof(nsp__latencies);
    assert_true(NSP__SLOT_LATENCIES >= sizeof(nsp__slot) && NSP__SLOT_LATENCIES % 128 == 0);
    assert_true(slot->frames_offset >= edge && slot->ring_offset >= edge);
}

static void *measure(void *argument)
{
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    nsp__latency_add(nsp__producer_self(), *(const nsp_name *)argument, 500);
    return nsp__producer_self()->slot;
}

// A thread goes on with the histograms of the one that left it the slot.
static void the_next_thread_goes_on(void **state)
{
    (void)state;
    nsp_name name = numbered(40);
    void *slots[2];
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, measure, &name), 0);
        assert_int_equal(pthread_join(thread, &slots[i]), 0);
    }
    assert_ptr_equal(slots[0], slots[1]);
    const nsp__latency_place *place = &nsp__slot_latencies(slots[0])->places[0];
    assert_int_equal(place->name, name);
    nsp_latency all = NSP_LATENCY_INIT;
    uint64_t ticks = 0;
    nsp__latencies_add(&all, &ticks, place);
    assert_int_equal(all.counts[nsp__latency_step(500)], 2);
    assert_int_equal(place[1].name, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_cover_all_durations),
        cmocka_unit_test(impossible_durations_count_at_the_ends),
        cmocka_unit_test_setup_teardown(the_first_names_have_a_place, begin, finish),
        cmocka_unit_test_setup_teardown(nothing_else_lies_there, begin, finish),
        cmocka_unit_test_setup_teardown(the_next_thread_goes_on, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
