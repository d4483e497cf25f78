// SPDX-License-Identifier: Apache-2.0
#include "harness/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

// A copy of the values in order; NULL if there are none, or no memory. The caller frees it.
static double *in_order(const double *values, size_t count)
{
    double *sorted = count != 0 ? malloc(count * sizeof *sorted) : NULL;
    if (sorted != NULL) {
        memcpy(sorted, values, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, compare_double);
    }
    return sorted;
}

estimate estimate_median(const double *values, size_t count)
{
    estimate out = {NAN, NAN, NAN};
    double *sorted = in_order(values, count);
    if (sorted == NULL)
        return out;
    out.value = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    size_t rank = rank_of_limit(count);
    if (rank != 0) {
        out.low = sorted[rank - 1];
        out.high = sorted[count - rank];
    }
    free(sorted);
    return out;
}

double quantile(const double *values, size_t count, double part)
{
    double *sorted = in_order(values, count);
    if (sorted == NULL)
        return NAN;
    size_t rank = (size_t)ceil(part * (double)count);
    double value = sorted[(rank != 0 ? rank : 1) - 1];
    free(sorted);
    return value;
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
