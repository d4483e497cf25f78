// SPDX-License-Identifier: Apache-2.0
//
// A distribution of single durations: exact, from all samples, no histogram between.
#ifndef NSP_BENCH_DISTRIBUTION_H
#define NSP_BENCH_DISTRIBUTION_H

#include "harness/result.h"

// Adds a line to the plot: the duration at each percentile, ever finer towards 100 (after Gil Tene's HdrHistogram plots). samples: in
// some unit, sorted; unit_ns: nanoseconds of it.
void distribution_plot(bench_result *out, const char *plot, const char *name, const uint32_t *samples,
                       size_t count, double unit_ns);

#endif
