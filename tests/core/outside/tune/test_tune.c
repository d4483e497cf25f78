// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// The sampler of an engine, changed by other processes: at their next roots the engine's threads obey. The engine is
// this process; whoever tunes it works on its files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nanospan/drainer.h>
#include <nanospan/inspect.h>
#include <nanospan/tune.h>

#include "base/testpoint.h"
#include "common/time.h"
#include "drain/notices.h"
#include "support/capture.h"
#include "support/child.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

static char directory[sizeof((nsp__session *)NULL)->directory];
static nsp_collector_mode collector;

static void begin(nsp_collector_mode mode)
{
    nsp_config config;
    capture_config(&config);
    config.collector = collector = mode;
    nsp_thread_reset();
    capture_start(&config);
    snprintf(directory, sizeof directory, "%s", nsp__trace_state.session->directory);
}

static void end(void)
{
    nsp_thread_reset();
    if (collector == NSP_COLLECTOR_INVOKER)
        nsp_do_work(SIZE_MAX);
    capture_end();
}

static nsp_tune *opened(void)
{
    nsp_tune *tune;
    char problem[200];
    nsp_status status = nsp_tune_open(&tune, directory, problem, sizeof problem);
    if (status != NSP_OK)
        fail_msg("%s: %s", nsp_status_str(status), problem);
    return tune;
}

static nsp_status set_rate(nsp_tune *tune, double rate)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_RATE, .value = rate};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

static nsp_status set_rule(nsp_tune *tune, const char *pattern, double rate)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_RULE, .pattern = pattern, .value = rate};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

static nsp_status remove_rule(nsp_tune *tune, const char *pattern)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_REMOVE_RULE, .pattern = pattern};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

static nsp_status set_parent_policy(nsp_tune *tune, nsp_parent_policy policy)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_PARENT_POLICY, .parent_policy = policy};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

static bool recorded(const char *name)
{
    nsp_span *root = nsp_span_begin(nsp_intern(name, strlen(name)));
    bool recording = nsp_span_recording(root);
    nsp_span_end(root);
    return recording;
}

// ---- what a change does ----

static void check_changes(nsp_collector_mode mode)
{
    begin(mode);
    assert_true(recorded("order.new") && recorded("tick"));
    nsp_tune *tune = opened();
    assert_int_equal(set_rule(tune, "order.*", 0), NSP_OK);
    assert_false(recorded("order.new") || recorded("order.cancel"));
    assert_true(recorded("tick"));
    assert_int_equal(set_rate(tune, 0), NSP_OK);
    assert_true(nsp_sampler_rate() == 0);
    assert_false(recorded("tick"));
    assert_int_equal(set_rule(tune, "order.*", 1), NSP_OK);
    assert_true(recorded("order.new") && recorded("order.cancel"));
    assert_int_equal(remove_rule(tune, "order.*"), NSP_OK);
    assert_false(recorded("order.new") || recorded("order.cancel"));
    assert_int_equal(set_parent_policy(tune, NSP_PARENT_DECIDE), NSP_OK);
    recorded("tick");
    assert_int_equal(nsp__producer_self()->parent_policy, NSP_PARENT_DECIDE);
    // The engine goes on from there.
    assert_int_equal(nsp_sampler_set_rule("tick", 1), NSP_OK);
    assert_int_equal(set_rate(tune, 0.25), NSP_OK);
    assert_true(nsp_sampler_rate() == 0.25);
    assert_true(recorded("tick"));
    nsp_tune_close(tune);
    end();
}

static void an_engine_with_a_collector_obeys(void **state)
{
    (void)state;
    check_changes(NSP_COLLECTOR_THREAD);
}

static void an_engine_with_an_invoker_obeys(void **state)
{
    (void)state;
    check_changes(NSP_COLLECTOR_INVOKER);
}

// Waits until whoever drains has logged a line with this text, and returns it.
static const char *logged(const char *text)
{
    for (int tries = 0; capture_lines_with(text) == 0; tries++) {
        assert_true(tries < 10000);
        capture_settle();
    }
    for (size_t i = capture_lines(); i-- > 0;)
        if (strstr(capture_line(i), text) != NULL)
            return capture_line(i);
    return NULL;
}

static const nsp__tuning *tuning_now(void)
{
    const nsp__control *control = nsp__trace_state.control;
    return &control->tunings[control->policy_generation & 1];
}

static void it_is_known_who_has_set_what(void **state)
{
    (void)state;
    char line[80];
    begin(NSP_COLLECTOR_THREAD);
    capture_settle(); // what was there at the first pass is no change
    assert_int_equal(tuning_now()->sources[0], NSP_SAMPLER_DEFAULT);
    assert_int_equal(nsp_sampler_set_rule("code", 0.5), NSP_OK);
    logged("sampling changed: rule code 0.5 added");
    pid_t child = child_fork();
    if (child == 0) {
        nsp_tune *tune;
        CHILD_CHECK(nsp_tune_open(&tune, directory, NULL, 0) == NSP_OK);
        CHILD_CHECK(set_rule(tune, "tune", 0.5) == NSP_OK);
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
    logged(line);
    assert_int_equal(nsp_sampler_remove_rule("code"), NSP_OK); // the others move up
    assert_int_equal(tuning_now()->sources[1], NSP_SAMPLER_TUNE);
    assert_int_equal(tuning_now()->source, NSP_SAMPLER_CODE);
    end();
}

static void what_cannot_be_done_changes_nothing(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_INVOKER); // no other thread looks while this one writes
    nsp_tune *tune = opened(), *none;
    char problem[200];
    uint32_t generation = nsp__trace_state.control->policy_generation;
    assert_int_equal(set_rate(tune, 1.5), NSP_ERR_INVALID);
    assert_int_equal(set_rule(tune, "", 0.5), NSP_ERR_INVALID);
    assert_int_equal(set_rule(tune, "x", -1), NSP_ERR_INVALID);
    assert_int_equal(remove_rule(tune, "x"), NSP_ERR_NOT_FOUND);
    assert_int_equal(set_parent_policy(tune, (nsp_parent_policy)7), NSP_ERR_INVALID);
    assert_int_equal(nsp_tune_open(&none, "/nowhere/name.1.00000001", problem, sizeof problem),
                     NSP_ERR_NOT_FOUND);
    assert_null(none);
    assert_true(problem[0] != 0);

    // Of another version: its writers leave something else beside a policy.
    nsp__section *section = nsp__trace_state.control->sections;
    while (section->kind != (NSP__SECTION_TUNING | NSP__SECTION_OPTIONAL))
        section++;
    section->version++;
    assert_int_equal(nsp_tune_open(&none, directory, problem, sizeof problem), NSP_ERR_UNSUPPORTED);
    assert_non_null(strstr(problem, "another version"));
    section->version--;

    // Torn, as by somebody who writes without the lock.
    uint64_t *checksum = &nsp__trace_state.control->policies[generation & 1].checksum;
    __atomic_fetch_xor(checksum, 1, __ATOMIC_RELAXED); // whoever drains reads it
    assert_int_equal(set_rate(tune, 0), NSP_ERR_DAMAGED);
    __atomic_fetch_xor(checksum, 1, __ATOMIC_RELAXED);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_true(recorded("root"));
    end();
    assert_int_equal(set_rate(tune, 0), NSP_ERR_NOT_INITIALISED);
    nsp_tune_close(tune);
}

// ---- several changes at once ----

static nsp_tune_change rule(const char *pattern, double rate)
{
    return (nsp_tune_change){.kind = NSP_TUNE_RULE, .pattern = pattern, .value = rate};
}

static void several_changes_are_one(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_THREAD);
    assert_int_equal(nsp_sampler_set_rule("old", 1), NSP_OK);
    nsp_tune *tune = opened();
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    const nsp_tune_change changes[] = {
        {.kind = NSP_TUNE_REMOVE_RULE, .pattern = "old"},
        {.kind = NSP_TUNE_RATE, .value = 0},
        rule("in", 1),
        rule("out", 1),
        rule("out", 0), // after the one before it
        {.kind = NSP_TUNE_PARENT_POLICY, .parent_policy = NSP_PARENT_DECIDE},
    };
    size_t failed = 77;
    const size_t count = sizeof changes / sizeof changes[0];
    assert_int_equal(nsp_tune_apply(tune, changes, count, &failed), NSP_OK);
    assert_int_equal(failed, count);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation + 1);
    assert_true(recorded("in"));
    assert_false(recorded("out") || recorded("old") || recorded("other"));
    assert_int_equal(nsp__producer_self()->parent_policy, NSP_PARENT_DECIDE);
    nsp_tune_close(tune);
    end();
}

static void one_that_cannot_be_made_undoes_the_others(void **state)
{
    (void)state;
    static char patterns[NSP_SAMPLER_RULES_MAX + 1][16];
    nsp_tune_change many[NSP_SAMPLER_RULES_MAX + 1];
    for (size_t i = 0; i <= NSP_SAMPLER_RULES_MAX; i++) {
        snprintf(patterns[i], sizeof patterns[i], "rule.%zu", i);
        many[i] = rule(patterns[i], 0);
    }
    begin(NSP_COLLECTOR_THREAD);
    nsp_tune *tune = opened();
    const uint32_t generation = nsp__trace_state.control->policy_generation;
    const nsp_tune_change off = {.kind = NSP_TUNE_RATE, .value = 0};
    const struct {
        nsp_tune_change second;
        nsp_status status;
    } cases[] = {
        {{.kind = NSP_TUNE_REMOVE_RULE, .pattern = "x"}, NSP_ERR_NOT_FOUND},
        {{.kind = NSP_TUNE_REMOVE_RULE}, NSP_ERR_INVALID},
        {{.kind = NSP_TUNE_RATE, .value = 2}, NSP_ERR_INVALID},
        {{.kind = NSP_TUNE_RULE, .value = 1}, NSP_ERR_INVALID},
        {{.kind = NSP_TUNE_LIMIT, .value = -1}, NSP_ERR_INVALID},
        {{.kind = (nsp_tune_kind)99}, NSP_ERR_INVALID},
    };
    size_t failed;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nsp_tune_change changes[] = {off, cases[i].second, off};
        failed = 77;
        assert_int_equal(nsp_tune_apply(tune, changes, 3, &failed), cases[i].status);
        assert_int_equal(failed, 1);
    }
    assert_int_equal(nsp_tune_apply(tune, many, NSP_SAMPLER_RULES_MAX + 1, &failed), NSP_ERR_FULL);
    assert_int_equal(failed, NSP_SAMPLER_RULES_MAX);
    assert_int_equal(nsp_tune_apply(tune, many, 0, &failed), NSP_ERR_INVALID);
    assert_int_equal(nsp_tune_apply(tune, NULL, 1, &failed), NSP_ERR_INVALID);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_true(recorded("root") && recorded("rule.0"));
    assert_int_equal(nsp_tune_apply(tune, many, NSP_SAMPLER_RULES_MAX, NULL), NSP_OK);
    assert_false(recorded("rule.0") || recorded("rule.62"));
    nsp_tune_close(tune);
    end();
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
    if (strcmp(session->directory, directory) != 0)
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
    char folder[sizeof directory];
    snprintf(folder, sizeof folder, "%s", directory);
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
    nsp_thread_reset();
    capture_start(&config);
    snprintf(directory, sizeof directory, "%s", nsp__trace_state.session->directory);
    seen_sampler seen = seen_now();
    assert_int_equal(seen.source, source);
    assert_int_equal(seen.changed_by, source);
    assert_int_equal(seen.pid, getpid());
    assert_string_equal(seen.process, program_invocation_short_name);
    end();
    if (variable != NULL)
        unsetenv(variable);
}

static void what_was_set_at_the_start_is_told_apart(void **state)
{
    (void)state;
    collector = NSP_COLLECTOR_THREAD;
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
    begin(NSP_COLLECTOR_INVOKER); // no other thread looks while this one writes
    const uint64_t started = nsp__trace_state.control->start_unix_ns;
    assert_int_equal(nsp_sampler_set_rule("code", 0.5), NSP_OK);
    seen_sampler seen = seen_now();
    assert_int_equal(seen.changed_by, NSP_SAMPLER_CODE);
    nsp_tune *tune = opened();
    const nsp_tune_change changes[] = {{.kind = NSP_TUNE_RATE, .value = 0.25}, rule("tune", 0.5)};
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
    end();
}

// ---- the log ----

static void of_many_changes_the_last_is_logged(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_EXTERNAL);
    const nsp__policy_place place = nsp__policy_place_of(nsp__trace_state.control);
    nsp__known *known = calloc(1, sizeof *known);
    nsp__notices notices = {0};
    nsp_tune *tune = opened();
    assert_non_null(known);
    nsp__notices_begin(known);
    assert_true(nsp__notices_policy(&notices, known, &place)); // what was there is no change
    for (int i = 1; i <= NSP__LOG_LIMIT_BURST; i++) {
        assert_int_equal(set_rate(tune, 1.0 / (1 << i)), NSP_OK);
        assert_true(nsp__notices_policy(&notices, known, &place));
        assert_true(nsp__notices_take(&notices).policy.what[0] != 0);
    }
    // These come too fast. They are followed up, and said later, in one line.
    known->lines.filled_ns = nsp__monotonic_ns() + 3600 * NSP__SECOND;
    assert_int_equal(set_rate(tune, 1), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_int_equal(set_rule(tune, "late", 0.5), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_false(nsp__notices_policy(&notices, known, &place));
    assert_false(notices.any);
    known->lines.filled_ns = nsp__monotonic_ns() - NSP__LOG_LIMIT_REFILL_NS;
    assert_false(nsp__notices_policy(&notices, known, &place)); // nothing is new
    assert_string_equal(notices.policy.what, "rate 0.03125 -> 1, rule late 0.5 added");
    assert_int_equal(notices.policy.pid, getpid());
    // One that nobody has taken yet is not lost when there is another one, nor is that.
    known->lines.tokens = 1;
    assert_int_equal(set_rate(tune, 0.5), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_string_equal(nsp__notices_take(&notices).policy.what, "rate 0.03125 -> 1, rule late 0.5 added");
    assert_false(nsp__notices_policy(&notices, known, &place));
    assert_string_equal(nsp__notices_take(&notices).policy.what, "rate 1 -> 0.5");
    // Only 1 is said to be 1.
    known->lines.tokens = 1;
    assert_int_equal(set_rate(tune, 0.99999), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_string_equal(notices.policy.what, "rate 0.5 -> 0.99998");
    nsp_tune_close(tune);
    free(known);
    end();
}

static void a_change_is_logged_in_one_line(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_THREAD);
    capture_settle(); // what was there at the first pass is no change
    nsp_tune *tune = opened();
    char by[120], expected[400];
    snprintf(by, sizeof by, "sampling changed by process %d (%s): ", (int)getpid(),
             program_invocation_short_name);
    const nsp_tune_change first[] = {
        {.kind = NSP_TUNE_RATE, .value = 0.5},
        rule("a", 0.25),
        rule("b\n\033[2J", 1),
        {.kind = NSP_TUNE_PARENT_POLICY, .parent_policy = NSP_PARENT_DECIDE},
        {.kind = NSP_TUNE_LIMIT, .value = 500},
    };
    assert_int_equal(nsp_tune_apply(tune, first, 5, NULL), NSP_OK);
    snprintf(expected, sizeof expected,
             "%srate 1 -> 0.5, limit none -> 500/s, rule a 0.25 added, rule b\\n\\x1b[2J 1 added, remote "
             "parents follow -> decide",
             by);
    assert_string_equal(logged("rate 1 -> 0.5"), expected);

    // What is as it was is not said, and of rules that only move, that they do.
    const size_t lines = capture_lines();
    assert_int_equal(set_rate(tune, 0.5), NSP_OK);
    const nsp_tune_change second[] = {
        {.kind = NSP_TUNE_REMOVE_RULE, .pattern = "a"},
        rule("a", 0.25),
        rule("b\n\033[2J", 0.125),
    };
    assert_int_equal(nsp_tune_apply(tune, second, 3, NULL), NSP_OK);
    snprintf(expected, sizeof expected, "%srule b\\n\\x1b[2J 1 -> 0.125, rules in another order", by);
    assert_string_equal(logged("in another order"), expected);
    assert_int_equal(capture_lines(), lines + 1);

    // However many they are, and however long, the line is short, and says so.
    static char patterns[60][NSP_SAMPLER_PATTERN_MAX + 1];
    nsp_tune_change third[60];
    for (int i = 0; i < 60; i++) {
        memset(patterns[i], 1, sizeof patterns[i] - 1);
        patterns[i][0] = (char)('0' + i);
        third[i] = rule(patterns[i], 0);
    }
    assert_int_equal(nsp_tune_apply(tune, third, 60, NULL), NSP_OK);
    const char *line = logged(" more");
    assert_true(strlen(line) < 640);
    unsigned left_out = 0, shown = 0;
    for (const char *at = line; (at = strstr(at, " added")) != NULL; at++)
        shown++;
    assert_int_equal(sscanf(strstr(line, " and "), " and %u more", &left_out), 1);
    assert_true(shown > 0);
    assert_int_equal(shown + left_out, 60);
    nsp_tune_close(tune);
    end();
}

static bool look(void *seen, const nsp_session *session)
{
    if (strcmp(session->directory, directory) != 0)
        return true; // of another engine on this machine
    *(double *)seen = session->problem == NULL ? session->rate : -1;
    return false;
}

// An engine ends while a writer is at work in one of the two places: a reader takes the other one.
static void an_end_in_the_middle_of_a_change_leaves_a_policy(void **state)
{
    (void)state;
    double rate = -2;
    begin(NSP_COLLECTOR_INVOKER); // no other thread looks while this one writes
    nsp__control *control = nsp__trace_state.control;
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(0.25), NSP_OK);
    uint32_t generation = control->policy_generation;
    assert_int_equal(generation & 1, 1);
    __atomic_fetch_xor(&control->policies[0].checksum, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&control->policy_generation, 0, __ATOMIC_RELEASE);
    char folder[sizeof directory];
    snprintf(folder, sizeof folder, "%s", directory);
    *strstr(folder, "/nanospan-") = 0;
    assert_int_equal(nsp_sessions_each(folder, look, &rate), NSP_OK);
    __atomic_store_n(&control->policy_generation, generation, __ATOMIC_RELEASE);
    assert_true(rate == 0.25);
    end();
}

// ---- several at once ----

// For what a busy machine makes another writer wait for too long.
static nsp_status set_rule_patiently(nsp_tune *tune, const char *pattern, double rate)
{
    nsp_status status = NSP_ERR_TIMEOUT;
    for (int tries = 0; status == NSP_ERR_TIMEOUT && tries < 1000; tries++)
        status = set_rule(tune, pattern, rate);
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
    CHILD_CHECK(nsp_tune_open(&tune, directory, NULL, 0) == NSP_OK);
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
        recorded(name);
        sched_yield();
    }
    return NULL;
}

static void several_writers_and_new_names_lose_nothing(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_THREAD);
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
        assert_false(recorded(name));
    }
    const nsp__control *control = nsp__trace_state.control;
    const nsp__policy *policy = &control->policies[control->policy_generation & 1];
    assert_int_equal(policy->rules, WRITERS * 4);
    assert_int_equal(policy->checksum, nsp__sampler_checksum(policy));
    for (int i = 0; i < WRITERS; i++)
        for (int k = CHANGES - 2; k <= CHANGES; k++) { // the last change of each
            snprintf(name, sizeof name, "writer.%d.%d", i, k % 3);
            assert_int_equal(recorded(name), k % 2);
        }
    end();
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
    begin(NSP_COLLECTOR_INVOKER); // nobody passes
    nsp_tune *tune = opened();
    __atomic_store_n(&nsp__testpoint_hook, intern_now, __ATOMIC_RELEASE);
    nsp_status status = set_rule(tune, "late.*", 0);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(status, NSP_OK);
    assert_false(recorded("late.name"));
    nsp_tune_close(tune);
    end();
}

// ---- killed in the middle ----

static const char *last_point;

static void die_there(const char *point)
{
    if (strcmp(point, last_point) == 0)
        raise(SIGKILL);
}

static void kill_writer_at(const char *point)
{
    pid_t child = child_fork();
    if (child == 0) {
        nsp_tune *tune;
        last_point = point;
        CHILD_CHECK(nsp_tune_open(&tune, directory, NULL, 0) == NSP_OK);
        __atomic_store_n(&nsp__testpoint_hook, die_there, __ATOMIC_RELEASE);
        set_rule(tune, "killed.*", 0);
        _exit(7); // it was to die before
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (!WIFSIGNALED(how))
        fail_msg("the writer did not come to \"%s\"", point);
}

// ---- stopped in the middle ----

static void stop_there(const char *point)
{
    if (strcmp(point, last_point) == 0)
        raise(SIGSTOP);
}

// A tuner stands still before its policy is in force. Another one gives up, the engine ends without waiting, and the
// tuner that goes on then finds that out, and has changed nothing.
static void a_stopped_tuner_holds_up_nobody_that_ends(void **state)
{
    (void)state;
    begin(NSP_COLLECTOR_THREAD);
    pid_t child = child_fork();
    if (child == 0) {
        nsp_tune *tune;
        last_point = "policy: before it is published";
        CHILD_CHECK(nsp_tune_open(&tune, directory, NULL, 0) == NSP_OK);
        __atomic_store_n(&nsp__testpoint_hook, stop_there, __ATOMIC_RELEASE);
        CHILD_CHECK(set_rate(tune, 0) == NSP_ERR_NOT_INITIALISED);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    assert_true(WIFSTOPPED(how));
    nsp_tune *tune = opened();
    size_t failed = 77;
    const nsp_tune_change change = rule("x", 0);
    assert_int_equal(nsp_tune_apply(tune, &change, 1, &failed), NSP_ERR_TIMEOUT);
    assert_int_equal(failed, 1);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_ERR_TIMEOUT);
    nsp_tune_close(tune);
    assert_true(recorded("root"));
    end();
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
    begin(NSP_COLLECTOR_EXTERNAL);
    assert_true(recorded("killed.before") && recorded("other"));
    kill_writer_at("tune: published");
    assert_true(recorded("killed.before")); // nobody has told this thread
    capture_config(&config);
    options.exporter = config.custom_exporter;
    options.config = &config;
    assert_int_equal(nsp_drainer_open(&outside.drainer, &options), NSP_OK);
    assert_int_equal(nsp_drainer_add(outside.drainer, directory, NULL, 0), NSP_OK);
    outside.stop = false;
    assert_int_equal(pthread_create(&thread, NULL, drain, NULL), 0);
    for (int tries = 0; recorded("killed.before") || recorded("killed.after"); tries++) {
        assert_true(tries < 100000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(recorded("other"));
    nsp_tune *tune = opened(); // what was changed before somebody drained is not said
    assert_int_equal(set_rule(tune, "killed.*", 1), NSP_OK);
    nsp_tune_close(tune);
    snprintf(line, sizeof line, "test (pid %d): sampling changed by process %d (%s): rule killed.* 0 -> 1",
             (int)getpid(), (int)getpid(), program_invocation_short_name);
    for (int tries = 0; capture_lines_with(line) == 0; tries++) {
        assert_true(tries < 100000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    end();
    __atomic_store_n(&outside.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    nsp_drainer_close(outside.drainer, 0);
}

// Lets the collector pass until this thread was told of the policy in force.
static void pass(void)
{
    const uint32_t *told = &nsp__producer_self()->slot->skips.generation;
    int tries = 0;
    do {
        capture_settle();
        assert_true(++tries < 10000);
    } while (__atomic_load_n(told, __ATOMIC_ACQUIRE) != nsp__trace_state.control->policy_generation);
    capture_settle();
}

static void a_writer_that_is_killed_leaves_the_old_or_the_new_policy(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        bool changed;
    } cases[] = {
        {"policy: without its classes", false},
        {"policy: before it is published", false},
        {"tune: published", true},
        {"tune: slots told", true},
        {"policy: a name has its class", true},
        {"tune: names replayed", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(NSP_COLLECTOR_THREAD);
        assert_true(recorded("killed.before") && recorded("other"));
        kill_writer_at(cases[i].point);
        assert_true(recorded("other"));
        pass();
        assert_int_equal(recorded("killed.before"), !cases[i].changed);
        assert_int_equal(recorded("killed.after"), !cases[i].changed);
        assert_true(recorded("other"));
        nsp_tune *tune = opened(); // its lock went with it
        assert_int_equal(set_rule(tune, "killed.*", 1), NSP_OK);
        assert_true(recorded("killed.before") && recorded("killed.after"));
        nsp_tune_close(tune);
        end();
    }
}
#endif

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, capture_teardown)
    const struct CMUnitTest tests[] = {
        // These come first: of many changes, not all are logged.
        TEST(a_change_is_logged_in_one_line),
        TEST(of_many_changes_the_last_is_logged),
        TEST(it_is_known_who_has_set_what),
        TEST(an_engine_with_a_collector_obeys),
        TEST(an_engine_with_an_invoker_obeys),
        TEST(what_cannot_be_done_changes_nothing),
        TEST(several_changes_are_one),
        TEST(one_that_cannot_be_made_undoes_the_others),
        TEST(what_was_set_at_the_start_is_told_apart),
        TEST(others_see_who_has_set_what),
        TEST(an_end_in_the_middle_of_a_change_leaves_a_policy),
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
