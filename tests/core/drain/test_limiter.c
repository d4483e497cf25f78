// SPDX-License-Identifier: Apache-2.0
//
// The law of the limiter, led through loads in simulated time: it keeps the limit, follows a step within 100 ms, gives
// the rate back, and rests while nothing changes. The random numbers are always the same ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "drain/limiter.h"

// ---- the simulation ----

enum {
    KINDS = 3,
    PER_SECOND = 1000,
    SECONDS_MAX = 120,
    TICKS = SECONDS_MAX * PER_SECOND,
    LATE = 10 * PER_SECOND
};

// Roots a second of each kind, at this time.
typedef void (*load_function)(double seconds, double load[KINDS]);

typedef struct run {
    double limit;
    double rates[KINDS]; // of the kinds of roots, as they were set
    load_function load;
    double seconds;            // how long it takes
    double pass_seconds;       // from one pass of whoever drains to the next
    double trace_seconds;      // how long a trace takes
    double away_from, away_to; // nobody drains
    double stuck_from;         // batches are not sent any more, so that traces stay in the rings; 0: they are
    bool remote;               // roots have remote parents: only those that are sampled are seen
    uint64_t seed;             // of the random numbers
    // The outcome.
    double sampled[TICKS];
    double weights; // of all that were sampled, by the rates that were in force
    double roots;   // all of them
    double factor;  // at the end
    double factors[TICKS];
    unsigned changes[TICKS + 1]; // of the factor, before this time
} run;

static uint64_t random_state;

static double random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) * 0x1p-53;
}

// As many as there are of so many expected.
static double random_count(double mean)
{
    if (mean > 200) {
        double normal = sqrt(-2 * log(random_number() + 0x1p-60)) * cos(2 * acos(-1) * random_number());
        return fmax(0, floor(mean + sqrt(mean) * normal + 0.5));
    }
    double count = 0, product = random_number();
    for (; product > exp(-mean); count++)
        product *= random_number();
    return count;
}

// Roots begin at random, and each is sampled by itself.
static void simulate(run *r)
{
    static double ended[TICKS + LATE];
    nsp__limiter limiter = {0};
    nsp__limiter_look look = {.limit = r->limit};
    double next = 0, factor = 1, roots = 0, traces = 0;
    memset(ended, 0, sizeof ended);
    random_state = 88172645463325252 + r->seed;
    for (int i = 0; i < KINDS; i++)
        look.rate_max = fmax(look.rate_max, r->rates[i]);
    const int ticks = (int)(r->seconds * PER_SECOND), takes = (int)(r->trace_seconds * PER_SECOND);
    for (int tick = 0; tick < ticks; tick++) {
        const double now = (double)tick / PER_SECOND;
        double load[KINDS] = {0}, sampled = 0;
        r->load(now, load);
        for (int i = 0; i < KINDS; i++) {
            double begun = random_count(load[i] / PER_SECOND),
                   chosen = random_count(begun * r->rates[i] * factor);
            if (r->rates[i] * factor == 1 || chosen > begun)
                chosen = begun;
            sampled += chosen;
            r->roots += begun;
            r->weights += chosen > 0 ? chosen / (r->rates[i] * factor) : 0;
            roots += r->remote ? 0 : begun - chosen;
        }
        r->sampled[tick] = sampled;
        r->factors[tick] = factor;
        ended[tick + takes] += sampled;
        const bool stuck = r->stuck_from != 0 && now >= r->stuck_from;
        traces += stuck ? 0 : ended[tick];
        r->changes[tick + 1] = r->changes[tick];
        look.now_ns = 1000000000 + (uint64_t)(tick + 1) * (1000000000 / PER_SECOND);
        if (now < next || (now >= r->away_from && now < r->away_to) ||
            !nsp__limiter_due(&limiter, look.now_ns, (uint64_t)traces))
            continue;
        next = now + r->pass_seconds;
        look.factor = factor;
        look.traces = (uint64_t)traces;
        look.roots = (uint64_t)(roots + traces);
        look.trace_seconds = traces * r->trace_seconds;
        look.behind = stuck;
        look.remote = r->remote;
        roots = traces = 0;
        factor = nsp__limiter_step(&limiter, &look);
        assert_true(factor > 0 && factor <= 1);
        r->changes[tick + 1] += factor != look.factor;
    }
    r->factor = factor;
}

static run *new_run(load_function load, double limit, double rate)
{
    static run r;
    memset(&r, 0, sizeof r);
    r.load = load;
    r.limit = limit;
    r.rates[0] = r.rates[1] = r.rates[2] = rate;
    r.seconds = 33;
    r.pass_seconds = 0.002;
    return &r;
}

// Traces a second, on average.
static double rate_between(const run *r, double from, double to)
{
    double sum = 0;
    for (int i = (int)(from * PER_SECOND); i < (int)(to * PER_SECOND); i++)
        sum += r->sampled[i];
    return sum / (to - from);
}

static unsigned changes_between(const run *r, double from, double to)
{
    return r->changes[(int)(to * PER_SECOND)] - r->changes[(int)(from * PER_SECOND)];
}

#define ASSERT_WITHIN(value, wanted, share)                                                                  \
    do {                                                                                                     \
        double value_ = (value), wanted_ = (wanted);                                                         \
        if (fabs(value_ / wanted_ - 1) > (share))                                                            \
            fail_msg("%s is %g instead of %g", #value, value_, wanted_);                                     \
    } while (0)

// Within 5 % over 10 s, from 100 ms after the step on.
#define ASSERT_KEPT_AFTER(r, step)                                                                           \
    ASSERT_WITHIN(rate_between(r, (step) + 0.1, (step) + 10.1), (r)->limit, 0.05)

// ---- loads ----

static double stepping(double seconds)
{
    return seconds < 11 || seconds >= 22 ? 10e3 : 1e6;
}

static void steps(double seconds, double load[KINDS])
{
    load[0] = stepping(seconds);
}

static void steps_of_kinds(double seconds, double load[KINDS])
{
    load[0] = 0.9 * stepping(seconds);
    load[1] = 0.09 * stepping(seconds);
    load[2] = 0.01 * stepping(seconds);
}

// Each step is one of the kinds of roots too.
static void other_kinds(double seconds, double load[KINDS])
{
    load[seconds < 11 ? 1 : seconds < 22 ? 0 : 2] = stepping(seconds);
}

static void below_it(double seconds, double load[KINDS])
{
    load[0] = seconds < 11 || seconds >= 22 ? 100 : 1e6;
}

static void bursts(double seconds, double load[KINDS])
{
    load[0] = fmod(seconds, 0.1) < 0.01 ? 1e6 : 0;
}

static void steady(double seconds, double load[KINDS])
{
    (void)seconds;
    load[0] = 20e3;
}

// ---- what it does ----

static void check_steps(run *r)
{
    simulate(r);
    for (int step = 0; step < 3; step++)
        ASSERT_KEPT_AFTER(r, step * 11);
    // Weights add up to the roots: a trace with probability p stands for 1/p of them.
    ASSERT_WITHIN(r->weights, r->roots, 0.05);
}

static void steps_of_the_load_are_followed(void **state)
{
    (void)state;
    const double passes[] = {0.001, 0.002, 0.005, 0.02};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        run *r = new_run(steps, 500, 1);
        r->pass_seconds = passes[i];
        check_steps(r);
        // The factor is about right 100 ms after each step, and what came through until then is bounded.
        for (int step = 0; step < 3; step++)
            ASSERT_WITHIN(r->factors[step * 11000 + 130], 500 / stepping(step * 11), 0.15);
        assert_true(rate_between(r, 11, 11.1) < 20e3);
    }
}

static void rules_have_rates_of_their_own(void **state)
{
    (void)state;
    run *r = new_run(steps_of_kinds, 500, 0);
    r->rates[0] = 0.1;
    r->rates[1] = 0.5;
    r->rates[2] = 1;
    check_steps(r);
}

static void other_kinds_of_roots_may_come(void **state)
{
    (void)state;
    run *r = new_run(other_kinds, 500, 0);
    r->rates[0] = 0.001;
    r->rates[1] = 0.1;
    r->rates[2] = 1;
    check_steps(r);
}

static void fewer_of_them_sampled(double seconds, double load[KINDS])
{
    load[seconds < 11 ? 0 : 1] = 1e6;
}

// As long as nobody is sampled, the factor rises step by step, and not to the top.
static void rates_may_be_found_to_be_lower(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run *r = new_run(fewer_of_them_sampled, 500, 1);
        r->rates[1] = 0.01;
        r->seed = seed;
        simulate(r);
        ASSERT_WITHIN(rate_between(r, 11.3, 21.3), 500, 0.05);
        for (int i = 11 * PER_SECOND; i < 12 * PER_SECOND; i++)
            assert_true(r->factors[i] < 0.9);
    }
}

static void traces_may_take_their_time(void **state)
{
    (void)state;
    const double takes[] = {0.005, 0.01, 0.03, 0.1, 0.4, 0.8, 2.4};
    for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
        run *r = new_run(steps, 500, 1);
        r->trace_seconds = takes[i];
        simulate(r);
        ASSERT_WITHIN(rate_between(r, 11.1, 21.1), 500, 0.06);
        ASSERT_WITHIN(rate_between(r, 22.1, 32.1), 500, 0.06);
        assert_true(changes_between(r, 12, 21) < 60); // it does not swing
    }
}

static void the_rate_is_given_back(void **state)
{
    (void)state;
    run *r = new_run(below_it, 500, 1);
    simulate(r);
    assert_true(r->factors[10999] == 1 && changes_between(r, 1, 11) == 0);
    ASSERT_WITHIN(rate_between(r, 12, 22), 500, 0.05);
    assert_true(r->factors[23000] == 1 && r->factor == 1);
    ASSERT_WITHIN(rate_between(r, 22.2, 33), 100, 0.1);
}

static void nothing_is_lowered_below_the_limit(void **state)
{
    (void)state;
    run *r = new_run(steady, 25e3, 1);
    simulate(r);
    assert_true(r->factor == 1);
    assert_int_equal(changes_between(r, 1, 33), 0);
    r = new_run(steps, 500, 0); // nor where nothing is sampled
    simulate(r);
    assert_true(r->factor == 1 && changes_between(r, 0, 33) == 0);
    r = new_run(steps, 0, 1); // nor without a limit
    simulate(r);
    assert_true(r->factor == 1 && changes_between(r, 0, 33) == 0);
}

static void it_rests_under_a_steady_load(void **state)
{
    (void)state;
    run *r = new_run(steady, 500, 1);
    simulate(r);
    ASSERT_WITHIN(rate_between(r, 1, 11), 500, 0.05);
    ASSERT_WITHIN(rate_between(r, 23, 33), 500, 0.05);
    // In 16000 passes, no more than a change in most of the seconds, and none goes far.
    assert_in_range(changes_between(r, 1, 33), 1, 45);
    for (int i = 2 * PER_SECOND; i < 33 * PER_SECOND; i++)
        ASSERT_WITHIN(r->factors[i], 0.025, 0.2);
}

static void bursts_shorter_than_a_tenth_of_a_second_are_a_load(void **state)
{
    (void)state;
    run *r = new_run(bursts, 500, 1);
    simulate(r);
    ASSERT_WITHIN(rate_between(r, 1, 31), 500, 0.05);
}

static void a_limit_may_be_tiny(void **state)
{
    (void)state;
    run *r = new_run(steady, 0.5, 1);
    r->seconds = 120;
    simulate(r);
    const double after = rate_between(r, 20, 120) * 100; // 50, and by chance some more or less
    assert_true(after > 25 && after < 80);
}

static void whoever_drains_may_be_away(void **state)
{
    (void)state;
    run *r = new_run(steps, 500, 1);
    r->away_from = 15;
    r->away_to = 16;
    simulate(r);
    ASSERT_WITHIN(rate_between(r, 11.1, 21.1), 500, 0.05);
    r->away_from = 10.5; // over the step
    r->away_to = 11.5;
    memset(r->sampled, 0, sizeof r->sampled);
    simulate(r);
    ASSERT_WITHIN(rate_between(r, 11.6, 21.6), 500, 0.05);
}

// What is not counted because it cannot be sent is not missing.
static void traces_may_stay_in_the_rings(void **state)
{
    (void)state;
    run *r = new_run(steps, 500, 1);
    r->stuck_from = 5;
    simulate(r);
    ASSERT_WITHIN(r->factors[21000], 500 / 1e6, 0.1);
    ASSERT_WITHIN(r->factors[32000], 500 / 10e3, 0.1);
}

static void roots_with_remote_parents_are_limited_too(void **state)
{
    (void)state;
    run *r = new_run(steps, 500, 1);
    r->remote = true;
    simulate(r);
    ASSERT_WITHIN(rate_between(r, 1, 11), 500, 0.1);
    ASSERT_WITHIN(rate_between(r, 11.5, 21.5), 500, 0.1);
    ASSERT_WITHIN(rate_between(r, 23, 33), 500, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_the_load_are_followed),
        cmocka_unit_test(rules_have_rates_of_their_own),
        cmocka_unit_test(other_kinds_of_roots_may_come),
        cmocka_unit_test(rates_may_be_found_to_be_lower),
        cmocka_unit_test(traces_may_take_their_time),
        cmocka_unit_test(the_rate_is_given_back),
        cmocka_unit_test(nothing_is_lowered_below_the_limit),
        cmocka_unit_test(it_rests_under_a_steady_load),
        cmocka_unit_test(bursts_shorter_than_a_tenth_of_a_second_are_a_load),
        cmocka_unit_test(a_limit_may_be_tiny),
        cmocka_unit_test(whoever_drains_may_be_away),
        cmocka_unit_test(traces_may_stay_in_the_rings),
        cmocka_unit_test(roots_with_remote_parents_are_limited_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
