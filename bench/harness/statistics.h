// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_BENCH_STATISTICS_H
#define NSP_BENCH_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

typedef struct estimate {
    double value, low, high;
} estimate;

// The median and its confidence interval of at least 95 %, from order statistics (no assumption about the
// distribution). The interval is NAN if there are fewer than 6 values; everything is NAN if there are none.
estimate estimate_median(const double *values, size_t count);

// The smallest of the values that at least this part (0 to 1) of them does not exceed; NAN if there are none.
double quantile(const double *values, size_t count, double part);

double smallest(const double *values, size_t count);

void sort_u32(uint32_t *values, size_t count);

// The smallest of the sorted values that at least this part (0 to 1) of them does not exceed.
uint32_t percentile(const uint32_t *sorted, size_t count, double part);

#endif
