// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Engines that are drained from outside, by a drainer that nothing happens to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"
#include "outside/session/folder.h"
#include "outside/session/session_copy.h"
#include "support/child.h"
#include "support/drained.h"

static void all_of_it_arrives_once(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = true};
    drained_engine engines[2] = {{.index = 0, .spans = 3000, .ahead = 100, .flush_each = 500},
                                 {.index = 1, .spans = 3000, .ahead = 100, .exits = true}};
    pid_t drainer = drained_start(&plan);
    for (int i = 0; i < 2; i++)
        drained_engine_start(&engines[i]);
    for (int i = 0; i < 2; i++)
        drained_engine_end(&engines[i]);
    DRAINED_UNTIL(drained_sessions() == 0); // they are removed
    drained_stop(drainer);
    for (uint32_t i = 0; i < 2; i++) {
        drained_sum sum = drained_sum_of(i, 3000);
        assert_int_equal(sum.distinct, 3000);
        assert_int_equal(sum.doubles, 0);
        assert_int_equal(sum.beyond, 0);
    }
    assert_int_equal(
        world_get(&world->wrong_of[0]) + world_get(&world->wrong_of[1]) + world_get(&world->foreign), 0);
    assert_int_equal(world_get(&world->flushed[0]), 6);
}

// ---- which sessions ----

static nsp_status add_status(nsp_drainer *drainer, const char *session, const char *expected)
{
    char problem[NSP_DRAINED_PROBLEM_MAX];
    nsp_status status = nsp_drainer_add(drainer, session, problem, sizeof problem);
    if (strstr(problem, expected) == NULL)
        fail_msg("%s instead of %s", problem, expected);
    return status;
}

static nsp_drained figures(nsp_drainer *drainer)
{
    size_t at = 0;
    nsp_drained drained = NSP_DRAINED_INIT;
    assert_true(nsp_drainer_each(drainer, &at, &drained));
    return drained;
}

static void one_of_several_drains(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 3, .spans = 20000, .ahead = 100};
    pid_t drainers[3];
    drained_engine_start(&engine);
    for (int i = 0; i < 3; i++)
        drainers[i] = drained_start(&plan);
    nsp_drainer *drainer = drained_open(&plan);
    DRAINED_UNTIL(world_get(&world->arrived) >= 1000);
    assert_int_equal(add_status(drainer, engine.session, "another process drains or recovers it"),
                     NSP_ERR_BUSY);
    drained_engine_end(&engine);
    world_set(&world->drainer_stop, 1);
    for (int i = 0; i < 3; i++) {
        drained_stop(drainers[i]);
        world_set(&world->drainer_stop, 1);
    }
    drained_sum sum = drained_sum_of(3, engine.spans);
    assert_int_equal(sum.distinct, engine.spans);
    assert_int_equal(sum.doubles, 0);
    // Now that nobody has it.
    assert_int_equal(nsp_drainer_add(drainer, engine.session, NULL, 0), NSP_OK);
    assert_int_equal(add_status(drainer, engine.session, "has it already"), NSP_ERR_ALREADY);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_ENDED);
    assert_int_equal(nsp_drainer_remove(drainer, engine.session, true), NSP_OK);
    assert_int_equal(drained_sessions(), 0);
    assert_int_equal(nsp_drainer_remove(drainer, engine.session, true), NSP_ERR_NOT_FOUND);
    assert_int_equal(add_status(drainer, engine.session, "there is no such session"), NSP_ERR_NOT_FOUND);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
}

static void drains_itself(void *state)
{
    (void)state;
    nsp_config config;
    nsp_config_init(&config);
    config.shm_dir = drained_folder;
    config.exporter = "none";
    config.log_level = NSP_LOG_NONE;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    nsp_span_end(nsp_span_begin(NSP_NAME("by itself")));
    world_set(&world->recorded[0], 1);
    while (world_get(&world->engine_stop) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    raise(SIGKILL);
}

static void other_sessions_are_refused(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    char session[SESSION_PATH_MAX];
    pid_t child = child_fork();
    if (child == 0)
        drains_itself(NULL);
    DRAINED_UNTIL(world_get(&world->recorded[0]) != 0);
    assert_true(session_dir_of(drained_folder, child, session));
    nsp_drainer *drainer = drained_open(&plan), *second;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    options.exporter = drained_exporter();
    assert_int_equal(nsp_drainer_open(&second, &options), NSP_ERR_BUSY);
    assert_int_equal(add_status(drainer, session, "its engine drains itself"), NSP_ERR_INVALID);
    world_set(&world->engine_stop, 1);
    int status = child_wait(child, 100);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(add_status(drainer, session, "has died"), NSP_ERR_INVALID);
    assert_int_equal(add_status(drainer, drained_folder, "not the directory of a session"),
                     NSP_ERR_NOT_FOUND);
    session[strlen(session) - 1] ^= 1;
    assert_int_equal(add_status(drainer, session, "no such session"), NSP_ERR_NOT_FOUND);
    memset(session, 'x', sizeof session);
    session[0] = '/';
    session[sizeof session - 1] = 0;
    assert_int_equal(add_status(drainer, session, "its path is too long"), NSP_ERR_INVALID);
    session[NSP_DRAINED_DIRECTORY_MAX - 1] = 0;
    assert_int_equal(nsp_drainer_add(drainer, session, NULL, 0), NSP_ERR_NOT_FOUND);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
}

// Each is visited once, also if those that were visited are removed meanwhile.
static void each_session_is_visited_once(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engines[3];
    nsp_drainer *drainer = drained_open(&plan);
    for (uint32_t i = 0; i < 3; i++) {
        engines[i] = (drained_engine){.index = i, .spans = 100, .dies = true};
        drained_engine_start(&engines[i]);
        drained_engine_end(&engines[i]);
    }
    DRAINED_UNTIL(drained_add_all(drainer) == 3);
    nsp_drained drained = NSP_DRAINED_INIT;
    unsigned visited = 0, count = 0;
    for (size_t at = 0; nsp_drainer_each(drainer, &at, &drained); count++) {
        visited |= 1u << (drained.service[strlen("drained-")] - '0');
        if (count != 1)
            assert_int_equal(nsp_drainer_remove(drainer, drained.directory, false), NSP_OK);
    }
    assert_int_equal(count, 3);
    assert_int_equal(visited, 7);
    size_t at = 0;
    assert_true(nsp_drainer_each(drainer, &at, &drained));
    assert_false(nsp_drainer_each(drainer, &at, &drained));
    assert_false(nsp_drainer_each(drainer, &at, &drained));
    drained_close(drainer, 0);
}

// ---- engines that die ----

static void what_an_engine_left_is_drained(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .spans = 150, .dies = true};
    drained_engine_start(&engine);
    drained_engine_end(&engine); // nobody has drained it until now
    nsp_drainer *drainer = drained_open(&plan);
    assert_int_equal(drained_add_all(drainer), 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_DIED);
    const nsp_drained drained = figures(drainer);
    assert_int_equal(drained.drained, 150);
    assert_int_equal(drained.exported, 150);
    assert_int_equal(drained.in_rings + drained.in_batches, 0);
    assert_string_equal(drained.service, "drained-0");
    assert_string_equal(drained.directory, engine.session);
    assert_int_equal(drained.pid, engine.pid);
    // What was open is for a recovery, and the session is not removed before.
    assert_int_equal(nsp_drainer_remove(drainer, engine.session, true), NSP_ERR_INVALID);
    assert_int_equal(nsp_drainer_remove(drainer, engine.session, false), NSP_OK);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
    assert_int_equal(drained_sum_of(0, 150).distinct, 150);
    const nsp_stats stats = drained_stats(engine.session);
    assert_int_equal(stats.open, 1);
    assert_int_equal(stats.exported, 150);
}

// What stands in the session may be a mistake: as long as the engine's lock is held, it is not removed.
static void an_engine_that_lives_has_not_ended(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .ahead = 100};
    char path[SESSION_PATH_MAX + 20];
    drained_engine_start(&engine);
    snprintf(path, sizeof path, "%s/control", engine.session);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    const uint32_t yes = 1;
    assert_int_equal(pwrite(fd, &yes, sizeof yes, offsetof(nsp__control, drainer.ended)), sizeof yes);
    close(fd);
    nsp_drainer *drainer = drained_open(&plan);
    DRAINED_UNTIL(drained_add_all(drainer) == 1);
    kill(engine.pid, SIGSTOP); // so that nothing is left to be drained
    do
        nsp_drainer_work(drainer, NULL);
    while (figures(drainer).in_rings + figures(drainer).in_batches != 0);
    for (int i = 0; i < 100; i++)
        nsp_drainer_work(drainer, NULL);
    assert_int_equal(figures(drainer).state, NSP_DRAINED_LIVING);
    drained_engine_kill(&engine);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_ENDED);
    drained_close(drainer, 0);
}

static void while_it_is_drained(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .ahead = 100};
    drained_engine_start(&engine);
    nsp_drainer *drainer = drained_open(&plan);
    assert_int_equal(drained_add_all(drainer), 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_LIVING && world_get(&world->arrived) > 500);
    drained_engine_kill(&engine);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_DIED);
    const uint32_t recorded = world_get(&world->recorded[0]);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
    assert_int_equal(drained_sum_of(0, recorded).distinct, recorded);
    assert_int_equal(drained_sum_of(0, recorded).doubles, 0);
}

// ---- a receiver that is away ----

static void the_rings_wait_for_the_receiver(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .spans = 30000, .exits = true}; // more than rings and batches hold
    world_set(&world->away, 1);
    nsp_drainer *drainer = drained_open(&plan);
    drained_engine_start(&engine);
    DRAINED_UNTIL(drained_add_all(drainer) == 1);
    nsp_drained drained;
    do {
        nsp_drainer_work(drainer, NULL);
        drained = figures(drainer);
    } while (world_get(&world->recorded[0]) < engine.spans);
    assert_true(drained.refused != 0);
    assert_true(drained.in_batches != 0);
    assert_int_equal(world_get(&world->arrived), 0);
    world_set(&world->away, 0);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_ENDED);
    drained_engine_end(&engine);
    const nsp_stats stats = drained_stats(engine.session);
    const drained_sum sum = drained_sum_of(0, engine.spans);
    assert_int_equal(sum.distinct, stats.attempted - stats.dropped);
    assert_int_equal(stats.exported, sum.distinct);
    assert_int_equal(stats.attempted + stats.roots_refused, engine.spans);
    assert_int_equal(sum.doubles, 0);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
}

// A drainer that ends leaves what it cannot send.
static void what_cannot_be_sent_stays(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .spans = 150, .dies = true};
    world_set(&world->away, 1);
    drained_engine_start(&engine);
    drained_engine_end(&engine);
    nsp_drainer *drainer = drained_open(&plan);
    assert_int_equal(drained_add_all(drainer), 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_LIVING && figures(drainer).in_rings == 0);
    assert_int_equal(figures(drainer).in_batches, 150);
    assert_int_equal(drained_close(drainer, 10000000), NSP_ERR_TIMEOUT);
    assert_int_equal(drained_stats(engine.session).in_batches, 150);
    world_set(&world->away, 0);
    drainer = drained_open(&plan);
    assert_int_equal(drained_add_all(drainer), 1);
    assert_int_equal(drained_close(drainer, 100000000000), NSP_OK);
    assert_int_equal(drained_stats(engine.session).exported, 150);
    assert_int_equal(drained_sum_of(0, 150).distinct, 150);
    assert_int_equal(drained_sum_of(0, 150).doubles, 0);
}

// ---- the end of a drainer ----

// It settles what was there when it was told to end, however fast engines go on.
static void its_end_does_not_run_after_engines(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    const uint64_t timeout_ns = 60 * NSP__SECOND; // much longer than it takes
    drained_engine engine = {.index = 0};         // records without a pause
    world_set(&world->delay_us, 50000); // it also goes on while a batch is sent, however busy the machine is
    drained_engine_start(&engine);
    nsp_drainer *drainer = drained_open(&plan);
    DRAINED_UNTIL(drained_add_all(drainer) == 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_LIVING && figures(drainer).refused != 0);
    const nsp_stats before = drained_stats(engine.session);
    const uint64_t begin_ns = nsp__monotonic_ns();
    assert_int_equal(drained_close(drainer, timeout_ns), NSP_OK);
    assert_true(nsp__monotonic_ns() - begin_ns < timeout_ns);
    assert_true(drained_stats(engine.session).exported >=
                before.exported + before.in_batches + before.in_rings);
    world_set(&world->delay_us, 0);
    world_set(&world->engine_stop, 1);
    drainer = drained_open(&plan);
    assert_int_equal(drained_add_all(drainer), 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_ENDED);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
    drained_engine_end(&engine);
    const nsp_stats stats = drained_stats(engine.session);
    const drained_sum sum = drained_sum_of(0, world_get(&world->recorded[0]));
    assert_int_equal(sum.distinct, stats.attempted - stats.dropped);
    assert_int_equal(sum.doubles, 0);
}

static bool has_ended(const drained_engine *engine)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)engine->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

// A flush that begins after the drainer has last looked at the rings is for the next one: each engine looks after
// each of its flushes whether everything has arrived.
static void its_end_does_not_answer_later_flushes(void **state)
{
    (void)state;
    enum { SPANS = 2000 };
    const drained_plan plan = {.removes = false};
    drained_engine engines[2];
    world_set(&world->delay_us, 1000);
    for (uint32_t i = 0; i < 2; i++) {
        engines[i] = (drained_engine){.index = i, .spans = SPANS, .flush_each = 10, .ahead = 100};
        drained_engine_start(&engines[i]);
    }
    while (!has_ended(&engines[0]) || !has_ended(&engines[1])) {
        nsp_drainer *drainer = drained_open(&plan);
        drained_add_all(drainer);
        nsp_drainer_work(drainer, NULL);
        assert_int_equal(drained_close(drainer, 60000000000), NSP_OK);
    }
    for (uint32_t i = 0; i < 2; i++) {
        drained_engine_end(&engines[i]);
        assert_int_equal(drained_sum_of(i, SPANS).distinct, SPANS);
        assert_int_equal(drained_sum_of(i, SPANS).doubles, 0);
    }
}

// ---- what the session says, and how long to sleep ----

static nsp__drainer words_of(const drained_engine *engine)
{
    char folder[SESSION_PATH_MAX];
    const char *name;
    assert_true(nsp__folder_split(engine->session, folder, sizeof folder, &name));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    nsp__session_copy copy;
    assert_true(nsp__session_copy_open(&copy, fd, name, false));
    const nsp__drainer words = copy.control->drainer;
    nsp__session_copy_close(&copy);
    close(fd);
    return words;
}

static void the_session_says_who_drains_it(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .spans = 1000, .ahead = 100, .flush_each = 500};
    drained_engine_start(&engine);
    assert_int_equal(words_of(&engine).pass_ns, 0);
    pid_t drainer = drained_start(&plan);
    drained_engine_end(&engine);
    DRAINED_UNTIL(words_of(&engine).flush_done == 3); // and the one of the shutdown
    assert_int_equal(words_of(&engine).flush_wanted, 3);
    assert_int_equal(words_of(&engine).pid, drainer);
    const uint64_t pass_ns = words_of(&engine).pass_ns;
    assert_int_not_equal(pass_ns, 0);
    DRAINED_UNTIL(words_of(&engine).pass_ns > pass_ns);
    drained_stop(drainer);
}

// A flush is not done before the receiver has answered.
static void a_flush_waits_for_the_receiver(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .spans = 100, .ahead = 1000};
    world_set(&world->away, 1);
    drained_engine_start(&engine);
    nsp_drainer *drainer = drained_open(&plan);
    DRAINED_UNTIL(drained_add_all(drainer) == 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_LIVING && words_of(&engine).flush_wanted == 1);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_LIVING && figures(drainer).in_batches == 100);
    for (int i = 0; i < 100; i++)
        nsp_drainer_work(drainer, NULL);
    assert_int_equal(words_of(&engine).flush_done, 0);
    world_set(&world->away, 0);
    DRAINED_UNTIL(drained_work(drainer).state != NSP_DRAINED_FAILED && words_of(&engine).flush_done == 1);
    assert_int_equal(drained_sum_of(0, 100).distinct, 100);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_ENDED);
    drained_engine_end(&engine);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
}

static void pauses_are_longer_while_nothing_comes(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .spans = 100, .dies = true};
    uint64_t pause_ns = 0;
    nsp_drainer *drainer = drained_open(&plan);
    DRAINED_UNTIL((nsp_drainer_work(drainer, &pause_ns), pause_ns == 50000000));
    drained_engine_start(&engine);
    DRAINED_UNTIL(drained_add_all(drainer) == 1);
    const uint64_t before_ns = nsp__monotonic_ns();
    DRAINED_UNTIL(nsp_drainer_work(drainer, &pause_ns) != 0);
    assert_in_range(pause_ns, 100000, 5000000);
    drained_engine_end(&engine);
    DRAINED_UNTIL((nsp_drainer_work(drainer, &pause_ns), pause_ns > 5000000));  // a second later
    DRAINED_UNTIL((nsp_drainer_work(drainer, &pause_ns), pause_ns > 10000000)); // and nine more
    // It would be less than two if it went on growing.
    assert_true(nsp__monotonic_ns() - before_ns > 5000000000);
    DRAINED_UNTIL((nsp_drainer_work(drainer, &pause_ns), pause_ns == 50000000));
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
}

// ---- the clock ----

// While nobody drains its error bound grows, and a drainer makes it small again.
static void whoever_drains_keeps_the_clock(void **state)
{
    (void)state;
    const drained_plan plan = {.removes = false};
    drained_engine engine = {.index = 0, .ahead = 100};
    drained_engine_start(&engine);
    const uint64_t before = drained_stats(engine.session).clock_error_ns;
    DRAINED_UNTIL(drained_stats(engine.session).clock_error_ns > 4 * before);
    const uint64_t grown = drained_stats(engine.session).clock_error_ns;
    pid_t drainer = drained_start(&plan);
    DRAINED_UNTIL(drained_stats(engine.session).clock_error_ns < grown / 2);
    world_set(&world->engine_stop, 1);
    drained_engine_end(&engine);
    drained_stop(drainer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, drained_setup, drained_teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_of_it_arrives_once),
        TEST(one_of_several_drains),
        TEST(other_sessions_are_refused),
        TEST(each_session_is_visited_once),
        TEST(what_an_engine_left_is_drained),
        TEST(an_engine_that_lives_has_not_ended),
        TEST(while_it_is_drained),
        TEST(the_rings_wait_for_the_receiver),
        TEST(what_cannot_be_sent_stays),
        TEST(its_end_does_not_run_after_engines),
        TEST(its_end_does_not_answer_later_flushes),
        TEST(the_session_says_who_drains_it),
        TEST(a_flush_waits_for_the_receiver),
        TEST(pauses_are_longer_while_nothing_comes),
        TEST(whoever_drains_keeps_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
