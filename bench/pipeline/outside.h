// SPDX-License-Identifier: Apache-2.0
//
// For the group `outside`: engines in child processes, which do something each time that they are asked to.
#ifndef NSP_BENCH_OUTSIDE_H
#define NSP_BENCH_OUTSIDE_H

#include <sys/types.h>

#include <nanospan/drainer.h>

#include "harness/folder.h"
#include "hot_path/operations.h"
#include "pipeline/bursts.h"

typedef struct engine_answer {
    uint64_t spans; // that it has recorded
    double ns;      // of a span, where it has measured it
    bench_noise noise;
    bool lost; // spans were lost
} engine_answer;

typedef struct engine_plan {
    const bench_operation *operation;
    const bench_setup *setup;
    nsp_config config;
    // What it does each time, in its process.
    void (*answer)(const struct engine_plan *plan, engine_answer *out);
    char folder[FOLDER_PATH]; // where its session lies
} engine_plan;

typedef struct engine {
    pid_t process;
    int ask, answers;
} engine;

// Starts the process, and asks it for the first time. False with a problem in out.
bool engine_start(engine *from, engine_plan *plan, bench_result *out);
// False with a problem in out if it has ended.
bool engine_ask(const engine *from, engine_answer *answer, bench_result *out);
void engine_stop(const engine *from, const engine_plan *plan);

// A drainer of this engine; NULL with a problem in out.
nsp_drainer *engine_take_over(const engine_plan *plan, const nsp_config *config, const nsp_exporter *exporter,
                              bench_result *out);

// pipeline/outside_cost.c: what a span costs an engine that is drained from outside, beside one with a collector.
void outside_cost_measure(const bench_operation *operation, const bench_setup *setup, bench_result *out);

#endif
