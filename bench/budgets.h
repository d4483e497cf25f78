// SPDX-License-Identifier: Apache-2.0
//
// Budgets: what figures may be, in a file that people read and write. A line:
//
//   BENCHMARK FIGURE <= VALUE [or FIGURE <= VALUE]...     also with >=; # begins a comment
//
// BENCHMARK may be a shell pattern: then the line holds for each benchmark that matches and has the figure.
#ifndef NSP_BENCH_BUDGETS_H
#define NSP_BENCH_BUDGETS_H

#include <stdio.h>

#include "report/report.h"

enum { CONDITIONS_MAX = 4, BUDGETS_MAX = 512 };

typedef struct budget_condition {
    char figure[40];
    bool at_most;    // or at least
    double limit;    // in the figure's own unit
    double measured; // NAN: not measured
} budget_condition;

typedef enum budget_verdict { BUDGET_PASS, BUDGET_FAIL, BUDGET_SKIP } budget_verdict;

// One line of the file, for one benchmark.
typedef struct bench_budget {
    unsigned line;
    char benchmark[48];
    budget_condition conditions[CONDITIONS_MAX]; // one that holds is enough
    size_t count;
    budget_verdict verdict;
    char why[160]; // skipped, or failed without a figure to show; else ""
} bench_budget;

typedef struct bench_budgets {
    const char *path;
    bench_budget items[BUDGETS_MAX];
    size_t count;
    unsigned verdicts[3]; // how many of each budget_verdict
} bench_budgets;

// Before anything is measured: can the file be understood, but for figures' names? False after a message with file and line.
bool budgets_understood(const char *path, bool (*exists)(const char *pattern));

// Reads the file and judges the results. A benchmark that did not give a valid figure fails; one that is not there on this
// machine, or was not run, is skipped. exists: is there a benchmark of this name or pattern at all? False, after a
// message with file and line, if the file cannot be understood or not one of its budgets could be judged.
bool budgets_check(bench_budgets *out, const char *path, const bench_results *results,
                   bool (*exists)(const char *pattern));

// A line for each, and one for all of them.
void budgets_print(FILE *out, const bench_budgets *budgets);

#endif
