// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// The law that finds the slowest share, led through loads. Time and chance are the test's own, so each run is
// the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "common/time.h"
#include "drain/outlier_law.h"

enum { RUNS = 2, MILLION = 1000000 };

// ---- chance ----

static uint64_t chance;

static double even(void)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return ((double)(chance >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(even())) * cos(2 * M_PI * even());
}

// ---- an engine ----

// Durations in microseconds: of most roots, and of a share of them that is slower.
typedef struct kind {
    double median, spread; // the spread of the logarithm
} kind;

typedef struct world {
    nsp__outlier_law law;
    uint64_t now_ns;
    double ticks; // in a microsecond
    double rate;  // roots a second
    kind most, rest;
    double rest_share;
    uint64_t roots, kept;
} world;

static world w;

static void begin(uint64_t seed, double share)
{
    chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 20; i++)
        even();
    w = (world){.now_ns = 12345, .ticks = 3000, .rate = 100000, .most = {3, 0.5}};
    nsp__outlier_law_begin(&w.law, share);
}

static uint64_t draw(void)
{
    const kind *of = w.rest_share != 0 && even() < w.rest_share ? &w.rest : &w.most;
    return (uint64_t)(of->median * exp(of->spread * normal()) * w.ticks);
}

// To the next look, which is now and then late. drift: by how much durations grow in that time.
static void look(double drift)
{
    const uint64_t pause = NSP__OUTLIER_LOOK_NS + (even() < 0.2 ? (uint64_t)(even() * 0.1 * NSP__SECOND) : 0);
    const uint64_t roots = (uint64_t)(w.rate * (double)pause / (double)NSP__SECOND);
    for (uint64_t i = 0; i < roots; i++) {
        const uint64_t ticks = draw();
        w.kept += ticks >= w.law.slowest_ticks;
        nsp__outlier_law_count(&w.law, nsp__latency_step(ticks), 1);
    }
    w.roots += roots;
    w.now_ns += pause;
    w.most.median *= drift;
    nsp__outlier_law_look(&w.law, w.now_ns);
}

static void run_for(double seconds)
{
    const uint64_t until = w.now_ns + (uint64_t)(seconds * (double)NSP__SECOND);
    while (w.now_ns < until)
        look(1);
}

// Kept of the next million roots, as a part of what should be.
static double kept_of_a_million(double drift)
{
    w.roots = w.kept = 0;
    while (w.roots < MILLION)
        look(drift);
    return (double)w.kept / (w.law.share * (double)w.roots);
}

#define ASSERT_RIGHT(drift)                                                                                  \
    do {                                                                                                     \
        const double part_ = kept_of_a_million(drift);                                                       \
        if (!(part_ > 0.8 && part_ < 1.2))                                                                   \
            fail_msg("seed %d: %g times what should be kept", seed, part_);                                  \
    } while (0)

// ---- the loads ----

static void the_share_is_kept(void **state)
{
    (void)state;
    static const double shares[] = {0.1, 0.01, 0.001}, ticks[] = {3000, 1000, 25};
    for (int seed = 0; seed < RUNS; seed++)
        for (int i = 0; i < 3; i++) {
            begin((uint64_t)seed, shares[(seed + i) % 3]);
            w.ticks = ticks[i];
            w.most = (kind){seed % 2 == 0 ? 1 : 40, i == 1 ? 0.2 : 0.7};
            run_for(2);
            ASSERT_RIGHT(1);
        }
}

static void a_step_is_followed_within_two_seconds(void **state)
{
    (void)state;
    static const double steps[] = {10, 0.1, 1.5, 1 / 1.5, 1.1, 1 / 1.1, 100, 0.01};
    for (int seed = 0; seed < RUNS; seed++)
        for (size_t i = 0; i < sizeof steps / sizeof steps[0] / 2; i++) {
            begin((uint64_t)seed * 100 + i, 0.001);
            w.most.median = 300;
            run_for(3);
            w.roots = w.kept = 0;
            w.most.median *= steps[2 * i + (size_t)seed % 2];
            run_for(2);
            // Until the next look, at most, all of them are above the bound.
            assert_true((double)w.kept < 0.31 * w.rate + 0.1 * (double)w.roots);
            ASSERT_RIGHT(1);
        }
}

// They double, or are halved, in ten seconds.
static void a_drift_is_followed(void **state)
{
    (void)state;
    const double a_look = exp(log(2) / 10 * 0.21);
    for (int seed = 0; seed < RUNS; seed++) {
        begin((uint64_t)seed, 0.001);
        const double drift = seed % 2 == 0 ? a_look : 1 / a_look;
        for (int i = 0; i < 20; i++)
            look(drift);
        for (int i = 0; i < 3; i++)
            ASSERT_RIGHT(drift);
    }
}

// The slowest share is a part of the slow ones, or all of them, or some of the others too.
static void two_populations(void **state)
{
    (void)state;
    static const double slow[] = {0.01, 0.001, 0.0005, 0.0002};
    for (int seed = 0; seed < RUNS; seed++)
        for (size_t i = (size_t)seed % 2; i < sizeof slow / sizeof slow[0]; i += 2) {
            begin((uint64_t)seed * 10 + i, 0.001);
            w.most.spread = 0.1;
            w.rest = (kind){800, 0.3};
            w.rest_share = slow[i];
            run_for(2);
            ASSERT_RIGHT(1);
            ASSERT_RIGHT(1);
        }
}

// Of the few roots before the load nothing is kept, and they do not matter afterwards.
static void a_quiet_start(void **state)
{
    (void)state;
    for (int seed = 0; seed < RUNS; seed++) {
        begin((uint64_t)seed, 0.001);
        w.rate = 20;
        w.most.median = 300;
        run_for(60);
        assert_int_equal(w.kept, 0);
        assert_true(w.law.slowest_ticks == NSP__SLOWEST_UNKNOWN);
        w.rate = 100000;
        w.most.median = 3;
        run_for(2);
        ASSERT_RIGHT(1);
    }
}

// Few roots: the window is longer, and a step up is not a flood.
static void few_roots(void **state)
{
    (void)state;
    for (int seed = 0; seed < RUNS; seed++) {
        begin((uint64_t)seed, 0.001);
        w.rate = 1000;
        run_for(100);
        ASSERT_RIGHT(1);
        w.roots = w.kept = 0;
        w.most.median *= 20;
        run_for(20);
        assert_true(w.kept > 100 && w.kept < 400);
        ASSERT_RIGHT(1);
    }
}

// Without roots the bound stays.
static void silence_changes_nothing(void **state)
{
    (void)state;
    begin(1, 0.001);
    run_for(3);
    const uint64_t bound = w.law.slowest_ticks;
    w.rate = 0;
    run_for(100);
    assert_true(w.law.slowest_ticks == bound);
    w.rate = 100000;
    run_for(1);
    const int seed = 1;
    ASSERT_RIGHT(1);
}

// All, or none: and so none, since all would be too many.
static void roots_that_take_equally_long(void **state)
{
    (void)state;
    for (int i = 0; i < RUNS; i++) {
        begin(1, 0.001);
        w.most = (kind){i + 1.37, 0};
        run_for(2);
        w.roots = w.kept = 0;
        run_for(1);
        assert_int_equal(w.kept, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_share_is_kept),       cmocka_unit_test(a_step_is_followed_within_two_seconds),
        cmocka_unit_test(a_drift_is_followed),     cmocka_unit_test(two_populations),
        cmocka_unit_test(a_quiet_start),           cmocka_unit_test(few_roots),
        cmocka_unit_test(silence_changes_nothing), cmocka_unit_test(roots_that_take_equally_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
