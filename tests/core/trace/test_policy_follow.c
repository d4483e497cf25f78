// SPDX-License-Identifier: Apache-2.0
//
// A policy that somebody published and did not follow up, as a writer does that is killed right then: whoever drains
// tells the threads and gives the names their classes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "base/testpoint.h"
#include "context/threshold.h"
#include "support/capture.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

static void begin(nsp_collector_mode collector)
{
    nsp_config config;
    capture_config(&config);
    config.collector = collector;
    capture_start(&config);
}

// Publishes one rule with this rate, and nothing else. Returns the policy's generation.
static uint32_t publish_alone(const char *pattern, double rate)
{
    nsp__control *control = nsp__trace_state.control;
    uint32_t generation = control->policy_generation + 1;
    nsp__policy *policy = &control->policies[generation & 1];
    memcpy(policy, &control->policies[control->policy_generation & 1], sizeof *policy);
    memset(policy->classes, 0, sizeof policy->classes);
    policy->rules = 1;
    policy->thresholds[1] = nsp__threshold_from_rate(rate);
    strncpy(policy->patterns[1], pattern, sizeof policy->patterns[1] - 1);
    policy->checksum = nsp__sampler_checksum(policy);
    nsp__tuning *tuning = &control->tunings[generation & 1];
    memcpy(tuning, &control->tunings[control->policy_generation & 1], sizeof *tuning);
    for (int i = 0; i < 2; i++) {
        tuning->thresholds[i] = policy->thresholds[i];
        tuning->inverse_logs[i] = nsp__random_inverse_log(policy->thresholds[i]);
    }
    __atomic_store_n(&control->policy_generation, generation, __ATOMIC_SEQ_CST);
    return generation;
}

static bool recorded(const char *name)
{
    nsp_span *root = nsp_span_begin(nsp_intern(name, strlen(name)));
    bool recording = nsp_span_recording(root);
    nsp_span_end(root);
    return recording;
}

// Lets whoever drains pass until this thread's slot has been told.
static bool told(uint32_t generation, nsp_collector_mode collector)
{
    const uint32_t *number = &nsp__producer_self()->slot->skips.generation;
    for (int tries = 0; tries < 10000; tries++) {
        if (__atomic_load_n(number, __ATOMIC_ACQUIRE) == generation)
            return true;
        if (collector == NSP_COLLECTOR_INVOKER)
            nsp_do_work(SIZE_MAX);
        else
            nsp_flush(60000000000u);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

static void check(nsp_collector_mode collector)
{
    begin(collector);
    assert_true(recorded("left.alone") && recorded("other"));
    uint32_t generation = publish_alone("left.*", 0);
    assert_true(told(generation, collector));
    // The slot is told first; a class follows within the same pass, which a flush or a call waits for.
    if (collector == NSP_COLLECTOR_INVOKER)
        nsp_do_work(SIZE_MAX);
    else
        capture_settle();
    assert_false(recorded("left.alone") || recorded("left.new"));
    assert_true(recorded("other"));
    assert_int_equal(capture_balance().roots_unsampled, 2);
    nsp_thread_reset();
    capture_end();
}

static void a_collector_thread_follows_up(void **state)
{
    (void)state;
    check(NSP_COLLECTOR_THREAD);
}

static void an_invoker_follows_up(void **state)
{
    (void)state;
    check(NSP_COLLECTOR_INVOKER);
}

#ifdef NSP_TESTPOINTS
// In the middle of the follow-up, another policy is published and told.
static void publish_another(const char *point)
{
    static bool done;
    if (strcmp(point, "policy: slots told") != 0 || done)
        return;
    done = true;
    publish_alone("left.*", 1);
}

static void a_follow_up_that_is_overtaken_tells_the_last_policy(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_INVOKER);
    assert_true(recorded("left.alone"));
    publish_alone("left.*", 0);
    __atomic_store_n(&nsp__testpoint_hook, publish_another, __ATOMIC_RELEASE);
    nsp__sampler_follow_up();
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(nsp__producer_self()->slot->skips.generation,
                     nsp__trace_state.control->policy_generation);
    assert_true(recorded("left.alone"));
    nsp_thread_reset();
    capture_end();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_collector_thread_follows_up, capture_teardown),
        cmocka_unit_test_teardown(an_invoker_follows_up, capture_teardown),
#ifdef NSP_TESTPOINTS
        cmocka_unit_test_teardown(a_follow_up_that_is_overtaken_tells_the_last_policy, capture_teardown),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
