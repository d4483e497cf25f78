// SPDX-License-Identifier: Apache-2.0
//
// A log-linear histogram of durations: 32 steps for each doubling, as those of <nanospan/latency.h>, but of
// nanoseconds, and up to five hours. Quantiles are right within 1.6 %.
#ifndef NANOSPAN_SINK_DURATION_HISTOGRAM_H
#define NANOSPAN_SINK_DURATION_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { DURATION_OCTAVE = 32, DURATION_OCTAVES = 40, DURATION_STEPS = DURATION_OCTAVE * DURATION_OCTAVES };

// The step in which a duration counts; those longer than the last step count there.
static inline size_t duration_step(uint64_t ns)
{
    if (ns < DURATION_OCTAVE)
        return (size_t)ns;
    const unsigned shift = 63u - 5u - (unsigned)__builtin_clzll(ns);
    const size_t step = shift * DURATION_OCTAVE + (size_t)(ns >> shift);
    return step < DURATION_STEPS ? step : DURATION_STEPS - 1;
}

// The shortest duration that counts in a step.
static inline uint64_t duration_of_step(size_t step)
{
    if (step < 2 * DURATION_OCTAVE)
        return step;
    return (uint64_t)(DURATION_OCTAVE + step % DURATION_OCTAVE) << (step / DURATION_OCTAVE - 1);
}

// The quantile by nearest rank, as the middle of its step; or `longest` if that is what it is. 0 if there
// are no durations.
static inline uint64_t duration_quantile(const uint64_t *counts, uint64_t total, uint64_t longest,
                                         double share)
{
    if (total == 0)
        return 0;
    const double exact = share * (double)total;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact || rank == 0;
    if (rank >= total)
        return longest;
    size_t step = 0;
    for (uint64_t seen = counts[0]; seen < rank && step < DURATION_STEPS - 1;)
        seen += counts[++step];
    const uint64_t first = duration_of_step(step);
    // Of a whole number of nanoseconds: (first + last) / 2.
    const uint64_t middle = first + (duration_of_step(step + 1) - 1 - first) / 2;
    return step == DURATION_STEPS - 1 || middle > longest ? longest : middle;
}

#endif
