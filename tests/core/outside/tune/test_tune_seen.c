// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Who has set what of an engine's sampler, as the engine and others see it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/inspect.h>

#include "support/capture.h"
#include "support/child.h"
#include "support/tuned_engine.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

static const nsp__tuning *tuning_now(void)
{
    const nsp__control *control = nsp__trace_state.control;
    return &control->tunings[control->policy_generation & 1];
}

static void it_is_known_who_has_set_what(void **state)
{
    (void)state;
    char line[80];
    tuned_begin(NSP_COLLECTOR_THREAD);
    capture_settle(); // what was there at the first pass is no change
    assert_int_equal(tuning_now()->sources[0], NSP_SAMPLER_DEFAULT);
    assert_int_equal(nsp_sampler_set_rule("code", 0.5), NSP_OK);
    tuned_logged("sampling changed: rule code 0.5 added");
    pid_t child = child_fork();
    if (child == 0) {
        nsp_tune *tune;
        CHILD_CHECK(nsp_tune_open(&tune, tuned_directory, NULL, 0) == NSP_OK);
        CHILD_CHECK(tuned_set_rule(tune, "tune", 0.5) == NSP_OK);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    const nsp__tuning *tuning = tuning_now();
    assert_int_equal(tuning->sources[0], NSP_SAMPLER_DEFAULT);
    assert_int_equal(tuning->sources[1], NSP_SAMPLER_CODE);
    assert_int_equal(tuning->sources[2], NSP_SAMPLER_TUNE);
    assert_int_equal(tuning->source, NSP_SAMPLER_TUNE);
    assert_int_equal(tuning->pid, child);
    assert_true(tuning->unix_ns > nsp__trace_state.control->start_unix_ns);
    // program_invocation_short_name is what the child had from us.
    snprintf(line, sizeof line, "sampling changed by process %d (%s): rule tune 0.5 added", (int)child,
             program_invocation_short_name);
    tuned_logged(line);
    assert_int_equal(nsp_sampler_remove_rule("code"), NSP_OK); // the others move up
    assert_int_equal(tuning_now()->sources[1], NSP_SAMPLER_TUNE);
    assert_int_equal(tuning_now()->source, NSP_SAMPLER_CODE);
    tuned_end();
}

// ---- what others see of it ----

typedef struct seen_sampler {
    bool found;
    nsp_sampler_source source, changed_by;
    double rate;
    nsp_session_rule rules[4];
    size_t rule_count;
    uint32_t pid;
    uint64_t unix_ns;
    char process[64];
} seen_sampler;

static bool look_at_sampler(void *argument, const nsp_session *session)
{
    seen_sampler *seen = argument;
    if (strcmp(session->directory, tuned_directory) != 0)
        return true;
    assert_null(session->problem);
    *seen = (seen_sampler){.found = true,
                           .source = session->rate_source,
                           .changed_by = session->changed_by,
                           .rate = session->rate,
                           .rule_count = session->rule_count,
                           .pid = session->changed_pid,
                           .unix_ns = session->changed_unix_ns};
    snprintf(seen->process, sizeof seen->process, "%s", session->changed_process);
    for (size_t i = 0; i < session->rule_count; i++)
        seen->rules[i] = session->rules[i];
    return false;
}

static seen_sampler seen_now(void)
{
    seen_sampler seen = {.found = false};
    char folder[sizeof tuned_directory];
    snprintf(folder, sizeof folder, "%s", tuned_directory);
    *strstr(folder, "/nanospan-") = 0;
    assert_int_equal(nsp_sessions_each(folder, look_at_sampler, &seen), NSP_OK);
    assert_true(seen.found);
    return seen;
}

static void check_start(const char *variable, const char *text, double in_code, nsp_sampler_source source)
{
    nsp_config config;
    if (variable != NULL)
        setenv(variable, text, 1);
    capture_config(&config);
    if (in_code >= 0)
        config.sample_rate = in_code;
    tuned_begin_with(&config);
    seen_sampler seen = seen_now();
    assert_int_equal(seen.source, source);
    assert_int_equal(seen.changed_by, source);
    assert_int_equal(seen.pid, getpid());
    assert_string_equal(seen.process, program_invocation_short_name);
    tuned_end();
    if (variable != NULL)
        unsetenv(variable);
}

static void what_was_set_at_the_start_is_told_apart(void **state)
{
    (void)state;
    unsetenv("TRACE_SAMPLE_RATE");
    unsetenv("OTEL_TRACES_SAMPLER");
    check_start(NULL, NULL, -1, NSP_SAMPLER_DEFAULT);
    check_start("TRACE_SAMPLE_RATE", "0.5", -1, NSP_SAMPLER_ENVIRONMENT);
    check_start("TRACE_SAMPLE_RATE", "1", -1, NSP_SAMPLER_ENVIRONMENT);
    check_start("TRACE_SAMPLE_RATE", "ten", -1, NSP_SAMPLER_DEFAULT); // not accepted
    check_start("TRACE_SAMPLE_RATE", "0.5", 0.25, NSP_SAMPLER_CODE);
    check_start("OTEL_TRACES_SAMPLER", "always_off", -1, NSP_SAMPLER_ENVIRONMENT);
    check_start("OTEL_TRACES_SAMPLER_ARG", "1.0", -1, NSP_SAMPLER_DEFAULT); // alone it sets nothing
    check_start(NULL, NULL, 0.5, NSP_SAMPLER_CODE);
}

static void others_see_who_has_set_what(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_INVOKER); // no other thread looks while this one writes
    const uint64_t started = nsp__trace_state.control->start_unix_ns;
    assert_int_equal(nsp_sampler_set_rule("code", 0.5), NSP_OK);
    seen_sampler seen = seen_now();
    assert_int_equal(seen.changed_by, NSP_SAMPLER_CODE);
    nsp_tune *tune = tuned_open();
    const nsp_tune_change changes[] = {{.kind = NSP_TUNE_RATE, .value = 0.25}, tuned_rule("tune", 0.5)};
    assert_int_equal(nsp_tune_apply(tune, changes, 2, NULL), NSP_OK);
    seen = seen_now();
    assert_int_equal(seen.source, NSP_SAMPLER_TUNE);
    assert_true(seen.rate == 0.25);
    assert_int_equal(seen.rule_count, 2);
    assert_string_equal(seen.rules[0].pattern, "code");
    assert_int_equal(seen.rules[0].source, NSP_SAMPLER_CODE);
    assert_int_equal(seen.rules[1].source, NSP_SAMPLER_TUNE);
    assert_int_equal(seen.changed_by, NSP_SAMPLER_TUNE);
    assert_int_equal(seen.pid, getpid());
    assert_true(seen.unix_ns >= started);
    // An engine that has ended leaves it where it is looked for.
    nsp__control *control = nsp__trace_state.control;
    const uint32_t generation = control->policy_generation;
    assert_int_equal(generation & 1, 1);
    nsp__sampler_end(control);
    seen = seen_now();
    assert_int_equal(seen.changed_by, NSP_SAMPLER_TUNE);
    assert_int_equal(seen.rules[1].source, NSP_SAMPLER_TUNE);
    __atomic_store_n(&control->policy_generation, generation, __ATOMIC_RELEASE);
    nsp_tune_close(tune);
    tuned_end();
}

static bool look(void *seen, const nsp_session *session)
{
    if (strcmp(session->directory, tuned_directory) != 0)
        return true; // of another engine on this machine
    *(double *)seen = session->problem == NULL ? session->rate : -1;
    return false;
}

// An engine ends while a writer is at work in one of the two places: a reader takes the other one.
static void an_end_in_the_middle_of_a_change_leaves_a_policy(void **state)
{
    (void)state;
    double rate = -2;
    tuned_begin(NSP_COLLECTOR_INVOKER); // no other thread looks while this one writes
    nsp__control *control = nsp__trace_state.control;
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(0.25), NSP_OK);
    uint32_t generation = control->policy_generation;
    assert_int_equal(generation & 1, 1);
    __atomic_fetch_xor(&control->policies[0].checksum, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&control->policy_generation, 0, __ATOMIC_RELEASE);
    char folder[sizeof tuned_directory];
    snprintf(folder, sizeof folder, "%s", tuned_directory);
    *strstr(folder, "/nanospan-") = 0;
    assert_int_equal(nsp_sessions_each(folder, look, &rate), NSP_OK);
    __atomic_store_n(&control->policy_generation, generation, __ATOMIC_RELEASE);
    assert_true(rate == 0.25);
    tuned_end();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, capture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_known_who_has_set_what),
        TEST(what_was_set_at_the_start_is_told_apart),
        TEST(others_see_who_has_set_what),
        TEST(an_end_in_the_middle_of_a_change_leaves_a_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
