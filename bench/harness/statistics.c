// SPDX-License-Identifier: Apache-2.0
#include "harness/statistics.h"

#include <math.h>
#include <stdlib.h>

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

estimate estimate_median(double *values, size_t count)
{
    estimate out = {NAN, NAN, NAN};
    if (count == 0)
        return out;
    qsort(values, count, sizeof *values, compare_double);
    out.value = (values[(count - 1) / 2] + values[count / 2]) / 2;
    // The number of values below the true median is binomial with p = 1/2. Below 6, no pair of ranks reaches 95 %.
    if (count >= 6) {
        double half = 1.96 * sqrt((double)count) / 2;
        double low = floor((double)count / 2 - half), high = ceil((double)count / 2 + half);
        out.low = values[low > 0 ? (size_t)low : 0];
        out.high = values[high < (double)count ? (size_t)high : count - 1];
    }
    return out;
}

double smallest(const double *values, size_t count)
{
    double least = NAN;
    for (size_t i = 0; i < count; i++)
        if (!(values[i] >= least))
            least = values[i];
    return least;
}

void sort_u32(uint32_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_u32);
}

uint32_t percentile(const uint32_t *sorted, size_t count, double part)
{
    size_t rank = (size_t)ceil(part * (double)count);
    if (rank == 0)
        rank = 1;
    return sorted[(rank < count ? rank : count) - 1];
}
