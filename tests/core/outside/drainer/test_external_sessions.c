// SPDX-License-Identifier: Apache-2.0
//
// Sessions of engines that are drained from outside, as others see them: who drains them, and what recovery and
// pruning do with those whose engines have ended.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "outside/prune.h"
#include "support/child.h"
#include "support/external_engine.h"
#include "support/recovered.h"
#include "support/scripted.h"

#define MINUTE 60000000000u
#define SOON 20000000u // for what nobody will do

// What nsp_sessions_each says of one session.
typedef struct seen_session {
    const char *directory;
    nsp_session session;
    bool found;
} seen_session;

static bool find(void *argument, const nsp_session *session)
{
    seen_session *seen = argument;
    if (strcmp(session->directory, seen->directory) != 0)
        return true;
    assert_null(session->problem);
    seen->session = *session;
    seen->found = true;
    return false;
}

static nsp_session see(const char *directory)
{
    seen_session seen = {.directory = directory};
    assert_int_equal(nsp_sessions_each(external_folder, find, &seen), NSP_OK);
    assert_true(seen.found);
    return seen.session;
}

// ---- living engines ----

static void stays(void *argument)
{
    (void)argument;
    external_record(300);
    external_tell();
    for (;;)
        pause();
}

static void end_by_force(external_engine *engine)
{
    kill(engine->pid, SIGKILL);
    external_join_killed(engine, SIGKILL);
}

static void others_see_who_drains(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer drainer;
    external_start(&engine, stays, NULL);
    external_await(&engine);
    nsp_session seen = see(engine.session);
    assert_true(seen.alive && seen.external && !seen.drained && !seen.ended);
    assert_int_equal(seen.drainer_pid, 0);
    assert_int_equal(seen.drainer_idle_ns, 0);
    assert_true(seen.ring_fill > 0.1 && seen.ring_fill < 0.8 && seen.unsent == 300);

    assert_true(outside_drainer_open(&drainer, engine.session));
    outside_drainer_pass(&drainer);
    seen = see(engine.session);
    assert_true(seen.drained && seen.ring_fill == 0 && seen.unsent == 0);
    assert_int_equal(seen.drainer_pid, getpid());
    assert_true(seen.drainer_idle_ns != 0 && seen.drainer_idle_ns < MINUTE);
    drainer.control->drainer.pass_ns -= MINUTE; // it hangs
    assert_true(see(engine.session).drainer_idle_ns >= MINUTE);
    drainer.control->drainer.pass_ns = UINT64_MAX; // no time that there was
    assert_int_equal(see(engine.session).drainer_idle_ns, 1);

    outside_drainer_close(&drainer);
    seen = see(engine.session);
    assert_true(seen.external && !seen.drained);
    assert_int_equal(seen.drainer_pid, getpid()); // the last one
    end_by_force(&engine);
    seen = see(engine.session);
    assert_true(!seen.alive && seen.external && !seen.drained && !seen.ended);
}

static void assert_cannot_be_recovered(const char *session, const char *why)
{
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    assert_int_equal(nsp_recovery_open(&recovery, session, problem, sizeof problem), NSP_ERR_BUSY);
    if (strstr(problem, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", problem, why);
}

static void what_lives_or_is_drained_is_not_recovered(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer drainer;
    external_start(&engine, stays, NULL);
    external_await(&engine);
    assert_cannot_be_recovered(engine.session, "its engine is running");
    assert_true(outside_drainer_open(&drainer, engine.session));
    end_by_force(&engine);
    assert_cannot_be_recovered(engine.session, "another process is recovering or draining it");
    assert_true(see(engine.session).drained);
    outside_drainer_close(&drainer);
    recovered_reset();
    assert_int_equal(recover_all(engine.session).exported, 300);
}

// ---- ended engines ----

static void shuts_down(void *argument)
{
    external_record(*(const unsigned *)argument);
    nsp_shutdown(*(const unsigned *)argument % 2 == 0 ? MINUTE : SOON);
}

// An engine that has ended in order: an odd number of spans stays in its session, an even one is drained.
static void make_ended(external_engine *engine, unsigned spans)
{
    external_start(engine, shuts_down, &spans);
    if (spans % 2 == 0) {
        outside_drainer drainer;
        assert_true(outside_drainer_open(&drainer, engine->session));
        external_drain_until_end(engine, &drainer);
        outside_drainer_close(&drainer);
    }
    external_join(engine);
}

static void ended_sessions_are_recovered(void **state)
{
    (void)state;
    static const unsigned spans[] = {8, 5};
    for (int i = 0; i < 2; i++) {
        const unsigned left = i == 0 ? 0 : 5;
        external_engine engine;
        make_ended(&engine, spans[i]);
        nsp_session seen = see(engine.session);
        assert_true(seen.ended && !seen.alive && seen.external && seen.unsent == left);
        recovered_reset();
        nsp_recovery_account account = recover_all(engine.session);
        assert_int_equal(account.attempted, spans[i]);
        assert_int_equal(account.engine_exported, spans[i] - left);
        assert_int_equal(recovered_count(), left);
        assert_int_equal(see(engine.session).unsent, 0);
        nsp_recovery *recovery = recovery_of(engine.session);
        assert_int_equal(nsp_recovery_remove(recovery, false), NSP_OK);
        nsp_recovery_close(recovery);
        assert_int_equal(session_dir_count(external_folder), 0);
    }
}

// A process that dies while it ends its session.
static void dies_at(void *point)
{
    die_at(point, 1);
    external_record(7);
    nsp_shutdown(SOON);
}

static void a_death_at_the_end_loses_nothing(void **state)
{
    (void)state;
    static const char *const points[] = {"shutdown: without a policy", "shutdown: flushed",
                                         "shutdown: the session is still there",
                                         "shutdown: nothing is mapped", "shutdown: has said that it ended"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        external_engine engine;
        external_start(&engine, dies_at, (void *)(uintptr_t)points[i]);
        external_join_killed(&engine, SIGKILL);
        assert_int_equal(see(engine.session).ended, i == 4);
        recovered_reset();
        assert_int_equal(recover_all(engine.session).exported, 7);
    }
}

static bool is_there(const external_engine *engine)
{
    return access(engine->session, F_OK) == 0;
}

static void set_age(const external_engine *engine, int seconds)
{
    char alive[SESSION_PATH_MAX + 8];
    const struct timespec then[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};
    snprintf(alive, sizeof alive, "%s/alive", engine->session);
    assert_int_equal(utimensat(AT_FDCWD, alive, then, 0), 0);
}

static unsigned prune(uint32_t keep)
{
    char folder[SESSION_PATH_MAX + 32];
    snprintf(folder, sizeof folder, "%s/nanospan-%u", external_folder, (unsigned)geteuid());
    return nsp__session_prune(folder, keep, UINT64_MAX);
}

static void pruning_takes_settled_ones_first_and_none_that_is_drained(void **state)
{
    (void)state;
    static const unsigned spans[4] = {3, 8, 5, 7}; // the second one is settled
    external_engine engines[4], living;
    outside_drainer drainer;
    for (int i = 0; i < 4; i++) {
        make_ended(&engines[i], spans[i]);
        set_age(&engines[i], 100 - i * 10);
    }
    external_start(&living, stays, NULL);
    assert_true(outside_drainer_open(&drainer, engines[3].session));
    assert_int_equal(prune(3), 0);
    assert_int_equal(prune(2), 1); // of the three that nobody drains
    assert_true(is_there(&engines[0]) && !is_there(&engines[1]) && is_there(&engines[2]));
    assert_int_equal(prune(1), 1); // the oldest
    assert_true(!is_there(&engines[0]) && is_there(&engines[2]));
    assert_int_equal(prune(0), 1);
    assert_true(!is_there(&engines[2]) && is_there(&engines[3]) && is_there(&living));
    outside_drainer_close(&drainer);
    assert_int_equal(prune(0), 1);
    assert_true(!is_there(&engines[3]) && is_there(&living));
    end_by_force(&living);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, external_folder_make, external_folder_remove)
    const struct CMUnitTest tests[] = {
        TEST(others_see_who_drains),
        TEST(what_lives_or_is_drained_is_not_recovered),
        TEST(ended_sessions_are_recovered),
        TEST(a_death_at_the_end_loses_nothing),
        TEST(pruning_takes_settled_ones_first_and_none_that_is_drained),
    };
    return cmocka_run_group_tests_name("external_sessions", tests, NULL, NULL);
}
