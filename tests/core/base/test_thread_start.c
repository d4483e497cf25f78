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
#include "support/child.h"
#include "support/emulator.h"

// What a thread finds out about itself.
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

static void *run_pinned(void *argument)
{
    cpu_set_t *found = argument;
    CHILD_CHECK(sched_setaffinity(0, sizeof *found, found) == 0);
    *found = run("nsp-test", NULL).cpus;
    return NULL;
}

// Runs in a program that was started on these CPUs: its threads run on them, whichever CPU the thread that
// starts them is pinned to.
static void started_on(const char *cpus)
{
    cpu_set_t given, found, one;
    CHILD_CHECK(sched_getaffinity(0, sizeof given, &given) == 0);
    found = run("nsp-test", NULL).cpus;
    CHILD_CHECK(CPU_EQUAL(&found, &given));
    CPU_ZERO(&one);
    CPU_SET(atoi(cpus), &one);
    pthread_t thread;
    found = one;
    CHILD_CHECK(pthread_create(&thread, NULL, run_pinned, &found) == 0);
    pthread_join(thread, NULL);
    CHILD_CHECK(CPU_EQUAL(&found, &given));
    if (CPU_COUNT(&given) < 3)
        return;
    // The main thread restricts the process to two of them, which is not a pin.
    CPU_SET(atoi(strchr(cpus, ',') + 1), &one);
    CHILD_CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    found = run("nsp-test", NULL).cpus;
    CHILD_CHECK(CPU_EQUAL(&found, &one));
}

// What taskset does.
static int start_on(const cpu_set_t *cpus)
{
    char text[32];
    int first = 0, second;
    while (!CPU_ISSET(first, cpus))
        ++first;
    for (second = first + 1; second < CPU_SETSIZE && !CPU_ISSET(second, cpus);)
        ++second;
    snprintf(text, sizeof text, "%d,%d", first, second);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        sched_setaffinity(0, sizeof *cpus, cpus);
        program_exec("/proc/self/exe", environ, "test_thread_start", text, (char *)NULL);
        _exit(127);
    }
    return child_wait(child, 30);
}

static void stays_within_the_mask_of_the_process(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (CPU_ISSET(cpu, &all))
            assert_int_equal(start_on(&one), 0);
    }
    assert_int_equal(start_on(&all), 0);
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

int main(int count, char **arguments)
{
    if (count == 2) {
        started_on(arguments[1]);
        return 0;
    }
    nsp__log_configure(NSP_LOG_INFO, count_line, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_named_ordinary_and_deaf_to_signals),
        cmocka_unit_test(runs_where_it_is_told_and_not_where_the_caller_is),
        cmocka_unit_test(stays_within_the_mask_of_the_process),
        cmocka_unit_test(knows_a_cpu_list),
    };
    return cmocka_run_group_tests_name("thread_start", tests, NULL, NULL);
}
