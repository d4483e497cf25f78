// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark has to say: figures with a name, and the books of the session that it ran on.
#ifndef NSP_BENCH_RESULT_H
#define NSP_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include <nanospan/stats.h>

#include "harness/noise.h"
#include "harness/statistics.h"

// A figure's name ends with its unit (_ns, _millions); one without is a ratio.
typedef struct bench_figure {
    const char *name;
    estimate is;
} bench_figure;

// A line of a plot. Lines of one plot share its axes.
typedef struct bench_point {
    double x;
    estimate y;
} bench_point;

typedef struct bench_series {
    const char *plot; // lines with the same plot, also of other results of the group, are drawn into one
    char name[48];    // of this line
    const char *x,
        *y; // what the axes show, with the unit; x "percentile": points are x = 1 / (1 - percentile / 100)
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
    unsigned rounds, invalid; // measured and used; measured and thrown away
    char problem[120];        // why there is nothing to be believed; "": nothing wrong
    char skipped[120];        // why it is not there on this machine; "": it is
    double seconds;           // that measuring it took
    bool counted;             // its figures are counts: how fast the machine is does not matter
    bench_noise best;         // of the machine, as known when it was measured
    nsp_stats books;          // size 0: no session
} bench_result;

// The name is a literal.
void result_add(bench_result *out, const char *name, double value);
void result_add_estimate(bench_result *out, const char *name, estimate is);
void result_fail(bench_result *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// What is to be measured is absent on this machine (a peer that is not installed, a feature of the kernel): no error.
void result_skip(bench_result *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// plot, x and y are literals; name is copied. NULL if there are too many.
bench_series *result_add_series(bench_result *out, const char *plot, const char *name, const char *x,
                                const char *y);

void series_add(bench_series *out, double x, estimate y);

// NULL if there is none.
const bench_figure *result_find(const bench_result *in, const char *name);

#endif
