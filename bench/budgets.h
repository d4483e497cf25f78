// SPDX-License-Identifier: Apache-2.0
//
// Budgets: what figures may be, in a file that people read and write. A line:
//
//   BENCHMARK FIGURE <= VALUE [or FIGURE <= VALUE]...     also with >=; # begins a comment
#ifndef NSP_BENCH_BUDGETS_H
#define NSP_BENCH_BUDGETS_H

#include "report/report.h"

typedef enum budgets_verdict { BUDGETS_KEPT, BUDGETS_BROKEN, BUDGETS_UNREADABLE } budgets_verdict;

// Prints pass or fail for each line, with what was measured. A benchmark that did not give a valid figure fails; one that
// was not run is named as skipped.
budgets_verdict budgets_check(FILE *out, const char *path, const bench_results *results);

#endif
