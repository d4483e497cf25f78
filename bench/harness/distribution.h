// SPDX-License-Identifier: Apache-2.0
//
// The distribution of single durations: exact, computed from all samples without a histogram.
#ifndef NSP_BENCH_DISTRIBUTION_H
#define NSP_BENCH_DISTRIBUTION_H

#include "harness/result.h"

// Adds a line to the plot: the duration at each percentile, in ever finer steps towards 100 (like Gil Tene's
// HdrHistogram plots). samples are sorted, in any unit; unit_ns is that unit in nanoseconds.
void distribution_plot(bench_result *out, const char *plot, const char *name, const uint32_t *samples,
                       size_t count, double unit_ns);

#endif
