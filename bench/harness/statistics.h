// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_BENCH_STATISTICS_H
#define NSP_BENCH_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

typedef struct estimate {
    double value, low, high;
} estimate;

// The median and its 95 % confidence interval (at least that), from order statistics (no assumption about the
// distribution). Sorts.
// The interval is NAN where there are fewer than 6 values, and all is NAN where there are none.
estimate estimate_median(double *values, size_t count);

double smallest(const double *values, size_t count);

void sort_u32(uint32_t *values, size_t count);

// Of sorted values: the least that at least this part (0 to 1) of them does not exceed.
uint32_t percentile(const uint32_t *sorted, size_t count, double part);

#endif
