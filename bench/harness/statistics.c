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

// The highest rank (the smallest value has rank 1) such that the true median lies below that value with a
// probability of at most 2.5 %; 0: there is none. The number of values below the true median is binomial with
// p = 1/2.
static size_t rank_of_limit(size_t count)
{
    double n = (double)count, chance = 0;
    for (size_t below = 0;; below++) {
        double k = (double)below;
        chance += exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2));
        if (chance > 0.025)
            return below;
    }
}

estimate estimate_median(double *values, size_t count)
{
    estimate out = {NAN, NAN, NAN};
    if (count == 0)
        return out;
    qsort(values, count, sizeof *values, compare_double);
    out.value = (values[(count - 1) / 2] + values[count / 2]) / 2;
    size_t rank = rank_of_limit(count);
    if (rank != 0) {
        out.low = values[rank - 1];
        out.high = values[count - rank];
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
