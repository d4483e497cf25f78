// SPDX-License-Identifier: Apache-2.0
//
// What every benchmark is told, and how it is found.
#ifndef NSP_BENCH_SETUP_H
#define NSP_BENCH_SETUP_H

#include "harness/result.h"

typedef struct bench_setup {
    int hot_cpu;       // the measured thread's
    int collector_cpu; // everything else's; -1: wherever the system likes
    bool quick;
    unsigned rounds; // valid ones that are wanted, never under 15
    unsigned tries;  // rounds after which a benchmark gives up
} bench_setup;

enum { ROUNDS_LEAST = 15 };

// Some benchmarks that are measured in the same way and make one table.
typedef struct bench_group {
    const char *name;
    const char *method; // one line
    // Fills in name and what of the benchmark at this index; false behind the last one.
    bool (*describe)(size_t index, bench_result *out);
    void (*measure)(size_t index, const bench_setup *setup, bench_result *out);
} bench_group;

extern const bench_group group_hot_path; // hot_path/means.c
extern const bench_group group_tails;    // hot_path/tails.c
extern const bench_group group_pipeline; // pipeline/drain.c
extern const bench_group group_ring;     // peers/ring.c

// Shows on standard error how far a benchmark is; nothing where that is no terminal.
void progress(const bench_result *in, unsigned done, unsigned of);

#endif
