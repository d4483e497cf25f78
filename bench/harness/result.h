// SPDX-License-Identifier: Apache-2.0
//
// The result of a benchmark: named figures, and the span counters of the session that it used.
#ifndef NSP_BENCH_RESULT_H
#define NSP_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include <nanospan/stats.h>

#include "harness/statistics.h"

// The name of a figure ends with its unit (_ns, _millions); a figure without a unit is a ratio.
typedef struct bench_figure {
    const char *name;
    estimate is;
} bench_figure;

// A line of a plot. The lines of one plot share its axes.
typedef struct bench_point {
    double x;
    estimate y;
} bench_point;

typedef struct bench_series {
    const char *plot; // lines with the same plot name, also of other results of the group, form one plot
    char name[48];    // of this line
    const char *x,
        *y; // axis titles with the unit; for x "percentile", points have x = 1 / (1 - percentile / 100)
    bench_point *points;
    size_t count, room;
} bench_series;

enum { FIGURES_MAX = 32, SERIES_MAX = 16 };

typedef struct bench_result {
    const char *group, *name, *what;
    bench_figure figures[FIGURES_MAX];
    size_t count;
    bench_series series[SERIES_MAX];
    size_t series_count;
    unsigned rounds, invalid; // rounds that count; rounds that say nothing, because spans were lost in them
    char problem[120];        // why the figures are not valid; "": they are
    char skipped[120];        // why it was not measured on this machine; "": it was
    char withdrawn[160];      // which figures turned out to say nothing (rounds_judge_again), and why; or ""
    double best_additions;    // the best of the machine when rounds were judged by it; 0: none were
    double least_distance;    // likewise, of the collector's CPU
    double seconds;           // duration of the measurement
    nsp_stats stats;          // the span counters; size 0: no session
} bench_result;

// The name must be a literal.
void result_add(bench_result *out, const char *name, double value);
void result_add_estimate(bench_result *out, const char *name, estimate is);
void result_fail(bench_result *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The subject is missing on this machine (a peer that is not installed, a feature of the kernel). This is not
// an error.
void result_skip(bench_result *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// plot, x and y must be literals; name is copied. NULL if there are too many series.
bench_series *result_add_series(bench_result *out, const char *plot, const char *name, const char *x,
                                const char *y);

void series_add(bench_series *out, double x, estimate y);

// NULL if there is none.
const bench_figure *result_find(const bench_result *in, const char *name);

#endif
