// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark has to say: figures with a name, and the books of the session that it ran on.
#ifndef NSP_BENCH_RESULT_H
#define NSP_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include <nanospan/stats.h>

#include "noise.h"
#include "statistics.h"

// A figure's name ends with its unit (_ns, _millions); one without is a ratio.
typedef struct bench_figure {
    const char *name;
    estimate is;
} bench_figure;

enum { FIGURES_MAX = 16 };

typedef struct bench_result {
    const char *group, *name, *what;
    bench_figure figures[FIGURES_MAX];
    size_t count;
    unsigned rounds, invalid; // measured and used; measured and thrown away
    char problem[120];        // why there is nothing to be believed; "": nothing wrong
    bench_noise best;         // of the machine, as known when it was measured
    nsp_stats books;          // size 0: no session
} bench_result;

// The name is a literal.
void result_add(bench_result *out, const char *name, double value);
void result_add_estimate(bench_result *out, const char *name, estimate is);
void result_fail(bench_result *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// NULL if there is none.
const bench_figure *result_find(const bench_result *in, const char *name);

#endif
