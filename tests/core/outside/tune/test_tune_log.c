// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// What whoever drains logs about changes of the sampler.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"
#include "drain/notices.h"
#include "lifecycle/state.h"
#include "outside/drainer/drainer_state.h"
#include "support/capture.h"
#include "support/drained.h"
#include "support/tuned_engine.h"
#include "trace/trace_state.h"

static void of_many_changes_the_last_is_logged(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_EXTERNAL);
    const nsp__policy_place place = nsp__policy_place_of(nsp__trace_state.control);
    nsp__known *known = calloc(1, sizeof *known);
    nsp__notices notices = {0};
    nsp_tune *tune = tuned_open();
    assert_non_null(known);
    nsp__notices_begin(known);
    assert_true(nsp__notices_policy(&notices, known, &place)); // what was there is no change
    for (int i = 1; i <= NSP__LOG_LIMIT_BURST; i++) {
        assert_int_equal(tuned_set_rate(tune, 1.0 / (1 << i)), NSP_OK);
        assert_true(nsp__notices_policy(&notices, known, &place));
        assert_true(nsp__notices_take(&notices).policy.what[0] != 0);
    }
    // These come too fast. They are followed up, and said later, in one line.
    known->lines.filled_ns = nsp__monotonic_ns() + 3600 * NSP__SECOND;
    assert_int_equal(tuned_set_rate(tune, 1), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_int_equal(tuned_set_rule(tune, "late", 0.5), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_false(nsp__notices_policy(&notices, known, &place));
    assert_false(notices.any);
    known->lines.filled_ns = nsp__monotonic_ns() - NSP__LOG_LIMIT_REFILL_NS;
    assert_false(nsp__notices_policy(&notices, known, &place)); // nothing is new
    assert_string_equal(notices.policy.what, "rate 0.03125 -> 1, rule late 0.5 added");
    assert_int_equal(notices.policy.pid, getpid());
    // One that nobody has taken yet is not lost when there is another one, nor is that.
    known->lines.tokens = 1;
    assert_int_equal(tuned_set_rate(tune, 0.5), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_string_equal(nsp__notices_take(&notices).policy.what, "rate 0.03125 -> 1, rule late 0.5 added");
    assert_false(nsp__notices_policy(&notices, known, &place));
    assert_string_equal(nsp__notices_take(&notices).policy.what, "rate 1 -> 0.5");
    // Only 1 is said to be 1.
    known->lines.tokens = 1;
    assert_int_equal(tuned_set_rate(tune, 0.99999), NSP_OK);
    assert_true(nsp__notices_policy(&notices, known, &place));
    assert_string_equal(notices.policy.what, "rate 0.5 -> 0.99998");
    nsp_tune_close(tune);
    free(known);
    tuned_end();
}

// Each change that the engine's own code makes right behind nsp_init is logged once, whether the collector looks in between
// or not: with a collector that this thread drives, it does not, so nothing depends on who is faster.
static void changes_right_at_the_start_are_logged(void **state)
{
    (void)state;
    static const nsp_collector_mode collectors[] = {NSP_COLLECTOR_INVOKER, NSP_COLLECTOR_THREAD,
                                                    NSP_COLLECTOR_EXTERNAL};
    for (size_t i = 0; i < sizeof collectors / sizeof collectors[0]; i++) {
        tuned_begin(collectors[i]);
        assert_int_equal(nsp_sampler_set_rate(0.125), NSP_OK);
        assert_int_equal(nsp_outlier_set_rules("early: slower=1ms"), NSP_OK);
        if (collectors[i] == NSP_COLLECTOR_INVOKER)
            nsp_do_work(SIZE_MAX);
        assert_int_equal(nsp_shutdown(60000000000), NSP_OK);
        assert_int_equal(capture_lines_with("rate 1 -> 0.125"), 1);
        assert_int_equal(capture_lines_with("outlier rule early: slower=1ms added"), 1);
        capture_forget();
    }
}

static void a_change_is_logged_in_one_line(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_THREAD);
    capture_settle(); // what was there at the first pass is no change
    nsp_tune *tune = tuned_open();
    char by[120], expected[400];
    snprintf(by, sizeof by, "sampling changed by process %d (%s): ", (int)getpid(),
             program_invocation_short_name);
    const nsp_tune_change first[] = {
        {.kind = NSP_TUNE_RATE, .value = 0.5},
        tuned_rule("a", 0.25),
        tuned_rule("b\n\033[2J", 1),
        {.kind = NSP_TUNE_PARENT_POLICY, .parent_policy = NSP_PARENT_DECIDE},
        {.kind = NSP_TUNE_LIMIT, .value = 500},
    };
    assert_int_equal(nsp_tune_apply(tune, first, 5, NULL), NSP_OK);
    snprintf(expected, sizeof expected,
             "%srate 1 -> 0.5, limit none -> 500/s, rule a 0.25 added, rule b\\n\\x1b[2J 1 added, remote "
             "parents follow -> decide",
             by);
    assert_string_equal(tuned_logged("rate 1 -> 0.5"), expected);

    // What is as it was is not said, and of rules that only move, that they do.
    const size_t lines = capture_lines();
    assert_int_equal(tuned_set_rate(tune, 0.5), NSP_OK);
    const nsp_tune_change second[] = {
        {.kind = NSP_TUNE_REMOVE_RULE, .pattern = "a"},
        tuned_rule("a", 0.25),
        tuned_rule("b\n\033[2J", 0.125),
    };
    assert_int_equal(nsp_tune_apply(tune, second, 3, NULL), NSP_OK);
    snprintf(expected, sizeof expected, "%srule b\\n\\x1b[2J 1 -> 0.125, rules in another order", by);
    assert_string_equal(tuned_logged("in another order"), expected);
    assert_int_equal(capture_lines(), lines + 1);

    // However many they are, and however long, the line is short, and says so.
    static char patterns[60][NSP_SAMPLER_PATTERN_MAX + 1];
    nsp_tune_change third[60];
    for (int i = 0; i < 60; i++) {
        memset(patterns[i], 1, sizeof patterns[i] - 1);
        patterns[i][0] = (char)('0' + i);
        third[i] = tuned_rule(patterns[i], 0);
    }
    assert_int_equal(nsp_tune_apply(tune, third, 60, NULL), NSP_OK);
    const char *line = tuned_logged(" more");
    assert_true(strlen(line) < 640);
    unsigned left_out = 0, shown = 0;
    for (const char *at = line; (at = strstr(at, " added")) != NULL; at++)
        shown++;
    assert_int_equal(sscanf(strstr(line, " and "), " and %u more", &left_out), 1);
    assert_true(shown > 0);
    assert_int_equal(shown + left_out, 60);
    nsp_tune_close(tune);
    tuned_end();
}

// ---- what is held back when it ends ----

// As if there had been so many lines that there may be no other one for an hour.
static void hold_back(nsp__known *known)
{
    known->lines.tokens = 0;
    known->lines.filled_ns = nsp__monotonic_ns() + 3600 * NSP__SECOND;
}

static void an_engine_that_ends_says_the_rest(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_INVOKER); // nobody passes but this thread
    nsp_tune *tune = tuned_open();
    nsp_do_work(SIZE_MAX);
    hold_back(&nsp__life.runtime->collector.known);
    assert_int_equal(tuned_set_rate(tune, 0.5), NSP_OK);
    nsp_do_work(SIZE_MAX);
    assert_int_equal(tuned_set_rule(tune, "late", 0.25), NSP_OK); // of which no pass knows
    nsp_tune_close(tune);
    assert_int_equal(capture_lines_with("sampling changed"), 0);
    assert_int_equal(nsp_shutdown(60000000000), NSP_OK);
    assert_int_equal(capture_lines_with("sampling changed"), 1);
    assert_int_equal(capture_lines_with(": rate 1 -> 0.5, rule late 0.25 added"), 1);
    capture_forget();
}

static void an_engine_that_has_said_all_says_nothing(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_INVOKER);
    nsp_do_work(SIZE_MAX);
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
    nsp_do_work(SIZE_MAX);
    assert_int_equal(capture_lines_with("sampling changed: rate 1 -> 0.5"), 1);
    assert_int_equal(nsp_shutdown(60000000000), NSP_OK);
    assert_int_equal(capture_lines_with("sampling changed"), 1);
    capture_forget();
}

// Also what changed before it first looked, and if it never did.
static void an_engine_that_others_drain_says_the_rest(void **state)
{
    (void)state;
    for (int looks = 0; looks < 2; looks++) {
        tuned_begin(NSP_COLLECTOR_EXTERNAL);
        hold_back(&nsp__life.runtime->known);
        assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
        if (looks != 0)
            assert_int_equal(nsp_do_work(SIZE_MAX), 0);
        assert_int_equal(nsp_sampler_set_rule("late", 0.25), NSP_OK);
        assert_int_equal(capture_lines_with("sampling changed"), 0);
        assert_int_equal(nsp_shutdown(60000000000), NSP_OK);
        assert_int_equal(capture_lines_with("sampling changed"), 1);
        assert_int_equal(capture_lines_with("sampling changed: rate 1 -> 0.5, rule late 0.25 added"), 1);
        capture_forget();
    }
}

static nsp_drainer *drainer_of_it(void)
{
    nsp_config config;
    nsp_drainer *drainer;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    capture_config(&config);
    options.exporter = config.custom_exporter;
    options.config = &config;
    assert_int_equal(nsp_drainer_open(&drainer, &options), NSP_OK);
    assert_int_equal(nsp_drainer_add(drainer, tuned_directory, NULL, 0), NSP_OK);
    nsp_drainer_work(drainer, NULL);
    hold_back(&drainer->sessions[0]->collector.known);
    return drainer;
}

// The engine goes on, and the next drainer cannot know what the one before has not said.
static void a_drainer_that_ends_says_the_rest(void **state)
{
    (void)state;
    tuned_begin(NSP_COLLECTOR_EXTERNAL);
    nsp_drainer *drainer = drainer_of_it();
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
    nsp_drainer_work(drainer, NULL);
    assert_int_equal(capture_lines_with("sampling changed"), 0);
    assert_int_equal(nsp_drainer_close(drainer, 60000000000), NSP_OK);
    assert_int_equal(capture_lines_with("sampling changed"), 1);
    assert_int_equal(capture_lines_with("): sampling changed: rate 1 -> 0.5"), 1);
    tuned_end();
}

static void a_drainer_says_the_rest_when_its_engine_has_ended(void **state)
{
    (void)state;
    nsp_drained drained;
    tuned_begin(NSP_COLLECTOR_EXTERNAL);
    nsp_drainer *drainer = drainer_of_it();
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
    tuned_end();
    assert_int_equal(capture_lines_with("sampling changed"), 0);
    DRAINED_UNTIL((drained = drained_work(drainer)).state != NSP_DRAINED_LIVING);
    assert_int_equal(drained.state, NSP_DRAINED_ENDED);
    assert_int_equal(capture_lines_with("): sampling changed: rate 1 -> 0.5"), 1);
    assert_int_equal(nsp_drainer_close(drainer, 60000000000), NSP_OK);
    assert_int_equal(capture_lines_with("sampling changed"), 1);
    capture_forget();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, capture_teardown)
    const struct CMUnitTest tests[] = {
        // This comes first: of many changes, not all are logged.
        TEST(changes_right_at_the_start_are_logged),
        TEST(a_change_is_logged_in_one_line),
        TEST(of_many_changes_the_last_is_logged),
        TEST(an_engine_that_ends_says_the_rest),
        TEST(an_engine_that_has_said_all_says_nothing),
        TEST(an_engine_that_others_drain_says_the_rest),
        TEST(a_drainer_that_ends_says_the_rest),
        TEST(a_drainer_says_the_rest_when_its_engine_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
