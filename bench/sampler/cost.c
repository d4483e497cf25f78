// SPDX-License-Identifier: Apache-2.0
//
// The cost of a root with three setters to the thread, at each sample rate: bursts between two looks at the
// noise, A B B A, as in hot_path/means.c. The ring is drained between rounds.
#include <stdio.h>

#include <nanospan/nanospan.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"

static const double rates[] = {0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1};
enum { RATES = sizeof rates / sizeof rates[0], TRIES_MAX = 4096 };

// ---- the operation: four roots, so that rules have different names to distinguish ----

#define ROOT(name)                                                                                           \
    do {                                                                                                     \
        nsp_span *span = nsp_span_begin(NSP_NAME(name));                                                     \
        nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");                                                \
        nsp_span_set_f64(span, NSP_KEY("price"), 101.25);                                                    \
        nsp_span_set_i64(span, NSP_KEY("quantity"), (int64_t)i);                                             \
        nsp_span_end(span);                                                                                  \
    } while (0)

enum { ROOTS = 4 };

static __attribute__((noinline)) void run_roots(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ROOT("order.new");
        ROOT("order.cancel");
        ROOT("quote.update");
        ROOT("timer");
    }
}

// `timer` matches none of these, and has the default rate.
static const char *const patterns[] = {"risk.*",  "order.n?w", "admin.*",      "*.cancel",
                                       "session", "order.*",   "quote.[a-z]*", "log.*"};
enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

// Sets the default rate, and the rules if wanted. Both end with the session.
static bool set_rates(double rate, bool rules)
{
    bool fine = nsp_sampler_set_rate(rate) == NSP_OK;
    for (size_t i = 0; rules && i < PATTERNS; i++)
        fine &= nsp_sampler_set_rule(patterns[i], rate) == NSP_OK;
    run_roots(16); // interns the names, and lets the thread read the sampling policy
    return fine;
}

// ---- rounds ----

typedef struct cost_round {
    bench_noise noise; // two_reads is also the base of the ratio
    double root;       // ns
    bool disturbed;
} cost_round;

// About 20 us of the operation. At rate 1 that is about 90 KiB of records, a small part of the ring.
static size_t burst_size(void)
{
    enum { TRIAL = 256, LEAST = 16, MOST = 16384 };
    double size = 20000 / noise_time(run_roots, TRIAL);
    return size < LEAST ? LEAST : size < MOST ? (size_t)size : MOST;
}

static cost_round measure_round(size_t burst)
{
    ticks_spin(20000);
    noise_time(run_two_reads, 100);
    run_roots(32);
    uint64_t losses = session_losses();
    long switches = noise_switches();
    bench_noise noise = noise_look();
    double root = noise_time(run_roots, burst);
    root += noise_time(run_roots, burst);
    noise = noise_mean(noise, noise_look());
    bool disturbed = noise_switches() != switches || session_losses() != losses;
    return (cost_round){noise, root / 2 / ROOTS, disturbed};
}

static bool accepted(const cost_round *round)
{
    return !round->disturbed && noise_accepts(round->noise);
}

static size_t count_accepted(const cost_round *rounds, size_t count)
{
    size_t valid = 0;
    for (size_t i = 0; i < count; i++)
        valid += accepted(&rounds[i]);
    return valid;
}

static size_t measure_rounds(const bench_setup *setup, cost_round *rounds, bench_result *out)
{
    size_t burst = burst_size(), count = 0, valid = 0;
    unsigned streak = 0; // of invalid rounds
    while (valid < setup->rounds && count < setup->tries && count < TRIES_MAX) {
        noise_pause(streak);
        if (!session_drained()) {
            result_fail(out, "the collector did not drain the ring");
            break;
        }
        rounds[count++] = measure_round(burst);
        streak = accepted(&rounds[count - 1]) ? 0 : streak + 1;
        valid = count_accepted(rounds, count);
        progress(out, (unsigned)valid, setup->rounds);
    }
    return count;
}

// Returns the cost per root.
static estimate report(const cost_round *rounds, size_t count, bench_result *out)
{
    static double ratio[TRIES_MAX], ns[TRIES_MAX], base[TRIES_MAX];
    size_t valid = 0;
    for (size_t i = 0; i < count; i++) {
        if (!accepted(&rounds[i]))
            continue;
        ns[valid] = rounds[i].root;
        base[valid] = rounds[i].noise.two_reads;
        ratio[valid++] = rounds[i].root / rounds[i].noise.two_reads;
    }
    out->rounds = (unsigned)valid;
    out->invalid = (unsigned)(count - valid);
    if (valid < ROUNDS_LEAST)
        result_fail(out, "too noisy: %zu of %zu rounds are valid, %d are needed", valid, count, ROUNDS_LEAST);
    estimate root = estimate_median(ns, valid);
    result_add_estimate(out, "ratio", estimate_median(ratio, valid));
    result_add_estimate(out, "root_ns", root);
    result_add(out, "least_ns", smallest(ns, valid));
    result_add(out, "2T_ns", estimate_median(base, valid).value);
    return root;
}

// ---- the table: every rate without rules, then with them ----

// Adds the line of the plot to the result of the last rate, with everything that was measured before it in
// this run.
static void plot(size_t rate, bool rules, estimate root, bench_result *out)
{
    static estimate line[2][RATES];
    static bool have[2][RATES];
    line[rules][rate] = root;
    have[rules][rate] = out->problem[0] == '\0';
    if (rate + 1 != RATES)
        return;
    bench_series *series =
        result_add_series(out, "cost of a root against the sample rate",
                          rules ? "8 rules and a default" : "no rules", "sample rate %", "ns");
    for (size_t i = 0; i < RATES; i++)
        if (have[rules][i])
            series_add(series, rates[i] * 100, line[rules][i]);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static cost_round rounds[TRIES_MAX];
    size_t rate = index % RATES;
    bool rules = index >= RATES;
    if (!session_start(setup, NSP_COLLECTOR_THREAD, NULL, out))
        return;
    if (!set_rates(rates[rate], rules)) {
        result_fail(out, "cannot set the sample rates");
    } else {
        size_t count = measure_rounds(setup, rounds, out);
        plot(rate, rules, report(rounds, count, out), out);
    }
    session_end(out);
}

static bool describe(size_t index, bench_result *out)
{
    static char names[2 * RATES][24], whats[2 * RATES][80];
    if (index >= 2 * RATES)
        return false;
    bool rules = index >= RATES;
    double percent = rates[index % RATES] * 100;
    snprintf(names[index], sizeof names[0], "%s_%g", rules ? "rules" : "rate", percent);
    snprintf(whats[index], sizeof whats[0], "a root with 3 setters, %g %% sampled%s", percent,
             rules ? ", by a default and 8 rules" : "");
    out->name = names[index];
    out->what = whats[index];
    return true;
}

const bench_group group_sampler = {
    .name = "sampler",
    .method =
        "a root with 3 setters at each sample rate: means of bursts, ratio to two clock reads (2T) timed "
        "in the same round, A B B A; medians with 95 % intervals",
    .describe = describe,
    .measure = measure,
};
