// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Several processes that change the sampler of one engine, and one that dies or stands still in the middle of
// a change.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <nanospan/drainer.h>

#include "base/testpoint.h"
#include "support/capture.h"
#include "support/child.h"
#include "support/tuned_engine.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

// ---- several at once ----

// For what a busy machine makes another writer wait for too long.
static nsp_status set_rule_patiently(nsp_tune *tune, const char *pattern, double rate)
{
    nsp_status status = NSP_ERR_TIMEOUT;
    for (int tries = 0; status == NSP_ERR_TIMEOUT && tries < 1000; tries++)
        status = tuned_set_rule(tune, pattern, rate);
    return status;
}

enum { WRITERS = 2, CHANGES = 40, NAMES = 300 };

static pid_t start_writer(int number)
{
    pid_t child = child_fork();
    if (child != 0)
        return child;
    nsp_tune *tune;
    char pattern[32];
    CHILD_CHECK(nsp_tune_open(&tune, tuned_directory, NULL, 0) == NSP_OK);
    for (int i = 1; i <= CHANGES; i++) {
        snprintf(pattern, sizeof pattern, "writer.%d.%d", number, i % 3);
        CHILD_CHECK(set_rule_patiently(tune, pattern, i % 2) == NSP_OK);
    }
    snprintf(pattern, sizeof pattern, "off.%d.*", number);
    CHILD_CHECK(set_rule_patiently(tune, pattern, 0) == NSP_OK);
    _exit(0);
}

static void *add_names(void *unused)
{
    (void)unused;
    char name[32];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "off.%d.%d", i % WRITERS, i);
        tuned_recorded(name);
        sched_yield();
    }
    return NULL;
}

static void several_writers_and_new_names_lose_nothing(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_THREAD);
    pid_t writers[WRITERS];
    pthread_t adder;
    char name[32];
    for (int i = 0; i < WRITERS; i++)
        writers[i] = start_writer(i);
    assert_int_equal(pthread_create(&adder, NULL, add_names, NULL), 0);
    for (int i = 0; i < WRITERS; i++) {
        int how;
        assert_int_equal(waitpid(writers[i], &how, 0), writers[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    pthread_join(adder, NULL);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "off.%d.%d", i % WRITERS, i);
        assert_false(tuned_recorded(name));
    }
    const nsp__control *control = nsp__trace_state.control;
    const nsp__policy *policy = &control->policies[control->policy_generation & 1];
    assert_int_equal(policy->rules, WRITERS * 4);
    assert_int_equal(policy->checksum, nsp__sampler_checksum(policy));
    for (int i = 0; i < WRITERS; i++)
        for (int k = CHANGES - 2; k <= CHANGES; k++) { // the last change of each
            snprintf(name, sizeof name, "writer.%d.%d", i, k % 3);
            assert_int_equal(tuned_recorded(name), k % 2);
        }
    tuned_end();
}

#ifdef NSP_TESTPOINTS
static void intern_now(const char *point)
{
    if (strcmp(point, "policy: before it is published") == 0)
        nsp_intern("late.name", 9);
}

// After the writer has looked at the names, and before its policy is in force.
static void a_name_added_meanwhile_gets_its_class(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_INVOKER); // nobody passes
    nsp_tune *tune = tuned_open();
    __atomic_store_n(&nsp__testpoint_hook, intern_now, __ATOMIC_RELEASE);
    nsp_status status = tuned_set_rule(tune, "late.*", 0);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(status, NSP_OK);
    assert_false(tuned_recorded("late.name"));
    nsp_tune_close(tune);
    tuned_end();
}

// ---- killed in the middle ----

static void kill_writer_at(const char *point)
{
    const nsp_tune_change change = tuned_rule("killed.*", 0);
    tuned_kill_writer(point, &change, 1);
}

// ---- stopped in the middle ----

static const char *stop_point;

static void stop_there(const char *point)
{
    if (strcmp(point, stop_point) == 0)
        raise(SIGSTOP);
}

// A tuner stands still before its policy is in force. Another one gives up, the engine ends without waiting,
// and the tuner that goes on then finds that out, and has changed nothing.
static void a_stopped_tuner_holds_up_nobody_that_ends(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_THREAD);
    pid_t child = child_fork();
    if (child == 0) {
        nsp_tune *tune;
        stop_point = "policy: before it is published";
        CHILD_CHECK(nsp_tune_open(&tune, tuned_directory, NULL, 0) == NSP_OK);
        __atomic_store_n(&nsp__testpoint_hook, stop_there, __ATOMIC_RELEASE);
        CHILD_CHECK(tuned_set_rate(tune, 0) == NSP_ERR_NOT_INITIALISED);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    assert_true(WIFSTOPPED(how));
    nsp_tune *tune = tuned_open();
    size_t failed = 77;
    const nsp_tune_change change = tuned_rule("x", 0);
    assert_int_equal(nsp_tune_apply(tune, &change, 1, &failed), NSP_ERR_TIMEOUT);
    assert_int_equal(failed, 1);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_ERR_TIMEOUT);
    nsp_tune_close(tune);
    assert_true(tuned_recorded("root"));
    tuned_end();
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

// ---- drained from outside ----

static struct {
    nsp_drainer *drainer;
    bool stop;
} outside;

static void *drain(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&outside.stop, __ATOMIC_ACQUIRE)) {
        nsp_drainer_work(outside.drainer, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static void a_drainer_follows_up(void **state)
{
    (void)state;
    char line[160];
    nsp_config config;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    pthread_t thread;
    tuned_begin(NSP_COLLECTOR_EXTERNAL);
    assert_true(tuned_recorded("killed.before") && tuned_recorded("other"));
    kill_writer_at("tune: published");
    assert_true(tuned_recorded("killed.before")); // nobody has told this thread
    capture_config(&config);
    options.exporter = config.custom_exporter;
    options.config = &config;
    assert_int_equal(nsp_drainer_open(&outside.drainer, &options), NSP_OK);
    assert_int_equal(nsp_drainer_add(outside.drainer, tuned_directory, NULL, 0), NSP_OK);
    outside.stop = false;
    assert_int_equal(pthread_create(&thread, NULL, drain, NULL), 0);
    for (int tries = 0; tuned_recorded("killed.before") || tuned_recorded("killed.after"); tries++) {
        assert_true(tries < 100000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(tuned_recorded("other"));
    nsp_tune *tune = tuned_open(); // what was changed before somebody drained is not said
    assert_int_equal(tuned_set_rule(tune, "killed.*", 1), NSP_OK);
    nsp_tune_close(tune);
    snprintf(line, sizeof line, "test (pid %d): sampling changed by process %d (%s): rule killed.* 0 -> 1",
             (int)getpid(), (int)getpid(), program_invocation_short_name);
    for (int tries = 0; capture_lines_with(line) == 0; tries++) {
        assert_true(tries < 100000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    tuned_end();
    __atomic_store_n(&outside.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    nsp_drainer_close(outside.drainer, 0);
}

static void a_writer_that_is_killed_leaves_the_old_or_the_new_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < TUNED_DEATHS; i++) {
        const bool changed = tuned_deaths[i].changed;
        tuned_begin(NSP_COLLECTOR_THREAD);
        assert_true(tuned_recorded("killed.before") && tuned_recorded("other"));
        kill_writer_at(tuned_deaths[i].point);
        assert_true(tuned_recorded("other"));
        tuned_pass();
        assert_int_equal(tuned_recorded("killed.before"), !changed);
        assert_int_equal(tuned_recorded("killed.after"), !changed);
        assert_true(tuned_recorded("other"));
        nsp_tune *tune = tuned_open(); // its lock went with it
        assert_int_equal(tuned_set_rule(tune, "killed.*", 1), NSP_OK);
        assert_true(tuned_recorded("killed.before") && tuned_recorded("killed.after"));
        nsp_tune_close(tune);
        tuned_end();
    }
}
#endif

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, capture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(several_writers_and_new_names_lose_nothing),
#ifdef NSP_TESTPOINTS
        TEST(a_name_added_meanwhile_gets_its_class),
        TEST(a_stopped_tuner_holds_up_nobody_that_ends),
        TEST(a_drainer_follows_up),
        TEST(a_writer_that_is_killed_leaves_the_old_or_the_new_policy),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
