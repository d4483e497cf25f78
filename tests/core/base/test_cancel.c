// SPDX-License-Identifier: Apache-2.0
//
// pthread_cancel of a thread inside a call of the library: the call is completed first, and everything goes
// on. The tests run in children, because a lock that was left held would hang the test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/child.h"
#include "support/scripted.h"

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

// ---- where a thread is when it is cancelled ----

static __thread bool victim;
static bool inside;   // atomic: the cancelled thread is in the window
static bool released; // atomic
static bool returned; // atomic: its call has returned

static void hold(void)
{
    __atomic_store_n(&inside, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
        test_sleep_ms(1); // a cancellation point
}

static const char *held_point;

static void hold_at_point(const char *name)
{
    if (victim && held_point != NULL && strcmp(name, held_point) == 0)
        hold();
}

static void hold_in_callback(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
    if (victim)
        hold();
}

static nsp_exporter exporter; // the scripted one, except for what is set below

static nsp_status create_and_hold(void **state, const nsp_exporter_context *context)
{
    if (victim)
        hold();
    return scripted_exporter.create(state, context);
}

static bool append_and_hold(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    if (victim)
        hold();
    return scripted_exporter.append(state, batch, view);
}

// ---- the calls ----

static nsp_config config;

static void configure(void)
{
    script_config(&config);
    exporter = scripted_exporter;
    config.custom_exporter = &exporter;
    config.exit_timeout_ns = SECOND;
}

static void record(void)
{
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void init(void)
{
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

static void prepare_flush(void)
{
    init();
    __atomic_store_n(&script.stalled, true, __ATOMIC_RELEASE);
    record();
    held_point = "flush: in use";
}

static void call_flush(void)
{
    nsp_flush(SECOND / 2);
}

static void call_shutdown(void)
{
    __atomic_store_n(&inside, true, __ATOMIC_RELEASE);
    nsp_shutdown(60 * SECOND);
}

static void prepare_policy(void)
{
    init();
    held_point = "policy: before it is published";
}

static void call_set_rate(void)
{
    CHILD_CHECK(nsp_sampler_set_rate(0.5) == NSP_OK);
}

static void call_set_rule(void)
{
    CHILD_CHECK(nsp_sampler_set_rule("order*", 0.5) == NSP_OK);
}

static void call_set_parent_policy(void)
{
    CHILD_CHECK(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE) == NSP_OK);
}

static void prepare_init(void)
{
    exporter.create = create_and_hold;
}

static void prepare_line(void)
{
    config.log = hold_in_callback;
    config.log_level = NSP_LOG_INFO;
    config.collector_cpus = "8191"; // causes a log line
}

static void prepare_attach(void)
{
    init();
    held_point = "attach: before visible";
}

static void call_attach(void)
{
    CHILD_CHECK(nsp_thread_attach(NULL) == NSP_OK);
}

static void prepare_work(void)
{
    config.collector = NSP_COLLECTOR_INVOKER;
    exporter.append = append_and_hold;
    init();
    record();
}

static void call_work(void)
{
    CHILD_CHECK(nsp_do_work(1) == 1);
}

static void call_invoker_flush(void)
{
    CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
}

static const struct {
    const char *name;
    void (*prepare)(void);
    void (*call)(void);
} cases[] = {
    {"flush", prepare_flush, call_flush},
    {"shutdown", prepare_flush, call_shutdown},
    {"set_rate", prepare_policy, call_set_rate},
    {"set_rule", prepare_policy, call_set_rule},
    {"set_parent_policy", prepare_policy, call_set_parent_policy},
    {"init", prepare_init, init},
    {"a log line", prepare_line, init},
    {"attach", prepare_attach, call_attach},
    {"first span", prepare_attach, record},
    {"do_work", prepare_work, call_work},
    {"flush as invoker", prepare_work, call_invoker_flush},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct plan {
    size_t number;
    bool at_once; // asynchronous cancellation
} plan;

static void *be_cancelled(void *argument)
{
    const plan *what = argument;
    int ignored;
    victim = true;
    if (what->at_once)
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &ignored);
    cases[what->number].call();
    __atomic_store_n(&returned, true, __ATOMIC_RELEASE);
    pthread_testcancel();
    return NULL;
}

// After the cancellation all calls still work, both on other threads and at exit.
static void expect_health(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    nsp_init(&config); // needed if a shutdown was cancelled
    CHILD_CHECK(nsp_sampler_set_rate(1) == NSP_OK);
    CHILD_CHECK(nsp_sampler_rate() == 1);
    record();
    CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
    CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
    init();
    record();
}

static void cancel_one(void *argument)
{
    const plan *what = argument;
    script_reset();
    configure();
    __atomic_store_n(&nsp__testpoint_hook, hold_at_point, __ATOMIC_RELEASE);
    cases[what->number].prepare();
    pthread_t thread;
    CHILD_CHECK(pthread_create(&thread, NULL, be_cancelled, argument) == 0);
    while (!__atomic_load_n(&inside, __ATOMIC_ACQUIRE))
        test_sleep_ms(1);
    test_sleep_ms(20);
    CHILD_CHECK(pthread_cancel(thread) == 0);
    test_sleep_ms(20);
    __atomic_store_n(&released, true, __ATOMIC_RELEASE);
    test_sleep_ms(200); // the call waits for the exporter, with the cancellation pending
    __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
    void *result = NULL;
    CHILD_CHECK(pthread_join(thread, &result) == 0);
    // An asynchronously cancelled thread ends within the last steps of the call. With some C libraries its
    // result is then NULL.
    bool back = __atomic_load_n(&returned, __ATOMIC_ACQUIRE);
    CHILD_CHECK(what->at_once ? !back : back && result == PTHREAD_CANCELED);
    exporter = scripted_exporter;
    expect_health();
    exit(0); // the exit hook has a session to end
}

static void everywhere(bool at_once)
{
    unsigned failed = 0;
    for (size_t i = 0; i < CASES; i++) {
        plan what = {i, at_once};
        int status = child_run(cancel_one, &what, 60);
        print_message("%s: status %x\n", cases[i].name, (unsigned)status);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
}

static void deferred(void **state)
{
    (void)state;
    everywhere(false);
}

static void asynchronous(void **state)
{
    (void)state;
    everywhere(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deferred),
        cmocka_unit_test(asynchronous),
    };
    return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
