// SPDX-License-Identifier: Apache-2.0
//
// The outputs of a run: tables, JSON, a comparison with an earlier run, a page.
#ifndef NSP_BENCH_REPORT_H
#define NSP_BENCH_REPORT_H

#include <stdio.h>

#include "harness/machine.h"
#include "harness/setup.h"

typedef struct bench_results {
    bench_result *items;
    size_t count;
} bench_results;

// ---- text: tables.c ----

void report_machine(FILE *out, const bench_machine *machine);

// Prints the results of one group as a table, with a line for each benchmark.
void report_table(FILE *out, const bench_group *group, const bench_results *results);

// Prints the span counters of all sessions, added up.
void report_accounting(FILE *out, const bench_results *results);

// ---- comparison: compare.c ----

typedef enum change_verdict { CHANGE_BETTER, CHANGE_WORSE, CHANGE_NONE, CHANGE_UNKNOWN } change_verdict;

// One figure in both runs. CHANGE_BETTER and CHANGE_WORSE: the intervals do not overlap. CHANGE_NONE: they
// do. CHANGE_UNKNOWN: there are no intervals.
typedef struct bench_change {
    const char *benchmark, *figure;
    double then, now;
    change_verdict verdict;
} bench_change;

typedef struct bench_changes {
    const char *path; // of the earlier run's JSON
    bench_change *items;
    size_t count;
} bench_changes;

// Is this the JSON of an earlier run? False after a message.
bool report_comparable(const char *path);

// Compares each figure of this run with that of an earlier run's JSON; prints the changes and stores them in
// `changes`. False after a message.
bool report_compare(FILE *out, bench_changes *changes, const char *path, const bench_machine *machine,
                    const bench_results *results);

// ---- JSON: json.c ----

struct bench_budgets;

typedef struct bench_run {
    const char *command; // the command line
    const bench_setup *setup;
    bool interrupted;
    double seconds;
    const bench_machine *machine;
    const bench_group *const *groups;
    size_t group_count;
    const bench_results *results;
    const struct bench_budgets *budgets; // NULL: none were checked
    const bench_changes *changes;        // NULL: no comparison
} bench_run;

// Writes a new file, and then replaces the old one with it. False after a message.
bool report_json(const char *path, const bench_run *run);

// ---- the page: html.c ----

// Makes the page from the JSON file, by running report.py. False after a message.
bool report_html(const char *path, const char *json_path);

#endif
