// SPDX-License-Identifier: Apache-2.0
//
// Budgets: limits for figures, in a text file. A line of it:
//
//   BENCHMARK FIGURE <= VALUE [or FIGURE <= VALUE]...     also with >=; # begins a comment
//
// BENCHMARK may be a shell pattern: then the line applies to each benchmark that matches and has the figure.
#ifndef NSP_BENCH_BUDGETS_H
#define NSP_BENCH_BUDGETS_H

#include <stdio.h>

#include "report/report.h"

enum { CONDITIONS_MAX = 4, BUDGETS_MAX = 512 };

typedef struct budget_condition {
    char figure[40];
    bool at_most;    // false: at least
    double limit;    // in the unit of the figure
    double measured; // NAN: not measured
} budget_condition;

typedef enum budget_verdict { BUDGET_PASS, BUDGET_FAIL, BUDGET_SKIP } budget_verdict;

// One line of the file, for one benchmark.
typedef struct bench_budget {
    unsigned line;
    char benchmark[48];
    budget_condition conditions[CONDITIONS_MAX]; // at least one must hold
    size_t count;
    budget_verdict verdict;
    char why[200]; // why it is skipped, or failed without a valid figure; otherwise ""
} bench_budget;

typedef struct bench_budgets {
    const char *path;
    bench_budget items[BUDGETS_MAX];
    size_t count;
    unsigned verdicts[3]; // the number of budgets with each budget_verdict
} bench_budgets;

// Checks, before anything is measured, that the file can be understood, except for the names of figures.
// False after a message with file and line.
bool budgets_understood(const char *path, bool (*exists)(const char *pattern));

// Reads the file and judges the results. A benchmark without a valid figure fails; one that cannot run on
// this machine, or was not run, is skipped. So is a core_alone figure of fewer than ROUNDS_LEAST rounds. exists tells whether a benchmark with this name or pattern exists
// at all. False, after a message with file and line, if the file cannot be understood or none of its budgets
// could be judged.
bool budgets_check(bench_budgets *out, const char *path, const bench_results *results,
                   bool (*exists)(const char *pattern));

// Prints a line for each budget, and a summary.
void budgets_print(FILE *out, const bench_budgets *budgets);

#endif
