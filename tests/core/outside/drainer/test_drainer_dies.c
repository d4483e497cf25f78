// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 600
//
// Drainers that are killed, at every testpoint and at any moment: the next one goes on, and in the end every span has
// arrived, twice only if it was in the batch that was just being sent.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/seed.h"
#include "support/drained.h"
#include "support/emulator.h"
#include "support/recovered.h"

enum { SPANS = 600, BATCH = 20, AHEAD = 120 };

#ifdef NSP_TESTPOINTS

// Everything that the engine recorded was exported, and its session says so. unsaid: so many spans at most were sent
// again by drainers that could not say so any more.
static void assert_complete(const drained_engine *engine, uint32_t unsaid, const char *where)
{
    const drained_sum sum = drained_sum_of(engine->index, SPANS);
    const nsp_stats stats = drained_stats(engine->session);
    if (sum.distinct != SPANS || sum.beyond != 0 || sum.doubles > world_get(&world->resent) + unsaid ||
        world_get(&world->wrong_of[engine->index]) + world_get(&world->foreign) != 0 ||
        stats.attempted != SPANS || stats.exported != SPANS || stats.in_rings + stats.in_batches != 0)
        fail_msg(
            "%s: %llu arrived, %llu of them twice (%u were in doubt), %u wrong; attempted %llu, exported "
            "%llu, unconfirmed %llu, dropped %llu, in rings %llu, in batches %llu",
            where, (unsigned long long)sum.distinct, (unsigned long long)sum.doubles,
            world_get(&world->resent), world_get(&world->wrong_of[engine->index]),
            (unsigned long long)stats.attempted, (unsigned long long)stats.exported,
            (unsigned long long)stats.unconfirmed, (unsigned long long)stats.dropped,
            (unsigned long long)stats.in_rings, (unsigned long long)stats.in_batches);
}

// Drainers that die there, one after the other, and one that lives.
static void run(const drained_plan *deaths, size_t count, const char *protocol)
{
    char where[200];
    int length = 0;
    drained_setup(NULL);
    drained_engine engine = {.index = 1, .spans = SPANS, .ahead = AHEAD};
    drained_engine_start(&engine);
    for (size_t i = 0; i < count; i++) {
        drained_dead(drained_start(&deaths[i]));
        length += snprintf(where + length, sizeof where - (size_t)length, "%s%s (%d)",
                           i != 0 ? ", then " : "", deaths[i].point, deaths[i].visit);
    }
    const drained_plan survivor = {.batch_spans = BATCH, .protocol = protocol};
    pid_t drainer = drained_start(&survivor);
    drained_engine_end(&engine); // its shutdown waits until everything is settled
    drained_stop(drainer);
    // One that dies when it has just taken over may have sent again what was in doubt, and cannot say so any more.
    assert_complete(&engine, (uint32_t)(count - 1) * BATCH, where);
    // Then the receiver has the batch twice, and the drainer says so.
    if (count == 1 && strcmp(deaths[0].point, "sender: answered") == 0) {
        assert_in_range(world_get(&world->resent), 1, BATCH);
        assert_int_equal(drained_sum_of(1, SPANS).doubles, world_get(&world->resent));
    }
    drained_teardown(NULL);
}

static const char *const points[] = {
    "drainer: before it is taken over",
    "drainer: taken over",
    "drainer: passed",
    "collector: batch opened",
    "collector: before coverage",
    "collector: spans noted",
    "collector: before release",
    "collector: counted as drained",
    "collector: released",
    "collector: batch not yet closed",
    "collector: batch closed",
    "sender: sending",
    "sender: answered",
    "batch: settling",
    "batch: counted",
    "sender: batch empty",
};
enum { POINTS = sizeof points / sizeof points[0] };

static void at_every_testpoint(void **state)
{
    (void)state;
    static const int visits[] = {1, 3, 9};
    for (size_t i = 0; i < POINTS; i++)
        for (size_t j = 0; j < sizeof visits / sizeof visits[0]; j++) {
            const bool once = strstr(points[i], "taken over") != NULL;
            const drained_plan death = {
                .point = points[i], .visit = once ? 1 : visits[j], .batch_spans = BATCH};
            run(&death, 1, NULL);
            if (once)
                break;
        }
}

// What the first one has left is being taken over when the second one dies.
static void while_a_session_is_taken_over(void **state)
{
    (void)state;
    static const char *const taking[] = {"drainer: drained entered", "drainer: position entered",
                                         "drainer: counters entered", "drainer: batch entered",
                                         "drainer: taken over"};
    static const char *const left[] = {"collector: before release",
                                       "collector: counted as drained",
                                       "collector: released",
                                       "collector: batch closed",
                                       "sender: answered",
                                       "batch: settling",
                                       "batch: counted"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        for (size_t j = 0; j < sizeof taking / sizeof taking[0]; j++) {
            const drained_plan deaths[] = {{.point = left[i], .visit = 3, .batch_spans = BATCH},
                                           {.point = taking[j], .visit = 1, .batch_spans = BATCH}};
            run(deaths, 2, NULL);
        }
}

// The next drainer encodes differently, so it encodes what is left again.
static void and_the_next_encodes_differently(void **state)
{
    (void)state;
    static const char *const left[] = {"collector: released", "collector: batch closed", "sender: answered"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        const drained_plan death = {.point = left[i], .visit = 5, .batch_spans = BATCH};
        run(&death, 1, "http/json");
    }
}

// The receiver has taken the first spans of a batch, and that is known.
static void in_the_middle_of_a_batch(void **state)
{
    drained_setup(state);
    world_set(&world->part, 7);
    drained_engine engine = {.index = 1, .spans = SPANS, .ahead = AHEAD};
    drained_engine_start(&engine);
    const drained_plan plan = {.batch_spans = BATCH};
    pid_t drainer = drained_start(&plan);
    DRAINED_UNTIL(world_get(&world->part) == 0);
    DRAINED_UNTIL(drained_stats(engine.session).exported == 7);
    kill(drainer, SIGKILL);
    drained_dead(drainer);
    world_set(&world->away, 0);
    drainer = drained_start(&plan);
    drained_engine_end(&engine);
    drained_stop(drainer);
    assert_complete(&engine, 0, "after a part");
    drained_teardown(state);
}

// Then what was in doubt is not sent again: it is missing if the receiver did not have it, and counts as unconfirmed.
static void and_the_next_leaves_out_what_is_in_doubt(void **state)
{
    (void)state;
    drained_setup(state);
    drained_engine engine = {.index = 2, .spans = SPANS, .ahead = AHEAD};
    drained_engine_start(&engine);
    const drained_plan death = {.point = "sender: answered", .visit = 5, .batch_spans = BATCH};
    drained_dead(drained_start(&death));
    const drained_plan survivor = {.batch_spans = BATCH, .in_doubt = NSP_IN_DOUBT_SKIP};
    pid_t drainer = drained_start(&survivor);
    drained_engine_end(&engine);
    drained_stop(drainer);
    const nsp_stats stats = drained_stats(engine.session);
    const drained_sum sum = drained_sum_of(engine.index, SPANS);
    assert_int_equal(sum.distinct, SPANS); // the receiver had taken it
    assert_int_equal(sum.doubles, 0);
    assert_in_range(stats.unconfirmed, 1, BATCH);
    assert_int_equal(stats.exported + stats.unconfirmed, SPANS);
    assert_int_equal(world_get(&world->resent), 0);
    drained_teardown(state);
}

#endif

// Everything that was recorded, at any moment of all of them; then the engine dies too.
static void at_any_moment(void **state)
{
    (void)state;
    enum { KILLS = 25 };
    uint64_t seed = 11;
    drained_setup(state);
    drained_engine engine = {.index = 0, .ahead = AHEAD};
    drained_engine_start(&engine);
    const drained_plan plans[] = {{.batch_spans = BATCH}, {.batch_spans = BATCH, .protocol = "http/json"}};
    for (int i = 0; i < KILLS; i++) {
        uint64_t draw = nsp__random_splitmix(&seed);
        const uint32_t until = world_get(&world->accepted) + (uint32_t)(draw % 12);
        world_set(&world->delay_us, (draw >> 32) % 2 ? 500 : 0);
        pid_t drainer = drained_start(&plans[(draw >> 40) % 2]);
        DRAINED_UNTIL(world_get(&world->accepted) >= until);
        nanosleep(&(struct timespec){.tv_nsec = (long)((draw >> 48) % 3000) * 1000}, NULL);
        kill(drainer, SIGKILL);
        drained_dead(drainer);
    }
    drained_engine_kill(&engine);
    const uint32_t recorded = world_get(&world->recorded[0]);

    nsp_recovery *recovery = recovery_of(engine.session);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    nsp_config config;
    drained_config(&config, &plans[0]);
    options.config = &config;
    options.exporter = drained_exporter();
    options.timeout_ns = 100000000000;
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    const nsp_recovery_account account = balanced(recovery);
    nsp_recovery_close(recovery);
    const drained_sum sum = drained_sum_of(0, recorded);
    assert_int_equal(sum.distinct, recorded);
    assert_in_range(sum.beyond, 0, 2); // the one that was just ending, and the one that was open
    assert_in_range(sum.doubles, 0, (KILLS + 1) * BATCH);
    assert_int_equal(
        world_get(&world->wrong_of[0]) + world_get(&world->wrong_of[1]) + world_get(&world->foreign), 0);
    assert_in_range(account.attempted, recorded, recorded + 1);
    assert_int_equal(account.engine_unconfirmed + account.unconfirmed + account.invalid, 0);
    drained_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef NSP_TESTPOINTS
        cmocka_unit_test(at_every_testpoint),
        cmocka_unit_test(while_a_session_is_taken_over),
        cmocka_unit_test(and_the_next_encodes_differently),
        cmocka_unit_test(in_the_middle_of_a_batch),
        cmocka_unit_test(and_the_next_leaves_out_what_is_in_doubt),
#endif
        cmocka_unit_test(at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
