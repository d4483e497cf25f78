// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread_start.h"

// What a thread finds about itself.
typedef struct findings {
    char name[16];
    int policy, timer_slack;
    sigset_t blocked;
    cpu_set_t cpus;
} findings;

static void *look(void *argument)
{
    findings *found = argument;
    struct sched_param parameters;
    pthread_getname_np(pthread_self(), found->name, sizeof found->name);
    pthread_getschedparam(pthread_self(), &found->policy, &parameters);
    found->timer_slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &found->blocked);
    sched_getaffinity(0, sizeof found->cpus, &found->cpus);
    return argument;
}

static findings run(const char *name, const char *cpus)
{
    findings found;
    memset(&found, 0, sizeof found);
    pthread_t thread;
    assert_int_equal(nsp__thread_start(&thread, name, cpus, look, &found), NSP_OK);
    void *result;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &found);
    return found;
}

static int warnings;

static void count_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)line;
    warnings += level == NSP_LOG_WARN;
}

static void is_named_ordinary_and_deaf_to_signals(void **state)
{
    (void)state;
    findings found = run("nsp-a-name-that-is-too-long", NULL);
    assert_string_equal(found.name, "nsp-a-name-that");
    assert_int_equal(found.policy, SCHED_OTHER);
    assert_int_equal(found.timer_slack, 1);
    static const int signals[] = {SIGINT, SIGTERM, SIGUSR1, SIGPROF, SIGALRM, SIGPIPE, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; ++i)
        assert_true(sigismember(&found.blocked, signals[i]));
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    assert_false(sigismember(&own, SIGUSR1));
}

// The caller is pinned to one CPU, as the thread that calls nsp_init often is.
static void runs_where_it_is_told_and_not_where_the_caller_is(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    if (CPU_COUNT(&all) < 2)
        skip();
    int first = 0, second;
    while (!CPU_ISSET(first, &all))
        ++first;
    for (second = first + 1; !CPU_ISSET(second, &all);)
        ++second;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);

    findings anywhere = run("nsp-test", NULL);
    char text[32];
    snprintf(text, sizeof text, "%d", second);
    findings told = run("nsp-test", text);
    snprintf(text, sizeof text, "%d-%d", first, second);
    findings range = run("nsp-test", text);
    warnings = 0;
    findings nowhere = run("nsp-test", "8191");
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);

    assert_true(CPU_EQUAL(&anywhere.cpus, &all));
    assert_int_equal(CPU_COUNT(&told.cpus), 1);
    assert_true(CPU_ISSET(second, &told.cpus));
    assert_true(CPU_ISSET(first, &range.cpus) && CPU_ISSET(second, &range.cpus));
    assert_true(CPU_EQUAL(&nowhere.cpus, &all));
    assert_int_equal(warnings, 1);
}

static void knows_a_cpu_list(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "1", "0,2-3", "0-0", "8191", "3,1,2"};
    static const char *const bad[] = {
        "", ",", "0,", ",0", "a", "0-", "-1", "3-2", "8192", "99999999999999999999", "0 1", "0-1-2"};
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i)
        assert_true(nsp__cpu_list_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        assert_false(nsp__cpu_list_valid(bad[i]));
    assert_false(nsp__cpu_list_valid(NULL));
}

int main(void)
{
    nsp__log_configure(NSP_LOG_INFO, count_line, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_named_ordinary_and_deaf_to_signals),
        cmocka_unit_test(runs_where_it_is_told_and_not_where_the_caller_is),
        cmocka_unit_test(knows_a_cpu_list),
    };
    return cmocka_run_group_tests_name("thread_start", tests, NULL, NULL);
}
