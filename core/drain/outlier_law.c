// SPDX-License-Identifier: Apache-2.0
#include "drain/outlier_law.h"

#include <math.h>
#include <string.h>

static const uint64_t block_ns = UINT64_C(250000000);
static const double block_slowest = 25; // roots that a block has above the bound, at least, before it is full
static const double known_slowest = 10;
// Far too many, or too few, roots above the bound: more than so many times as many, and so many more than
// chance gives.
static const double step_ratio = 4, step_chance = 10;
// How fast, and how far, the share is corrected.
static const double correction_pace = 0.1, correction_max = 0.7;

void nsp__outlier_law_begin(nsp__outlier_law *law, double share)
{
    memset(law, 0, sizeof *law);
    law->share = share;
    law->slowest_ticks = NSP__SLOWEST_UNKNOWN;
}

// ---- within a step ----

// From `above` roots at a step's end to `all` at its beginning: the part of the step, counted from its end,
// in which there are `wanted`. At the end of all durations there is no logarithm, so there the roots lie
// evenly.
static double part_of(double above, double all, double wanted)
{
    return above > 0 ? log(wanted / above) / log(all / above) : wanted / all;
}

// The roots above a bound, among these counts.
static double roots_above(const uint32_t *counts, uint64_t bound)
{
    if (bound > NSP__LATENCY_TICKS_MAX)
        return 0;
    const uint32_t step = nsp__latency_step(bound);
    const double first = (double)nsp__latency_step_ticks(step),
                 next = (double)nsp__latency_step_ticks(step + 1);
    const double part = (next - (double)bound) / (next - first);
    double above = 0;
    for (uint32_t i = NSP__LATENCY_STEPS - 1; i > step; i--)
        above += counts[i];
    const double all = above + counts[step];
    if (counts[step] == 0)
        return above;
    return above > 0 ? above * pow(all / above, part) : all * part;
}

// ---- the window ----

static nsp__outlier_block *block_back(nsp__outlier_law *law, uint32_t back)
{
    return &law->blocks[(law->newest + NSP__OUTLIER_LAW_BLOCKS - back) % NSP__OUTLIER_LAW_BLOCKS];
}

static void next_block(nsp__outlier_law *law, uint64_t now_ns)
{
    law->newest = (law->newest + 1) % NSP__OUTLIER_LAW_BLOCKS;
    law->used += law->used < NSP__OUTLIER_LAW_BLOCKS;
    memset(&law->blocks[law->newest], 0, sizeof law->blocks[0]);
    law->blocks[law->newest].begun_ns = now_ns;
}

// The bound above which `wanted` roots of the window lie.
static uint64_t bound_of(nsp__outlier_law *law, double wanted)
{
    double above = 0;
    for (uint32_t step = NSP__LATENCY_STEPS; step-- > 0;) {
        double all = above;
        for (uint32_t back = 0; back < law->used; back++)
            all += block_back(law, back)->counts[step];
        if (all >= wanted && all > above) {
            const double first = (double)nsp__latency_step_ticks(step),
                         next = (double)nsp__latency_step_ticks(step + 1);
            return (uint64_t)(next - part_of(above, all, wanted) * (next - first) + 0.5);
        }
        above = all;
    }
    return 0;
}

static double roots_of(nsp__outlier_law *law)
{
    double roots = 0;
    for (uint32_t back = 0; back < law->used; back++)
        roots += (double)block_back(law, back)->roots;
    return roots;
}

// ---- a look ----

// Forgets all that came before the newest block.
static void forget(nsp__outlier_law *law)
{
    law->used = 1;
    law->correction = 0;
}

// What came since the last look has far more roots above the bound than it should.
static bool stepped_up(const nsp__outlier_law *law, double above)
{
    return above > step_ratio * law->share * (double)law->fresh_roots + step_chance;
}

// A full block has far fewer.
static bool stepped_down(nsp__outlier_law *law)
{
    const nsp__outlier_block *block = block_back(law, 0);
    return law->used > 1 &&
           step_ratio * roots_above(block->counts, law->slowest_ticks) < law->share * (double)block->roots;
}

static void correct(nsp__outlier_law *law, double above)
{
    // As if a look's worth of roots had been right, so that chance says little where roots are few.
    const double wanted = law->share * (double)law->fresh_roots;
    const double off = log((above + block_slowest) / (wanted + block_slowest));
    law->correction = fmin(fmax(law->correction - correction_pace * off, -correction_max), correction_max);
}

static void take_fresh(nsp__outlier_law *law)
{
    nsp__outlier_block *block = block_back(law, 0);
    for (uint32_t step = 0; step < NSP__LATENCY_STEPS; step++)
        block->counts[step] += law->fresh[step];
    block->roots += law->fresh_roots;
    law->fresh_roots = 0;
    memset(law->fresh, 0, sizeof law->fresh);
}

uint64_t nsp__outlier_law_look(nsp__outlier_law *law, uint64_t now_ns)
{
    if (law->used == 0)
        next_block(law, now_ns);
    if (law->fresh_roots == 0)
        return law->slowest_ticks;
    if (law->known) {
        const double above = roots_above(law->fresh, law->slowest_ticks);
        if (stepped_up(law, above)) {
            next_block(law, now_ns);
            forget(law);
        } else {
            correct(law, above);
        }
    }
    take_fresh(law);
    const nsp__outlier_block *block = block_back(law, 0);
    const bool full =
        now_ns - block->begun_ns >= block_ns && law->share * (double)block->roots >= block_slowest;
    if (full && law->known && stepped_down(law))
        forget(law);
    const double wanted = law->share * roots_of(law);
    law->known = law->known || wanted >= known_slowest;
    // After a step there may be too few roots to know: then the slowest of them is the bound.
    if (law->known)
        law->slowest_ticks = bound_of(law, fmin(fmax(wanted * exp(law->correction), 1), roots_of(law)));
    if (full)
        next_block(law, now_ns);
    return law->slowest_ticks;
}
