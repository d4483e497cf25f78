// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 600
//
// Taking over a session whose engine lives and goes on recording meanwhile, also while nobody drains it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/child.h"
#include "support/drained.h"

enum { BATCH = 20 };

// Everything that the engine has begun has arrived and is counted, and nothing is left.
static void assert_all_of_it(const drained_engine *engine, uint64_t doubles)
{
    const uint32_t recorded = world_get(&world->recorded[engine->index]);
    const drained_sum sum = drained_sum_of(engine->index, recorded);
    const nsp_stats stats = drained_stats(engine->session);
    assert_int_equal(sum.distinct, recorded);
    assert_in_range(sum.doubles, 0, doubles);
    assert_int_equal(sum.beyond, 0);
    assert_int_equal(world_get(&world->wrong_of[engine->index]) + world_get(&world->foreign), 0);
    assert_int_equal(stats.attempted, recorded);
    assert_int_equal(stats.exported, recorded);
    assert_int_equal(stats.in_rings, 0);
    assert_int_equal(stats.in_batches, 0);
}

#ifdef NSP_TESTPOINTS
// ---- between two looks of whoever takes it over ----

// Each time that it is asked, it ends its span and opens the next one.
static void ends_one_and_opens_the_next(const drained_engine *engine)
{
    uint32_t number = 0;
    while (number < 10)
        nsp_span_end(drained_begin(engine, number++));
    nsp_span *open = drained_begin(engine, number);
    world_set(&world->recorded[engine->index], number);
    while (world_get(&world->engine_stop) == 0) {
        const uint32_t asked = world_get(&world->asked);
        if (asked == world_get(&world->answered)) {
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
            continue;
        }
        nsp_span_end(open);
        open = drained_begin(engine, ++number);
        world_set(&world->answered, asked);
    }
    nsp_span_end(open);
    world_set(&world->recorded[engine->index], number + 1);
}

static const char *moves_at;

static void move_on(const char *point)
{
    if (strcmp(point, moves_at) != 0)
        return;
    const uint32_t asked = world_get(&world->asked) + 1;
    world_set(&world->asked, asked);
    DRAINED_UNTIL(world_get(&world->answered) == asked);
}

// left_at: where the drainer before died; NULL: there was none.
static void take_over(const char *point, const char *left_at)
{
    drained_setup(NULL);
    drained_engine engine = {.index = 0, .body = ends_one_and_opens_the_next, .ring_bytes = 1 << 20};
    drained_engine_start(&engine);
    const drained_plan death = {.point = left_at, .visit = 1, .batch_spans = 4},
                       plan = {.batch_spans = BATCH};
    if (left_at != NULL)
        drained_dead(drained_start(&death));
    nsp_drainer *drainer = drained_open(&plan);
    moves_at = point;
    __atomic_store_n(&nsp__testpoint_hook, move_on, __ATOMIC_RELEASE);
    const size_t count = drained_add_all(drainer);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(count, 1);
    assert_int_not_equal(world_get(&world->answered), 0);
    world_set(&world->engine_stop, 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_ENDED);
    drained_engine_end(&engine);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
    assert_all_of_it(&engine, 0);
    drained_teardown(NULL);
}

static void the_engine_moves_on_between_two_looks(void **state)
{
    (void)state;
    static const char *const points[] = {"reader: between positions", "drainer: before it is taken over",
                                         "drainer: position entered"};
    static const char *const left[] = {NULL, "collector: before release", "collector: counted as drained",
                                       "collector: released"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (size_t j = 0; j < sizeof left / sizeof left[0]; j++)
            take_over(points[i], left[j]);
}

// ---- several threads record all the time ----

enum { THREADS = 4, ROUND = 1000 };

// As many as it is allowed to, one within the other, and not at once, so that others look meanwhile.
static void *record_pairs(void *argument)
{
    const drained_engine *engine = argument;
    while (world_get(&world->engine_stop) == 0) {
        const struct timespec pause = {.tv_nsec = 50000};
        nanosleep(&pause, NULL);
        if (world_get(&world->recorded[engine->index]) >= world_get(&world->allowed))
            continue;
        const uint32_t number = __atomic_fetch_add(&world->asked, 2, __ATOMIC_RELAXED);
        nsp_span *outer = drained_begin(engine, number);
        nsp_span_end(drained_begin(engine, number + 1));
        nsp_span_end(outer);
        __atomic_fetch_add(&world->recorded[engine->index], 2, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void records_in_threads(const drained_engine *engine)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHILD_CHECK(pthread_create(&threads[i], NULL, record_pairs, (void *)engine) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

// So that the engine goes on between the positions of each of its rings.
static void look_slowly(const char *point)
{
    if (strcmp(point, "reader: between positions") == 0)
        nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
}

static void drainers_die_while_it_records(void **state)
{
    static const char *const points[] = {NULL,
                                         "collector: spans noted",
                                         "collector: before release",
                                         "collector: counted as drained",
                                         "collector: released",
                                         "collector: batch closed",
                                         "sender: answered"};
    enum { POINTS = sizeof points / sizeof points[0], DEATHS = 4 * POINTS };
    drained_setup(state);
    world_set(&world->allowed, ROUND);
    drained_engine engine = {.index = 1, .body = records_in_threads, .ring_bytes = 8 << 20};
    drained_engine_start(&engine);
    for (uint32_t i = 0; i < DEATHS; i++) {
        const drained_plan plan = {
            .point = points[i % POINTS], .visit = 1 + (int)(i / POINTS), .batch_spans = BATCH};
        world_set(&world->allowed, (i + 2) * ROUND);
        // For those drainers that are killed from here.
        __atomic_store_n(&nsp__testpoint_hook, look_slowly, __ATOMIC_RELEASE);
        pid_t drainer = drained_start(&plan);
        __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
        if (plan.point == NULL) {
            DRAINED_UNTIL(world_get(&world->recorded[1]) >= (i + 2) * ROUND - ROUND / 2);
            kill(drainer, SIGKILL);
        }
        drained_dead(drainer);
    }
    const drained_plan survivor = {.batch_spans = BATCH};
    pid_t drainer = drained_start(&survivor);
    world_set(&world->engine_stop, 1);
    drained_engine_end(&engine);
    drained_stop(drainer);
    assert_all_of_it(&engine, DEATHS * BATCH);
    drained_teardown(state);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NSP_TESTPOINTS
        cmocka_unit_test(the_engine_moves_on_between_two_looks),
        cmocka_unit_test(drainers_die_while_it_records),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
