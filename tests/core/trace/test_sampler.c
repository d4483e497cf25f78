// SPDX-License-Identifier: Apache-2.0
//
// The sampler's settings: rates, rules and remote parents, changed at run time and in force from the next
// root of every thread. test_sampling_law.c tests the distribution.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/testpoint.h"
#include "context/threshold.h"
#include "support/capture.h"
#include "trace/trace_state.h"
#include "trace/sampler.h"

static nsp_name name_of(const char *text)
{
    return nsp_intern(text, strlen(text));
}

// Are roots of this name recorded? Only for rates 0 and 1, where one root shows it.
static bool recorded(const char *text)
{
    nsp_span *span = nsp_span_begin(name_of(text));
    bool recording = nsp_span_recording(span);
    nsp_span_end(span);
    // Roots that need a frame are decided by the same rules.
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    span = nsp_span_begin_with(name_of(text), &options);
    assert_int_equal(nsp_span_recording(span), recording);
    nsp_span_end(span);
    span = nsp_span_begin_detached(name_of(text), NULL);
    assert_int_equal(nsp_span_recording(span), recording);
    nsp_span_end(span);
    return recording;
}

// ---- the default rate ----

static void a_bad_rate_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0.25), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("rule", 0.5), NSP_OK);
    uint32_t generation = nsp__trace_state.control->policy_generation;
    const double bad[] = {(double)NAN,      -(double)NAN,     -0.1, -1e-300, 1.1, 1.0000000000000002,
                          (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "not %g", bad[i]);
        assert_int_equal(nsp_sampler_set_rate(bad[i]), NSP_ERR_INVALID);
        assert_non_null(strstr(nsp_error_detail(), text));
        assert_non_null(strstr(nsp_error_detail(), "0 to 1"));
        assert_int_equal(nsp_sampler_set_rule("rule", bad[i]), NSP_ERR_INVALID);
        assert_non_null(strstr(nsp_error_detail(), text));
        assert_int_equal(nsp_sampler_set_rule("new rule", bad[i]), NSP_ERR_INVALID);
    }
    assert_int_equal(nsp_sampler_set_parent_policy((nsp_parent_policy)2), NSP_ERR_INVALID);
    assert_true(strlen(nsp_error_detail()) != 0);
    assert_int_equal(nsp__trace_state.control->policy_generation, generation);
    assert_true(nsp_sampler_rate() == 0.25);
    assert_int_equal(nsp_sampler_remove_rule("new rule"), NSP_ERR_NOT_FOUND);
    assert_int_equal(nsp_sampler_set_rate(-0.0), NSP_OK); // equal to 0
    assert_true(nsp_sampler_rate() == 0);
}

static void the_rate_reads_back_as_it_was_quantised(void **state)
{
    (void)state;
    const double rates[] = {0, 0x1p-57, 0x1p-56, 1e-9, 0.001, 0.1, 1.0 / 3, 0.5, 0.75, 0.999, 1 - 0x1p-53, 1};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        assert_int_equal(nsp_sampler_set_rate(rates[i]), NSP_OK);
        double rate = nsp_sampler_rate();
        assert_true(rate == nsp__threshold_rate(nsp__threshold_from_rate(rates[i])));
        if (rates[i] < 0x1p-56)
            assert_true(rate == 0);
        else
            assert_true(fabs(rate - rates[i]) <= rates[i] * 0x1p-12);
    }
}

static void calls_need_a_session(void **state)
{
    (void)state;
    assert_int_equal(nsp_shutdown(60000000000u), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_sampler_set_rule("x", 0.5), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_sampler_remove_rule("x"), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE), NSP_ERR_NOT_INITIALISED);
    assert_true(nsp_sampler_rate() == 0);
    capture_begin(0.5);
    assert_true(nsp_sampler_rate() == 0.5); // a new session begins with the rate of its configuration
}

static void roots_left_out_are_counted_exactly(void **state)
{
    (void)state;
    enum { ROOTS = 1234 };
    assert_int_equal(nsp_sampler_set_rule("half", 0.5), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    uint64_t kept = 0;
    for (int i = 0; i < ROOTS; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("never"));
        nsp_span_end(nsp_span_begin(NSP_NAME("children do not count")));
        nsp_span_end(root);
        root = nsp_span_begin(NSP_NAME("half"));
        kept += nsp_span_recording(root);
        nsp_span_end(root);
        if (i % 100 == 0) // a change draws a new skip, and must not lose count
            assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
        assert_int_equal(capture_balance().roots_unsampled, (uint64_t)(2 * (i + 1)) - kept);
    }
    recorded("three more");
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.roots_unsampled, 2 * ROOTS - kept + 3);
    assert_int_equal(stats.attempted, kept);
    assert_int_equal(stats.roots_refused, 0);
}

// ---- live, on every thread ----

enum { THREADS = 3, CHANGES = 60 };

static struct {
    pthread_barrier_t barrier;
    bool sampled;
} live;

static void *obey(void *argument)
{
    (void)argument;
    for (int i = 0; i < CHANGES; i++) {
        pthread_barrier_wait(&live.barrier); // the call has returned
        bool sampled = live.sampled;
        for (int k = 0; k < 50; k++) {
            nsp_span *root = nsp_span_begin(NSP_NAME("root"));
            assert_int_equal(nsp_span_recording(root), sampled);
            nsp_span_end(root);
        }
        nsp_span *last = nsp_span_begin_detached(NSP_NAME("root"), NULL);
        assert_int_equal(nsp_span_recording(last), sampled);
        nsp_span_end(last);
        pthread_barrier_wait(&live.barrier);
    }
    return NULL;
}

static void a_change_lands_at_the_next_root_of_every_thread(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    assert_int_equal(pthread_barrier_init(&live.barrier, NULL, THREADS + 1), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, obey, NULL), 0);
    for (int i = 0; i < CHANGES; i++) {
        live.sampled = i % 2 == 0;
        if (i % 3 == 0) { // alternately by the default rate and by a rule that differs from the default
            nsp_sampler_remove_rule("r*");
            assert_int_equal(nsp_sampler_set_rate(live.sampled), NSP_OK);
        } else {
            assert_int_equal(nsp_sampler_set_rate(!live.sampled), NSP_OK);
            assert_int_equal(nsp_sampler_set_rule("r*", live.sampled), NSP_OK);
        }
        pthread_barrier_wait(&live.barrier);
        pthread_barrier_wait(&live.barrier);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&live.barrier);
}

// ---- rules ----

static void the_first_rule_that_matches_decides(void **state)
{
    (void)state;
    assert_true(recorded("order.new") && recorded("order.cancel")); // interned before the rules
    assert_int_equal(nsp_sampler_set_rule("order.*", 0), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("order.new", 1), NSP_OK); // the rule before it always matches first
    assert_int_equal(nsp_sampler_set_rule("*.tick", 0), NSP_OK);
    assert_false(recorded("order.new") || recorded("order.cancel") || recorded("order."));
    assert_false(recorded("order.amend") || recorded("market.tick")); // interned after them
    assert_true(recorded("order") && recorded("ticks") && recorded("reorder.new"));
    // A rule that is set again changes its rate and keeps its position.
    assert_int_equal(nsp_sampler_set_rule("order.*", 1), NSP_OK);
    assert_true(recorded("order.amend") && recorded("order.tick"));
    assert_int_equal(nsp_sampler_set_rule("order.*", 0), NSP_OK);
    // When a rule is removed, those after it move up.
    assert_int_equal(nsp_sampler_remove_rule("order.*"), NSP_OK);
    assert_true(recorded("order.new") && recorded("order.cancel") && recorded("order.another"));
    assert_false(recorded("order.tick") || recorded("market.tick"));
    assert_int_equal(nsp_sampler_remove_rule("order.*"), NSP_ERR_NOT_FOUND);
    assert_non_null(strstr(nsp_error_detail(), "order.*"));
    assert_int_equal(nsp_sampler_remove_rule("*.tick"), NSP_OK);
    assert_int_equal(nsp_sampler_remove_rule("order.new"), NSP_OK);
    assert_true(recorded("market.tick") && recorded("order.new"));
}

static void rules_look_at_the_local_root_only(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rule("inner", 0), NSP_OK);
    nsp_span *root = nsp_span_begin(NSP_NAME("outer"));
    nsp_span *inner = nsp_span_begin(NSP_NAME("inner"));
    assert_true(nsp_span_recording(inner));
    nsp_span_end(inner);
    nsp_span_end(root);
    root = nsp_span_begin(NSP_NAME("inner"));
    assert_false(nsp_span_recording(root));
    inner = nsp_span_begin(NSP_NAME("outer"));
    assert_false(nsp_span_recording(inner));
    nsp_span_end(inner);
    nsp_span_end(root);
}

static void there_are_63_rules(void **state)
{
    (void)state;
    char text[32];
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    for (int i = 0; i < NSP_SAMPLER_RULES_MAX; i++) {
        snprintf(text, sizeof text, "rule.%d", i);
        assert_int_equal(nsp_sampler_set_rule(text, i % 2), NSP_OK);
    }
    assert_int_equal(nsp_sampler_set_rule("one more", 1), NSP_ERR_FULL);
    assert_non_null(strstr(nsp_error_detail(), "63"));
    assert_int_equal(nsp_sampler_set_rule("rule.62", 1), NSP_OK); // this rule exists
    for (int i = 0; i < NSP_SAMPLER_RULES_MAX; i++) {
        snprintf(text, sizeof text, "rule.%d", i);
        assert_int_equal(recorded(text), i % 2 == 1 || i == 62);
    }
    assert_false(recorded("one more") || recorded("rule.63"));
    assert_int_equal(nsp_sampler_remove_rule("rule.0"), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("one more", 1), NSP_OK);
    assert_true(recorded("one more") && recorded("rule.1") && recorded("rule.62"));
    assert_false(recorded("rule.0") || recorded("rule.2"));
    // A thread that attaches now starts with all of them.
    for (int i = 1; i < NSP_SAMPLER_RULES_MAX; i++) {
        snprintf(text, sizeof text, "rule.%d", i);
        assert_int_equal(nsp_sampler_remove_rule(text), NSP_OK);
    }
    assert_false(recorded("rule.1") || recorded("rule.62"));
    assert_true(recorded("one more"));
}

static void a_pattern_has_1_to_95_bytes(void **state)
{
    (void)state;
    char text[NSP_SAMPLER_PATTERN_MAX + 2];
    memset(text, 'x', sizeof text);
    text[NSP_SAMPLER_PATTERN_MAX + 1] = 0;
    assert_int_equal(nsp_sampler_set_rule(text, 0), NSP_ERR_INVALID);
    assert_non_null(strstr(nsp_error_detail(), "95"));
    text[NSP_SAMPLER_PATTERN_MAX] = 0;
    assert_int_equal(nsp_sampler_set_rule(text, 0), NSP_OK);
    assert_false(recorded(text));
    assert_int_equal(nsp_sampler_set_rule("", 0), NSP_ERR_INVALID);
    assert_int_equal(nsp_sampler_set_rule(NULL, 0), NSP_ERR_INVALID);
    assert_int_equal(nsp_sampler_remove_rule(NULL), NSP_ERR_INVALID);
}

static void patterns_match_as_a_shell_does(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"abc", "abc", true},
        {"abc", "abcd", false},
        {"abc", "ab", false},
        {"", "", true},
        {"*", "", true},
        {"*", "anything", true},
        {"a*", "a", true},
        {"a*c", "abbc", true},
        {"a*c", "abbd", false},
        {"*b*b*", "abcb", true},
        {"*b*b*", "abc", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"??", "a", false},
        {"[abc]x", "bx", true},
        {"[abc]x", "dx", false},
        {"[a-c]x", "bx", true},
        {"[!a-c]x", "bx", false},
        {"[^a-c]x", "dx", true},
        {"[]]", "]", true},
        {"[a-]", "-", true},
        {"[abc", "[abc", true},
        {"[abc", "a", false},
        {"*[0-9]", "order7", true},
        {"*[0-9]", "order", false},
        {"a**b", "a--b", true},
        {"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (nsp__pattern_match(cases[i].pattern, cases[i].text, strlen(cases[i].text)) != cases[i].match)
            fail_msg("pattern %s, text %s: expected %d", cases[i].pattern, cases[i].text, cases[i].match);
}

// ---- classes are drawn at their first use ----

// All that a thread does at a change is to give back the skips that it has not used.
static void a_root_after_a_change_draws_only_its_class(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("one", 0), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("two", 0), NSP_OK);
    assert_false(recorded("one") || recorded("two") || recorded("neither"));
    const nsp__producer *producer = nsp__producer_self();
    assert_int_equal(producer->drawn, 7);
    assert_int_equal(nsp_sampler_set_rule("two", 1), NSP_OK);
    uint64_t random = producer->random;
    nsp_span *root = nsp_span_begin(name_of("one"));
    assert_false(nsp_span_recording(root));
    nsp_span_end(root);
    assert_int_equal(producer->drawn, 2);
    nsp__random_next(&random);
    assert_int_equal(producer->random, random); // one draw
    assert_int_equal(producer->slot->skips.left[2], 0);
    assert_true(recorded("two"));
    assert_int_equal(producer->drawn, 6);
    assert_int_equal(capture_balance().roots_unsampled, 3 * 3 + 1);
}

// An unsampled root is asked for its context after a change: what it says is what the new policy would.
static void the_context_of_an_unsampled_root_outlives_its_policy(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rule("another", 0), NSP_OK); // of another class
    for (int i = 0; i < 50; i++) {
        assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
        nsp_span *root = nsp_span_begin(NSP_NAME("root"));
        assert_int_equal(nsp_sampler_set_rate(0x1p-3), NSP_OK);
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.new_root = true;
        nsp_span_end(nsp_span_begin_with(NSP_NAME("another"), &options)); // meets the change
        nsp_context context;
        nsp_span_context(root, &context);
        assert_true(nsp_context_valid(&context));
        assert_true(context.trace_id[9] < 0xe0); // its randomness is below the threshold
        nsp_span_end(root);
    }
}

// A writer may be killed, or be overtaken by another one, before it has written a slot.
static void a_slot_that_was_not_told_of_a_change_is_set_right(void **state)
{
    (void)state;
    assert_true(recorded("root"));
    uint32_t *told = &nsp__producer_self()->slot->skips.generation;
    uint32_t before = __atomic_load_n(told, __ATOMIC_RELAXED);
    for (uint32_t behind = 0; behind < 3; behind++) {
        assert_int_equal(nsp_sampler_set_rate(behind % 2), NSP_OK);
        uint32_t now = nsp__trace_state.control->policy_generation;
        assert_int_equal(__atomic_load_n(told, __ATOMIC_RELAXED), now); // the collector tells too
        assert_int_equal(recorded("root"), behind % 2);
        __atomic_store_n(told, before, __ATOMIC_RELAXED);
        assert_int_equal(recorded("root"), behind % 2);
        assert_int_equal(__atomic_load_n(told, __ATOMIC_RELAXED), now); // the collector tells too
    }
}

#ifdef NSP_TESTPOINTS
static void change_once(const char *point)
{
    static bool changed;
    if (strcmp(point, "policy: a class is read") != 0 || changed)
        return;
    changed = true;
    // Twice: the state from which the class was read is written again.
    assert_int_equal(nsp_sampler_set_rule("changing", 0), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
}

static void a_class_that_is_overtaken_by_policies_is_read_again(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    __atomic_store_n(&nsp__testpoint_hook, change_once, __ATOMIC_RELEASE);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    nsp_span *span = nsp_span_begin_with(NSP_NAME("not overtaken"), &options);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_true(nsp_span_recording(span));
    nsp_span_end(span);
    assert_false(recorded("changing"));
}
#endif

// ---- many at once ----

#ifdef NSP_TESTPOINTS
static void intern_now(const char *point)
{
    if (strcmp(point, "policy: before it is published") == 0)
        name_of("a name of this very moment");
}

static void a_name_made_while_a_policy_is_published_gets_its_class(void **state)
{
    (void)state;
    __atomic_store_n(&nsp__testpoint_hook, intern_now, __ATOMIC_RELEASE);
    nsp_status status = nsp_sampler_set_rule("* of this very moment", 0);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(status, NSP_OK);
    assert_false(recorded("a name of this very moment"));
}

// On which thread a hook acts. The collector, which follows up changes, comes to the same testpoints.
static __thread bool is_meant;

static pthread_barrier_t held;

static void hold(const char *point)
{
    if (strcmp(point, "name: before it is ready") != 0 || !is_meant)
        return;
    is_meant = false;
    pthread_barrier_wait(&held); // the name's class was looked up with the old policy
    pthread_barrier_wait(&held); // now the new policy is in force
}

static void *intern_late(void *text)
{
    is_meant = true;
    name_of(text);
    return NULL;
}

static void a_name_that_is_not_ready_while_a_policy_is_published_gets_its_class(void **state)
{
    (void)state;
    char text[] = "a name that is late";
    pthread_t thread;
    pthread_barrier_init(&held, NULL, 2);
    __atomic_store_n(&nsp__testpoint_hook, hold, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&thread, NULL, intern_late, text), 0);
    pthread_barrier_wait(&held);
    assert_int_equal(nsp_sampler_set_rule("* is late", 0), NSP_OK);
    pthread_barrier_wait(&held);
    pthread_join(thread, NULL);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    pthread_barrier_destroy(&held);
    assert_false(recorded(text));
}

static int changes;

static void change_policy(const char *point)
{
    if (strcmp(point, "policy: a name has its class") != 0 || !is_meant || changes == 6)
        return;
    is_meant = false; // a change itself classifies all names
    nsp_status status =
        ++changes % 2 != 0 ? nsp_sampler_remove_rule("* overtaken") : nsp_sampler_set_rule("* overtaken", 0);
    assert_int_equal(status, NSP_OK);
    is_meant = true;
}

static void a_name_overtaken_by_policies_gets_the_last_ones_class(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rule("* overtaken", 0), NSP_OK);
    changes = 0;
    is_meant = true;
    __atomic_store_n(&nsp__testpoint_hook, change_policy, __ATOMIC_RELEASE);
    name_of("a name overtaken");
    is_meant = false;
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(changes, 6);
    assert_false(recorded("a name overtaken"));
}
#endif

static bool stop;
static uint64_t left_out; // roots of the steady name that did not record

static void *begin_roots(void *argument)
{
    uint64_t seed = (uintptr_t)argument, roots = 0;
    char text[32];
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        nsp_span *root = nsp_span_begin(NSP_NAME("steady"));
        // This name has a rule all the time: only a ring that is nearly full may leave out a root.
        if (!nsp_span_recording(root))
            __atomic_fetch_add(&left_out, 1, __ATOMIC_RELAXED);
        nsp_span_end(root);
        if (roots % 64 == 0 && roots < 64 * 400) { // new names, a few hundred a thread
            snprintf(text, sizeof text, "%s.%u.%u", roots % 128 == 0 ? "on" : "off", (unsigned)seed,
                     (unsigned)(roots / 64));
            nsp_span_end(nsp_span_begin(name_of(text)));
        }
        roots++;
        sched_yield();
    }
    return NULL;
}

static void rules_change_while_names_and_roots_are_made(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    assert_int_equal(nsp_sampler_set_rule("steady", 1), NSP_OK);
    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, begin_roots, (void *)(i + 1)), 0);
    char text[32];
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "rule.%d*", i % 40);
        assert_int_equal(nsp_sampler_set_rule(text, (i % 5) * 0.25), NSP_OK);
        assert_int_equal(nsp_sampler_set_rate((i % 3) * 0.5), NSP_OK);
        if (i % 7 == 0)
            assert_int_equal(nsp_sampler_remove_rule(text), NSP_OK);
    }
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("on.*", 1), NSP_OK);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_true(left_out <= stats.roots_refused);
    capture_settle();
    // Every name has the class that the rules give it, whenever it was interned.
    for (unsigned thread = 1; thread <= THREADS; thread++)
        for (unsigned i = 0; i < 400; i++) {
            snprintf(text, sizeof text, "%s.%u.%u", i % 2 == 0 ? "on" : "off", thread, i);
            nsp_span *span = nsp_span_begin(name_of(text));
            assert_int_equal(nsp_span_recording(span), i % 2 == 0);
            nsp_span_end(span);
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, capture_sampled, capture_reset)
    const struct CMUnitTest tests[] = {
        TEST(a_bad_rate_is_refused_and_nothing_changes),
        TEST(the_rate_reads_back_as_it_was_quantised),
        TEST(calls_need_a_session),
        TEST(roots_left_out_are_counted_exactly),
        TEST(a_change_lands_at_the_next_root_of_every_thread),
        TEST(the_first_rule_that_matches_decides),
        TEST(rules_look_at_the_local_root_only),
        TEST(there_are_63_rules),
        TEST(a_pattern_has_1_to_95_bytes),
        TEST(patterns_match_as_a_shell_does),
        TEST(a_root_after_a_change_draws_only_its_class),
        TEST(the_context_of_an_unsampled_root_outlives_its_policy),
        TEST(a_slot_that_was_not_told_of_a_change_is_set_right),
#ifdef NSP_TESTPOINTS
        TEST(a_class_that_is_overtaken_by_policies_is_read_again),
        TEST(a_name_made_while_a_policy_is_published_gets_its_class),
        TEST(a_name_that_is_not_ready_while_a_policy_is_published_gets_its_class),
        TEST(a_name_overtaken_by_policies_gets_the_last_ones_class),
#endif
        TEST(rules_change_while_names_and_roots_are_made),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
