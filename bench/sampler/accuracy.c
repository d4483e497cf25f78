// SPDX-License-Identifier: Apache-2.0
//
// Does the sampler keep the rate? Enough roots are begun for a few hundred thousand sampled ones. Their
// number is compared with the binomial distribution, and the gaps between them with the geometric one, both
// as standard deviations from the expected value: chance exceeds 4.5 once in 100,000 runs.
#include <math.h>
#include <stdio.h>

#include <nanospan/nanospan.h>

#include "harness/session.h"

static const double rates[] = {0.001, 0.01, 0.1, 0.5};
enum { RATES = sizeof rates / sizeof rates[0], BINS = 16 };

// How often each length of gap occurred, in bins of nearly equal probability.
typedef struct gaps {
    uint64_t above[BINS - 1]; // a gap belongs to the first bin whose bound is above it; the last has no bound
    double chance[BINS];
    uint64_t met[BINS];
    unsigned bins;
} gaps;

// The probability of a gap below n is 1 - (1 - rate)^n.
static void gaps_prepare(gaps *out, double rate)
{
    *out = (gaps){.bins = 0};
    double below = 0;
    uint64_t bound = 0;
    for (unsigned bin = 0; bin + 1 < BINS; bin++) {
        double wanted = (double)(bin + 1) / BINS;
        uint64_t next = (uint64_t)ceil(log1p(-wanted) / log1p(-rate));
        if (next <= bound)
            continue; // there are fewer lengths than bins
        bound = next;
        double now = -expm1((double)bound * log1p(-rate));
        out->above[out->bins] = bound;
        out->chance[out->bins++] = now - below;
        below = now;
    }
    out->chance[out->bins++] = 1 - below;
}

static void gaps_note(gaps *out, uint64_t gap)
{
    unsigned bin = 0;
    while (bin + 1 < out->bins && gap >= out->above[bin])
        bin++;
    out->met[bin]++;
}

// Chi-square as a normal deviate (Wilson and Hilferty, 1931).
static double gaps_deviate(const gaps *in)
{
    double total = 0, chi = 0;
    for (unsigned bin = 0; bin < in->bins; bin++)
        total += (double)in->met[bin];
    for (unsigned bin = 0; bin < in->bins; bin++) {
        double expected = total * in->chance[bin], off = (double)in->met[bin] - expected;
        chi += off * off / expected;
    }
    double freedom = in->bins - 1, spread = 2 / (9 * freedom);
    return (cbrt(chi / freedom) - (1 - spread)) / sqrt(spread);
}

// Begins this many roots; *gap continues from call to call. Returns how many were recorded.
static uint64_t run_roots(uint64_t count, uint64_t *gap, gaps *into)
{
    uint64_t hits = 0;
    for (uint64_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("accuracy"));
        if (nsp_span_recording(span)) {
            hits++;
            gaps_note(into, *gap);
            *gap = 0;
        } else {
            ++*gap;
        }
        nsp_span_end(span);
    }
    return hits;
}

static void report(uint64_t roots, uint64_t hits, double rate, const gaps *met, bench_result *out)
{
    double deviation = sqrt((double)roots * rate * (1 - rate));
    double measured = (double)hits / (double)roots, half = 1.96 * deviation / (double)roots;
    result_add_estimate(out, "sampled_percent",
                        (estimate){measured * 100, (measured - half) * 100, (measured + half) * 100});
    result_add(out, "z", fabs((double)hits - (double)roots * rate) / deviation);
    result_add(out, "gaps_z", gaps_deviate(met));
    result_add(out, "roots_millions", (double)roots / 1e6);
    result_add(out, "hits_millions", (double)hits / 1e6);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const double wanted_hits = (setup->quick ? 0.5 : 1) * (index == 0 ? 100e3 : 500e3);
    if (!session_start(setup, NSP_COLLECTOR_THREAD, NULL, out))
        return;
    out->rounds = 1;
    gaps met;
    uint64_t gap = 0, hits = 0, roots = 0;
    if (nsp_sampler_set_rate(rates[index]) != NSP_OK)
        result_fail(out, "cannot set the sample rate");
    const double rate = nsp_sampler_rate(); // the effective rate, which has a limited resolution
    const uint64_t wanted = (uint64_t)(wanted_hits / rate), burst = (uint64_t)(1500 / rate);
    gaps_prepare(&met, rate);
    for (unsigned bursts = 0; roots < wanted && setup->rounds != 0 && out->problem[0] == '\0'; bursts++) {
        if (!session_drained())
            result_fail(out, "the collector did not drain the ring");
        hits += run_roots(burst, &gap, &met);
        roots += burst;
        if (bursts % 16 == 0)
            progress(out, (unsigned)(roots * 100 / wanted), 100);
    }
    progress(out, 100, 100);
    if (session_losses() != 0)
        result_fail(out, "roots were refused or lost");
    else
        report(roots, hits, rate, &met, out);
    session_end(out);
    if (out->stats.attempted != hits || out->stats.roots_unsampled != roots - hits)
        result_fail(out, "the span counters show a different number of roots");
}

static bool describe(size_t index, bench_result *out)
{
    static char names[RATES][24], whats[RATES][80];
    if (index >= RATES)
        return false;
    double percent = rates[index] * 100;
    snprintf(names[index], sizeof names[0], "accuracy_%g", percent);
    snprintf(whats[index], sizeof whats[0],
             "at %g %%: sampled roots and the gaps between them, against theory", percent);
    out->name = names[index];
    out->what = whats[index];
    return true;
}

const bench_group group_accuracy = {
    .name = "sampler_accuracy",
    .method =
        "share of roots that are recorded; z and gaps_z: deviation of their number from the binomial and "
        "of their gaps from the geometric distribution, in standard deviations",
    .describe = describe,
    .measure = measure,
};
