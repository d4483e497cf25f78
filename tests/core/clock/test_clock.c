// SPDX-License-Identifier: Apache-2.0
//
// The clock's map: compared with the machine's own clocks, under racing readers, and its properties at every
// breakpoint.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock/clock.h"
#include "support/clock_world.h"
#include "support/emulator.h"
#include <nanospan/exporter.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

// The first conversions of the process, by many threads at once, all use one map.
static pthread_barrier_t at_once;
static void *convert_first(void *tick)
{
    pthread_barrier_wait(&at_once);
    return (void *)(uintptr_t)nsp_ticks_to_unix_ns(*(nsp_ticks *)tick);
}

static void test_concurrent_first_use(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    nsp_ticks tick = nsp_now();
    pthread_barrier_init(&at_once, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, convert_first, &tick), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_int_equal((uintptr_t)result, nsp_ticks_to_unix_ns(tick));
    }
    pthread_barrier_destroy(&at_once);
    // This does not check precision, only that it is the present time.
    assert_in_range(distance(nsp_ticks_to_unix_ns(nsp_now()), nsp__clock_system.realtime()), 0, 100 * S);
}

static void check_against_machine(nsp__clock *clock, uint64_t *worst)
{
    const nsp__clock_source *machine = &nsp__clock_system;
    uint64_t before = machine->realtime();
    nsp_ticks tick = nsp_now();
    uint64_t after = machine->realtime();
    uint64_t real = before + (after - before) / 2;
    uint64_t half = (after - before) / 2 + 1 + (clock->rate >> NSP__CLOCK_RATE_BITS);

    uint64_t error = distance(convert(clock, tick), real); // before the next anchor
    assert_in_range(error, 0, nsp__clock_error_bound(clock) + half);
    nsp__clock_anchor(clock);
    error = distance(convert(clock, tick), real); // and after it, the way a drainer converts
    assert_in_range(error, 0, nsp__clock_error_bound(clock) + half);
    if (error > *worst)
        *worst = error;
}

static void test_machine_error_within_bound(void **state)
{
    (void)state;
    const nsp_clock_mode modes[] = {NSP_CLOCK_AUTO, NSP_CLOCK_MONOTONIC};
    // qemu-user 7.2's counter only moves every microsecond, which is more than the bound allows for a tick.
    for (int m = test_emulated() ? 1 : 0; m < 2; m++) {
        nsp__clock_select(modes[m]);
        nsp__clock *clock = clock_world_new_clock();
        uint64_t random = 1, worst = 0, samples = 0, begin = nsp__clock_system.monotonic();
        while (nsp__clock_system.monotonic() - begin < 3 * S / 2) {
            for (int i = 0; i < 20; i++, samples++)
                check_against_machine(clock, &worst);
            nsp__clock_system.pause(random_below(&random, 5 * MS));
        }
        print_message("          %s: %llu samples, worst error %llu ns, bound now %llu ns, %u breakpoints, "
                      "%llu steps\n",
                      m ? "fallback" : "auto", (unsigned long long)samples, (unsigned long long)worst,
                      (unsigned long long)nsp__clock_error_bound(clock), breakpoints_of(clock),
                      (unsigned long long)nsp__clock_steps(clock));
        free(clock);
    }
}

// Several processes that keep one clock, one after the other.
static void test_handed_over(void **state)
{
    (void)state;
    nsp__clock *clock = mmap(NULL, sizeof *clock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(clock != MAP_FAILED);
    nsp__clock_calibrate(clock);
    uint64_t first_reading = clock->last.tick;
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (int k = 0; k < 20; k++) {
                nsp__clock_system.pause(2 * MS);
                nsp__clock_anchor(clock);
            }
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_true(clock->last.tick > first_reading);
        uint64_t worst = 0;
        check_against_machine(clock, &worst);
    }
    munmap(clock, sizeof *clock);
}

static void test_sources_and_modes(void **state)
{
    (void)state;
    bool chosen_at_load = nsp__clock_is_counter;
    nsp__clock_select(NSP_CLOCK_MONOTONIC);
    assert_false(nsp__clock_is_counter);
    uint64_t before = nsp__clock_system.monotonic(), now = nsp_now();
    assert_in_range(now, before, nsp__clock_system.monotonic());
    clock_world_begin(1);
    nsp__clock_select(NSP_CLOCK_MONOTONIC);
    assert_in_range(nsp_now(), 5000 * S, 5001 * S);
    nsp__clock_source_use(NULL);
    nsp__clock_select(NSP_CLOCK_COUNTER);
#if defined(__x86_64__) || defined(__aarch64__)
    assert_true(nsp__clock_is_counter);
#endif
    nsp__clock_select(NSP_CLOCK_AUTO);
    assert_int_equal(nsp__clock_is_counter, chosen_at_load);
}

// A map that was never calibrated or was overwritten gives meaningless times, but a conversion always
// returns.
static void test_rubbish(void **state)
{
    (void)state;
    nsp__clock *clock = calloc(1, sizeof *clock);
    nsp__clock_set_active(clock);
    assert_int_equal(nsp_ticks_to_unix_ns(12345), 0);
    assert_int_equal(nsp_ticks_from_unix_ns(12345), 0);
    uint64_t random = 9;
    for (int i = 0; i < 2000; i++) {
        for (size_t k = 0; k < sizeof *clock; k += 8)
            memcpy((char *)clock + k, &(uint64_t){random_next(&random)}, 8);
        nsp_ticks_to_unix_ns(random_next(&random));
        nsp_ticks_from_unix_ns(random_next(&random));
    }
    free(clock);
}

// Simulated clocks for which the map needs thousands of breakpoints.
static void restless_pass(nsp__clock *clock)
{
    clock_world.slew = ((double)random_below(&clock_world.random, 500) - 250) * 1e-6;
    for (int i = 0; i < 12; i++)
        clock_world_drain(clock, MS);
}

typedef struct sample {
    uint64_t ticks, ns;
} sample;

static int by_ticks(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    return x->ticks < y->ticks ? -1 : x->ticks > y->ticks;
}

static void test_passed_ticks_keep_their_time(void **state)
{
    (void)state;
    enum { SAMPLES = 4000 };
    for (size_t s = 0; s < CLOCK_WORLD_SPEEDS; s++) {
        clock_world_begin(clock_world_speeds[s]);
        nsp__clock *clock = clock_world_new_clock();
        sample *samples = calloc(SAMPLES, sizeof *samples);
        uint64_t begin = clock_world_ticks(), random = 3;
        for (int i = 0; i < SAMPLES; i++) {
            if (i % 10 == 0)
                restless_pass(clock);
            // Now, or some time ago.
            samples[i].ticks =
                clock_world_ticks() - (i % 2 ? random_below(&random, clock_world_ticks() - begin) : 0);
            samples[i].ns = convert(clock, samples[i].ticks);
        }
        assert_in_range(breakpoints_of(clock), 100, NSP__CLOCK_BREAKPOINTS - 1); // none was dropped
        qsort(samples, SAMPLES, sizeof *samples, by_ticks);
        for (int i = 0; i < SAMPLES; i++) {
            assert_int_equal(convert(clock, samples[i].ticks), samples[i].ns);
            if (i)
                assert_true(samples[i].ns >= samples[i - 1].ns);
        }
        // The segment that a drainer keeps gives the same, wherever the tick is.
        struct nsp__clock_segment segment;
        nsp__clock_segment_at(clock, clock_world_ticks(), &segment);
        for (int i = 0; i < SAMPLES; i++)
            assert_int_equal(nsp__clock_convert(&segment, samples[i].ticks), samples[i].ns);
        for (int i = 1; i < SAMPLES; i++) {
            nsp__clock_segment_at(clock, samples[i - 1].ticks, &segment);
            assert_int_equal(nsp__clock_convert(&segment, samples[i].ticks), samples[i].ns);
        }
        free(samples);
        free(clock);
    }
}

// Around each breakpoint and bend, before the first and after the last, and with more breakpoints than the
// map keeps.
static void test_monotone_everywhere(void **state)
{
    (void)state;
    for (size_t s = 0; s < CLOCK_WORLD_SPEEDS; s++) {
        clock_world_begin(clock_world_speeds[s]);
        nsp__clock *clock = clock_world_new_clock();
        for (int i = 0; i < 2000; i++)
            restless_pass(clock);
        assert_int_equal(breakpoints_of(clock), NSP__CLOCK_BREAKPOINTS);
        uint64_t first = (uint32_t)(clock->published >> 32), last_ns = 0, last_tick = 0, random = 4;
        for (uint64_t k = 0; k < NSP__CLOCK_BREAKPOINTS; k++) {
            const nsp__clock_breakpoint *breakpoint =
                &clock->breakpoints[(first + k) % NSP__CLOCK_BREAKPOINTS];
            for (int i = -5; i <= 5; i++) {
                uint64_t tick = breakpoint->tick + (uint64_t)(int64_t)i, ns = convert(clock, tick);
                assert_true(ns >= last_ns);
                assert_in_range(ns - (last_ns ? last_ns : ns), 0,
                                (uint64_t)((double)(tick - last_tick) * 1.01 / clock_world_speeds[s]) + 2);
                last_ns = ns;
                last_tick = tick;
            }
        }
        uint64_t begin = clock->breakpoints[first % NSP__CLOCK_BREAKPOINTS].tick, end = clock_world_ticks();
        uint64_t from = begin - (end - begin), span = 3 * (end - begin);
        sample samples[2000];
        for (int i = 0; i < 2000; i++)
            samples[i].ticks = from + random_below(&random, span);
        qsort(samples, 2000, sizeof *samples, by_ticks);
        for (int i = 0; i < 2000; i++) {
            samples[i].ns = convert(clock, samples[i].ticks);
            if (i)
                assert_true(samples[i].ns >= samples[i - 1].ns);
        }
        free(clock);
    }
}

static void test_inverse(void **state)
{
    (void)state;
    for (size_t s = 0; s < CLOCK_WORLD_SPEEDS; s++) {
        clock_world_begin(clock_world_speeds[s]);
        nsp__clock *clock = clock_world_new_clock();
        nsp__clock_set_active(clock);
        uint64_t begin = clock_world_ticks(), begin_unix = clock_world_unix(), random = 5;
        for (int i = 0; i < 100; i++)
            restless_pass(clock);
        uint64_t span = clock_world_ticks() - begin, span_ns = clock_world_unix() - begin_unix;
        uint64_t ticks_a_ns = (uint64_t)clock_world_speeds[s] + 1,
                 ns_a_tick = (uint64_t)(1 / clock_world_speeds[s]) + 1;
        for (int i = 0; i < 20000; i++) {
            uint64_t ticks = begin - span / 4 + random_below(&random, 2 * span);
            assert_in_range(ticks - nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(ticks)), 0, ticks_a_ns);
            uint64_t ns = begin_unix - span_ns / 4 + random_below(&random, 2 * span_ns);
            assert_in_range(nsp_ticks_to_unix_ns(nsp_ticks_from_unix_ns(ns)) - ns, 0, ns_a_tick);
        }
        // Across steps: a step back means that some times occurred twice, a step forward that some never
        // occurred.
        uint64_t before_back = clock_world_unix();
        clock_world.wall -= S;
        clock_world_drain_for(clock, 3 * S, 2 * MS);
        uint64_t twice = nsp_ticks_from_unix_ns(before_back - MS);
        assert_in_range(distance(nsp_ticks_to_unix_ns(twice), before_back - MS), 0, 1 + ns_a_tick);
        assert_true(twice > clock_world_ticks() - (uint64_t)((double)(3 * S) * clock_world_speeds[s]));
        uint64_t never = clock_world_unix() + S / 2;
        clock_world.wall += S;
        clock_world_drain_for(clock, 3 * S, 2 * MS);
        nsp_ticks after_gap = nsp_ticks_from_unix_ns(never);
        assert_in_range(nsp_ticks_to_unix_ns(after_gap) - never, S / 2 - 10 * MS, S / 2 + 10 * MS);
        assert_int_equal(nsp__clock_steps(clock), 2);

        nsp_span_view view = {0};
        struct nsp__clock_segment segment;
        nsp__clock_segment_at(clock, clock_world_ticks(), &segment);
        view.clock = &segment;
        assert_int_equal(nsp_span_view_ns(&view, clock_world_ticks()),
                         nsp_ticks_to_unix_ns(clock_world_ticks()));
        // An event from before both steps is converted with the time that applies to the span.
        assert_in_range(
            distance(nsp_span_view_ns(&view, begin) + (clock_world_unix() - nsp_span_view_ns(&view, begin)),
                     clock_world_unix()),
            0, 0);
        nsp__clock_set_active(NULL);
        free(clock);
    }
}

// Readers against a writer that bends the map and reuses slots as fast as it can.
static struct {
    nsp__clock *clock;
    uint64_t now; // a tick that has passed
    bool done;
} race;

static void *read_along(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed, checked = 0;
    while (!__atomic_load_n(&race.done, __ATOMIC_ACQUIRE)) {
        uint64_t now = __atomic_load_n(&race.now, __ATOMIC_ACQUIRE);
        uint64_t late = now - random_below(&random, 10 * MS), early = late - random_below(&random, 4 * S);
        if (random_below(&random, 2)) { // near the oldest breakpoint, where slots are reused
            uint64_t first = __atomic_load_n(&race.clock->published, __ATOMIC_RELAXED) >> 32;
            const nsp__clock_breakpoint *oldest = &race.clock->breakpoints[first % NSP__CLOCK_BREAKPOINTS];
            early = __atomic_load_n(&oldest->tick, __ATOMIC_RELAXED) + random_below(&random, 10 * MS);
        }
        uint64_t late_ns = convert(race.clock, late), early_ns = convert(race.clock, early);
        uint64_t again_ns = convert(race.clock, late);
        nsp_ticks back = nsp_ticks_from_unix_ns(late_ns);
        if (__atomic_load_n(&race.now, __ATOMIC_ACQUIRE) - now > 100 * MS || early > late)
            continue; // this thread was held up, so the early tick may be well before the map by now
        if (early_ns > late_ns || again_ns != late_ns || distance(back, late) > 2)
            return (void *)"the map changed";
        // One tick is one ns, and the slews of a thousand breakpoints cancel out. A single segment would be
        // milliseconds off, and so would a slot that was read after its reuse.
        if (distance(late_ns - early_ns, late - early) > 500 * US)
            return (void *)"a breakpoint was torn";
        checked++;
    }
    return checked ? NULL : (void *)"never checked anything";
}

static void test_readers_race_with_the_writer(void **state)
{
    (void)state;
    enum { READERS = 3 };
    clock_world_begin(1);
    race.clock = clock_world_new_clock();
    race.done = false;
    nsp__clock_set_active(race.clock);
    for (int i = 0; i < 120; i++) // some past to convert
        restless_pass(race.clock);
    __atomic_store_n(&race.now, clock_world_ticks(), __ATOMIC_RELEASE);
    pthread_t threads[READERS];
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, (void *)(i + 1)), 0);
    uint64_t begin = nsp__clock_system.monotonic(), random = 6;
    while (nsp__clock_system.monotonic() - begin < S) {
        restless_pass(race.clock);
        __atomic_store_n(&race.now, clock_world_ticks(), __ATOMIC_RELEASE);
        if (random_below(&random, 16) == 0)
            nsp__clock_system.pause(US); // lets the readers run
    }
    __atomic_store_n(&race.done, true, __ATOMIC_RELEASE);
    for (int i = 0; i < READERS; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        if (complaint)
            fail_msg("reader %d: %s", i, (const char *)complaint);
    }
    print_message("          %u breakpoints written\n", (unsigned)(uint32_t)race.clock->published);
    nsp__clock_set_active(NULL);
    free(race.clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_concurrent_first_use, clock_world_end),
        cmocka_unit_test_teardown(test_machine_error_within_bound, clock_world_end),
        cmocka_unit_test_teardown(test_handed_over, clock_world_end),
        cmocka_unit_test_teardown(test_sources_and_modes, clock_world_end),
        cmocka_unit_test_teardown(test_rubbish, clock_world_end),
        cmocka_unit_test_teardown(test_passed_ticks_keep_their_time, clock_world_end),
        cmocka_unit_test_teardown(test_monotone_everywhere, clock_world_end),
        cmocka_unit_test_teardown(test_inverse, clock_world_end),
        cmocka_unit_test_teardown(test_readers_race_with_the_writer, clock_world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
