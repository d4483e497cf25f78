// SPDX-License-Identifier: Apache-2.0
//
// A histogram of latencies in any unit: each power of two is divided into 64 steps, so a value read back is
// at most 1.6 % too high over the whole 64-bit range, in a fixed 59 KiB. One writer; to record a value takes
// a few instructions.
#ifndef EXAMPLES_HISTOGRAM_H
#define EXAMPLES_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_STEP_BITS = 7, HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS };

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[(64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS];
};

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
    unsigned shift = 0;
    if (value >= HISTOGRAM_STEPS)
        shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS + 1;
    // Values from 2^7 on lie in [64, 128) after the shift; smaller values are not shifted and fill the first
    // row.
    histogram->buckets[(size_t)shift * HISTOGRAM_STEPS + (value >> shift)]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

// The value that the given fraction of all records does not exceed, rounded up to the end of its step; 0 if
// empty.
static inline uint64_t histogram_quantile(const struct histogram *histogram, double fraction)
{
    uint64_t wanted = (uint64_t)(fraction * (double)histogram->count), seen = 0;
    if (wanted >= histogram->count)
        return histogram->max;
    for (size_t i = 0; i < sizeof histogram->buckets / sizeof histogram->buckets[0]; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted) {
            unsigned shift = (unsigned)(i / HISTOGRAM_STEPS);
            uint64_t end = (((uint64_t)(i % HISTOGRAM_STEPS) + 1) << shift) - 1;
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}

#endif
