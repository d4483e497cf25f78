// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Batches that a drainer with an exporter of its own has left: no other can read them, so they stay, and that is said.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"
#include "support/child.h"
#include "support/drained.h"
#include "support/recovered.h"

enum { FOREIGN = 100, MORE = 50 };

// A flush while batches are there that nobody can send, and an end in order.
static void records_and_flushes(const drained_engine *engine)
{
    for (uint32_t i = 0; i < FOREIGN; i++)
        nsp_span_end(drained_begin(engine, i));
    world_set(&world->recorded[engine->index], FOREIGN);
    DRAINED_UNTIL(world_get(&world->allowed) != 0);
    for (uint32_t i = FOREIGN; i < FOREIGN + MORE; i++)
        nsp_span_end(drained_begin(engine, i));
    world_set(&world->recorded[engine->index], FOREIGN + MORE);
    CHILD_CHECK(nsp_flush(2 * NSP__SECOND) == NSP_ERR_TIMEOUT);
    CHILD_CHECK(nsp_shutdown(NSP__SECOND / 10) == NSP_ERR_TIMEOUT);
    world_set(&world->answered, 1);
    _exit(0);
}

static char said[1000];
static int lines;

static void note(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(said, sizeof said, "%s", line);
    lines++;
}

// The session of an engine that lives, with batches of a drainer that is gone.
static void leave_foreign(drained_engine *engine, uint32_t batch_spans)
{
    const drained_plan own = {.own_encoding = true, .close_ns = 1, .batch_spans = batch_spans};
    world_set(&world->away, 1);
    drained_engine_start(engine);
    pid_t drainer = drained_start(&own);
    DRAINED_UNTIL(drained_stats(engine->session).in_rings == 0);
    drained_stop(drainer);
    world_set(&world->away, 0);
}

static void they_stay_and_that_is_said(void **state)
{
    (void)state;
    drained_engine engine = {.index = 0, .body = records_and_flushes};
    const drained_plan plan = {.log = note};
    leave_foreign(&engine, FOREIGN);
    lines = 0;
    nsp_drainer *drainer = drained_open(&plan);
    DRAINED_UNTIL(drained_add_all(drainer) == 1);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(said, "100 of its spans with an exporter of its own program"));
    assert_non_null(strstr(said, engine.session));
    assert_int_equal(drained_work(drainer).foreign, FOREIGN);
    world_set(&world->allowed, 1);
    DRAINED_UNTIL((drained_work(drainer), world_get(&world->answered) != 0)); // after its flush
    drained_engine_end(&engine);
    DRAINED_UNTIL(drained_work(drainer).state != NSP_DRAINED_LIVING);
    const nsp_drained drained = drained_work(drainer);
    assert_int_equal(drained.state, NSP_DRAINED_DIED); // it has ended, but not everything is settled
    assert_int_equal(drained.exported, MORE);
    assert_int_equal(drained.in_rings, 0);
    assert_int_equal(drained.in_batches, FOREIGN);
    assert_int_equal(drained.foreign, FOREIGN);
    assert_int_equal(lines, 1);
    assert_int_equal(nsp_drainer_remove(drainer, engine.session, true), NSP_ERR_INVALID);
    assert_int_equal(nsp_drainer_remove(drainer, engine.session, false), NSP_OK);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
    // Recovery cannot read them either.
    nsp_recovery *recovery = recovery_of(engine.session);
    const nsp_recovery_account account = balanced(recovery);
    assert_int_equal(account.left_foreign, FOREIGN);
    assert_int_equal(nsp_recovery_remove(recovery, false), NSP_ERR_INVALID);
    nsp_recovery_close(recovery);
    assert_int_equal(drained_sessions(), 1);
    assert_int_equal(drained_sum_of(0, FOREIGN + MORE).distinct, MORE);
}

// Then there is none into which anything could be drained.
static void all_batches_are_foreign(void **state)
{
    (void)state;
    char problem[NSP_DRAINED_PROBLEM_MAX];
    drained_engine engine = {.index = 0, .body = records_and_flushes};
    const drained_plan plan = {.log = NULL};
    leave_foreign(&engine, FOREIGN / 4); // the engine has four
    nsp_drainer *drainer = drained_open(&plan);
    assert_int_equal(nsp_drainer_add(drainer, engine.session, problem, sizeof problem), NSP_ERR_DAMAGED);
    assert_non_null(strstr(problem, "nothing can be drained"));
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
    world_set(&world->allowed, 1);
    drained_engine_end(&engine);
    nsp_recovery *recovery = recovery_of(engine.session);
    const nsp_recovery_account account = balanced(recovery);
    assert_int_equal(account.left_foreign, FOREIGN);
    assert_int_equal(account.finished, MORE);
    nsp_recovery_close(recovery);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, drained_setup, drained_teardown)
    const struct CMUnitTest tests[] = {
        TEST(they_stay_and_that_is_said),
        TEST(all_batches_are_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
