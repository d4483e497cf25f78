// SPDX-License-Identifier: Apache-2.0
//
// What a run leaves behind: tables for people, JSON for later, a comparison with an earlier run.
#ifndef NSP_BENCH_REPORT_H
#define NSP_BENCH_REPORT_H

#include <stdio.h>

#include "harness/machine.h"

typedef struct bench_results {
    bench_result *items;
    size_t count;
} bench_results;

void report_machine(FILE *out, const bench_machine *machine);

// The results of one group, in a table with a line for each.
void report_table(FILE *out, const bench_group *group, const bench_results *results);

// The books of all sessions together.
void report_books(FILE *out, const bench_results *results);

// False after a message: the file cannot be written.
bool report_json(const char *path, const bench_machine *machine, const bench_results *results);

// Each figure of this run beside the one of an earlier run's JSON. False after a message.
bool report_compare(FILE *out, const char *path, const bench_results *results);

#endif
