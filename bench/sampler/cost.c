// SPDX-License-Identifier: Apache-2.0
//
// The cost of a root with three setters to the thread, at each sample rate: bursts between two looks at the
// machine, A B B A. The ring is drained between rounds.
#include <stdio.h>

#include <nanospan/nanospan.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"
#include "pipeline/bursts.h"

static const double rates[] = {0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1};
enum { RATES = sizeof rates / sizeof rates[0] };

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

// About 20 us of the operation. At rate 1 that is about 90 KiB of records, a small part of the ring.
static size_t burst_size(void)
{
    enum { TRIAL = 256, LEAST = 16, MOST = 16384 };
    double size = 20000 / noise_time(run_roots, TRIAL);
    return size < LEAST ? LEAST : size < MOST ? (size_t)size : MOST;
}

// Returns the cost per root.
static estimate measure_rounds(const bench_setup *setup, bench_result *out)
{
    static burst_rounds rounds;
    rounds.count = rounds.measured = 0;
    bursts_add(&rounds, run_roots, burst_size(), ROOTS, LOSES_NOTHING, setup->rounds, setup, out);
    burst_cost cost = bursts_cost(&rounds, out);
    result_add_estimate(out, "ratio", cost.ratio);
    result_add_estimate(out, "root_ns", cost.ns);
    result_add(out, "least_ns", smallest(rounds.ns, rounds.count));
    result_add(out, "2T_ns", estimate_median(rounds.two_reads, rounds.count).value);
    rounds_by_core(out, rounds_core, rounds.ratio, rounds.additions, rounds.count);
    return cost.ns;
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
    size_t rate = index % RATES;
    bool rules = index >= RATES;
    if (!session_start(setup, NSP_COLLECTOR_THREAD, NULL, out))
        return;
    if (!set_rates(rates[rate], rules)) {
        result_fail(out, "cannot set the sample rates");
    } else {
        plot(rate, rules, measure_rounds(setup, out), out);
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
        "in the same round, A B B A; medians of all rounds with 95 % intervals; core_alone: the ratio where "
        "nothing else used the core",
    .describe = describe,
    .measure = measure,
};
