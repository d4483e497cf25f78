// SPDX-License-Identifier: Apache-2.0
//
// From the histograms of threads to the bounds of rules, over a session that consists of nothing else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "drain/outlier_watch.h"

enum { THREADS = 3, ORDER = 10, QUOTE = 11, OTHER = 12 };

static uint32_t generation;
static nsp__policy policies[2];
static nsp__tuning tunings[2];
static nsp__outliers outliers[2];
static nsp__outlier_bounds bounds;
static nsp__latencies latencies[THREADS];
static nsp__ring_source sources[THREADS];
static nsp__outlier_watch watch;
static uint64_t now_ns;

static const nsp__outlier_view view = {{&generation, policies, tunings, outliers}, outliers, &bounds};

static void look(void)
{
    nsp__outlier_watch_look(&watch, &view, sources, THREADS, THREADS, now_ns += NSP__OUTLIER_LOOK_NS);
}

// Class i has rule i.
static void set_rules(const double *shares, uint32_t count)
{
    const uint32_t next = generation + 1;
    nsp__outliers *to = &outliers[next & 1];
    memset(to, 0, sizeof *to);
    to->rules = count;
    to->class_count = count + 1;
    for (uint32_t i = 1; i <= count; i++) {
        to->outlier_rules[i] = (uint8_t)i;
        to->rule[i].conditions = shares[i - 1] != 0 ? NSP__OUTLIER_SLOWEST : NSP__OUTLIER_ERRORS;
        to->rule[i].slowest = shares[i - 1];
        snprintf(to->rule[i].pattern, sizeof to->rule[i].pattern, "rule %u", i);
    }
    memcpy(&policies[next & 1], &policies[generation & 1], sizeof policies[0]);
    __atomic_store_n(&generation, next, __ATOMIC_RELEASE);
}

static void measure(uint32_t thread, uint32_t place, uint32_t name, uint64_t ticks, uint32_t roots)
{
    latencies[thread].places[place].name = name;
    latencies[thread].places[place].counts[nsp__latency_step(ticks)] += roots;
    latencies[thread].places[place].ticks += roots * ticks;
}

static int begin(void **state)
{
    (void)state;
    memset(&bounds, 0, sizeof bounds);
    memset(latencies, 0, sizeof latencies);
    memset(&watch, 0, sizeof watch);
    memset(policies, 0, sizeof policies);
    for (uint32_t i = 0; i < THREADS; i++)
        sources[i] = (nsp__ring_source){.latencies = &latencies[i], .index = i, .available = true};
    for (int i = 0; i < 2; i++) {
        policies[i].classes[ORDER] = 1;
        policies[i].classes[QUOTE] = 2;
    }
    generation = 1;
    now_ns = 1;
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp__outlier_watch_free(&watch);
    return 0;
}

static void assert_within(uint64_t bound, uint64_t ticks)
{
    const uint32_t step = nsp__latency_step(ticks);
    assert_in_range(bound, nsp__latency_step_ticks(step), nsp__latency_step_ticks(step + 1));
}

static void each_rule_has_the_roots_of_its_names(void **state)
{
    (void)state;
    set_rules((double[]){0.01, 0.5}, 2);
    look();
    assert_int_equal(bounds.generation, generation);
    assert_true(bounds.slowest_ticks[1] == NSP__SLOWEST_UNKNOWN &&
                bounds.slowest_ticks[2] == NSP__SLOWEST_UNKNOWN);
    for (uint32_t i = 0; i < THREADS; i++) {
        measure(i, 0, i == 1 ? QUOTE : ORDER, 5000, 9850);
        measure(i, 1, i == 1 ? ORDER : QUOTE, 5000, 9850);
        measure(i, 0, i == 1 ? QUOTE : ORDER, 70000, 150);
        measure(i, 2, OTHER, 1000000, 50000);
    }
    look();
    assert_within(bounds.slowest_ticks[1], 70000);
    assert_within(bounds.slowest_ticks[2], 5000);
    assert_true(bounds.slowest_ticks[3] == NSP__SLOWEST_UNKNOWN &&
                bounds.slowest_ticks[0] == NSP__SLOWEST_UNKNOWN);
}

// What a drainer finds when it comes was measured at some time before.
static void what_was_there_before_does_not_count(void **state)
{
    (void)state;
    set_rules((double[]){0.01}, 1);
    measure(0, 0, ORDER, 1000000, 1000000);
    look();
    measure(0, 0, ORDER, 3000, 2000);
    measure(2, 0, ORDER, 3000, 2000); // a thread that has come since
    look();
    assert_within(bounds.slowest_ticks[1], 3000);
}

// Half of the roots are slow; if the first ones counted again, it would be a third.
static void each_root_counts_once(void **state)
{
    (void)state;
    set_rules((double[]){0.4}, 1);
    look();
    measure(0, 0, ORDER, 3000, 2000);
    look();
    measure(0, 0, ORDER, 90000, 2000);
    measure(0, 0, ORDER, 3000, 1);
    look();
    assert_within(bounds.slowest_ticks[1], 90000);
}

static void a_bound_outlives_changes_of_other_rules(void **state)
{
    (void)state;
    set_rules((double[]){0.01}, 1);
    look();
    measure(0, 0, ORDER, 3000, 2000);
    look();
    const uint64_t bound = bounds.slowest_ticks[1];
    assert_within(bound, 3000);
    for (int i = 0; i < 3; i++) {
        set_rules((double[]){0.01, 0.1}, 2);
        now_ns -= NSP__OUTLIER_LOOK_NS; // at once
        look();
        assert_int_equal(bounds.generation, generation);
        assert_true(bounds.slowest_ticks[1] == bound && bounds.slowest_ticks[2] == NSP__SLOWEST_UNKNOWN);
    }
    set_rules((double[]){0.02, 0.1}, 2); // another share: another bound, which is not known yet
    now_ns -= NSP__OUTLIER_LOOK_NS;
    look();
    assert_true(bounds.slowest_ticks[1] == NSP__SLOWEST_UNKNOWN);
    set_rules((double[]){0}, 1); // keeps no share
    look();
    assert_true(bounds.slowest_ticks[1] == NSP__SLOWEST_UNKNOWN && watch.rule_count == 0);
}

static void it_looks_only_now_and_then(void **state)
{
    (void)state;
    set_rules((double[]){0.01}, 1);
    look();
    measure(0, 0, ORDER, 3000, 2000);
    now_ns -= NSP__OUTLIER_LOOK_NS - 1;
    look();
    now_ns -= NSP__OUTLIER_LOOK_NS - 1;
    look();
    assert_true(bounds.slowest_ticks[1] == NSP__SLOWEST_UNKNOWN);
    look();
    assert_within(bounds.slowest_ticks[1], 3000);
}

// Whatever another process has written there.
static void wild_numbers_do_no_harm(void **state)
{
    (void)state;
    uint64_t chance = 88172645463325252;
    for (int round = 0; round < 300; round++) {
        uint8_t *const parts[] = {(uint8_t *)outliers, (uint8_t *)latencies, (uint8_t *)policies[0].classes};
        const size_t sizes[] = {sizeof outliers, sizeof latencies, sizeof policies[0].classes};
        for (int i = 0; i < 3; i++)
            for (size_t k = 0; k < sizes[i]; k++) {
                chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17;
                if (round % 3 != 0 || chance % 64 == 0)
                    parts[i][k] = (uint8_t)(chance >> 32);
            }
        for (uint32_t i = 1; i < NSP__CLASSES && round % 2 == 0; i++)
            outliers[generation & 1].rule[i].slowest = 1.0 / (1 + (double)(chance % 1000));
        generation += round % 3 != 2;
        look();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_rule_has_the_roots_of_its_names, begin, end),
        cmocka_unit_test_setup_teardown(what_was_there_before_does_not_count, begin, end),
        cmocka_unit_test_setup_teardown(each_root_counts_once, begin, end),
        cmocka_unit_test_setup_teardown(a_bound_outlives_changes_of_other_rules, begin, end),
        cmocka_unit_test_setup_teardown(it_looks_only_now_and_then, begin, end),
        cmocka_unit_test_setup_teardown(wild_numbers_do_no_harm, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
