// SPDX-License-Identifier: Apache-2.0
//
// Sessions of engines that were killed while they started or stopped, as others see them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/capture.h"
#include "support/child.h"
#include "support/sanitizer.h"
#include "support/session_dir.h"

static char directory[SESSION_PATH_MAX];

static int make_directory(void **state)
{
    (void)state;
    session_dir_make(directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    session_dir_remove(directory);
    return 0;
}

typedef struct seen {
    size_t count;
    bool alive, has_problem;
    double rate;
    size_t rules;
    nsp_stats stats;
    char problem[200];
} seen;

static bool note(void *argument, const nsp_session *session)
{
    seen *out = argument;
    out->count++;
    out->alive = session->alive;
    out->has_problem = session->problem != NULL;
    out->rate = session->rate;
    out->rules = session->rule_count;
    out->stats = session->stats;
    snprintf(out->problem, sizeof out->problem, "%s", session->problem != NULL ? session->problem : "");
    return true;
}

static seen look(void)
{
    seen out = {0};
    assert_int_equal(nsp_sessions_each(directory, note, &out), NSP_OK);
    return out;
}

#ifdef NSP_TESTPOINTS
static const char *fatal;
static seen alive; // in the child: what it looks like before it dies

static void look_and_die(const char *name)
{
    if (strcmp(name, fatal) != 0)
        return;
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    (void)nsp_sessions_each(directory, note, &alive);
    CHILD_CHECK(alive.count == 1);
    bool locked = strcmp(name, "session: before it is locked") != 0;
    CHILD_CHECK(alive.alive == locked);
    CHILD_CHECK(!locked || strcmp(alive.problem, "") == 0 ||
                strcmp(alive.problem, "its engine is starting") == 0);
    raise(SIGKILL);
}

enum { RULES = 3, SPANS = 5 };

// policies: how often the rules change, since the policy in force lies in one of two places.
static void engine(void *policies)
{
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    config.detached_spans = 16;
    config.collector = NSP_COLLECTOR_INVOKER;
    config.sample_rate = 1;
    __atomic_store_n(&nsp__testpoint_hook, look_and_die, __ATOMIC_RELEASE);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (int i = 0; i < *(int *)policies; i++) {
        char pattern[16];
        snprintf(pattern, sizeof pattern, "rule%d", i);
        CHILD_CHECK(nsp_sampler_set_rule(pattern, 0.5) == NSP_OK);
    }
    for (int i = 0; i < SPANS; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    nsp_shutdown(1000000000);
}

static seen killed_at(const char *name, int policies)
{
    fatal = name;
    int status = child_run(engine, &policies, 20);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return look();
}
#endif

static void killed_while_starting(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    // At the first two, its name still has a dot before it.
    static const char *const unfinished[] = {"session: before it is locked",
                                             "session: before it has its name", "start: without a resource",
                                             "policy: before it is published"};
    for (size_t i = 0; i < 4; i++) {
        seen what = killed_at(unfinished[i], 0);
        assert_int_equal(what.count, 1);
        assert_false(what.alive);
        assert_string_equal(what.problem,
                            "its engine was killed while it was starting or ending; nothing is in it");
        session_dir_remove(directory);
        session_dir_make(directory);
    }
#else
    SKIP_BECAUSE("the library was built without testpoints");
#endif
}

// What it recorded is still known, and the policy that was in force.
static void killed_while_stopping(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    for (int policies = 0; policies <= RULES; policies++) {
        seen what = killed_at("shutdown: without a policy", policies);
        assert_int_equal(what.count, 1);
        assert_string_equal(what.problem, "");
        assert_false(what.has_problem || what.alive);
        assert_true(what.rate == 1);
        assert_int_equal(what.rules, policies);
        assert_int_equal(what.stats.attempted, SPANS);
        assert_int_equal(what.stats.in_rings, SPANS);
        session_dir_remove(directory);
        session_dir_make(directory);
    }
#else
    SKIP_BECAUSE("the library was built without testpoints");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_while_starting, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(killed_while_stopping, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
