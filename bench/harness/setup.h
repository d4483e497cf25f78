// SPDX-License-Identifier: Apache-2.0
//
// The setup that every benchmark receives, and the list of groups.
#ifndef NSP_BENCH_SETUP_H
#define NSP_BENCH_SETUP_H

#include "harness/rounds.h"

typedef struct bench_setup {
    int hot_cpu;       // CPU of the measured thread
    int collector_cpu; // CPU of everything else; -1: any
    bool quick;
    bool invoker;     // sessions without a collector thread: whoever waits for an empty ring drains it
    const char *only; // the list of --only; NULL: everything runs
    unsigned rounds;  // of each benchmark, ROUNDS_LEAST to ROUNDS_LIMIT; 0: the run is to stop
} bench_setup;

// Benchmarks that are measured in the same way and form one table.
typedef struct bench_group {
    const char *name;
    const char *method; // one line
    // Fills in name and what of the benchmark at this index; false after the last one.
    bool (*describe)(size_t index, bench_result *out);
    void (*measure)(size_t index, const bench_setup *setup, bench_result *out);
} bench_group;

// Defines describe for a group whose benchmarks are in a table: an array of structs with members name and
// what.
#define BENCH_DESCRIBE(table, size) BENCH_DESCRIBE_AS(describe, table, size)

// The same under another name, for a file with several groups.
#define BENCH_DESCRIBE_AS(describe, table, size)                                                             \
    static bool describe(size_t index, bench_result *out)                                                    \
    {                                                                                                        \
        if (index >= (size))                                                                                 \
            return false;                                                                                    \
        out->name = (table)[index].name;                                                                     \
        out->what = (table)[index].what;                                                                     \
        return true;                                                                                         \
    }

extern const bench_group group_user;             // user/user.c
extern const bench_group group_user_tails;       // user/user.c
extern const bench_group group_first;            // user/first.c
extern const bench_group group_hot_path;         // hot_path/means.c
extern const bench_group group_tails;            // hot_path/tails.c
extern const bench_group group_cold;             // hot_path/cold.c
extern const bench_group group_pipeline;         // pipeline/drain.c
extern const bench_group group_sizes;            // pipeline/sizes.c
extern const bench_group group_threads;          // pipeline/threads.c
extern const bench_group group_end_to_end;       // pipeline/end_to_end.c
extern const bench_group group_backend;          // pipeline/backend.c
extern const bench_group group_growth;           // pipeline/growth.c
extern const bench_group group_rate;             // pipeline/rate.c
extern const bench_group group_recover;          // pipeline/recover.c
extern const bench_group group_outside;          // pipeline/outside.c
extern const bench_group group_memory;           // pipeline/memory.c
extern const bench_group group_ring;             // peers/ring.c
extern const bench_group group_peers;            // peers/peers.c
extern const bench_group group_peers_end_to_end; // peers/end_to_end.c
extern const bench_group group_sampler;          // sampler/cost.c
extern const bench_group group_landing;          // sampler/landing.c
extern const bench_group group_change;           // sampler/change.c
extern const bench_group group_accuracy;         // sampler/accuracy.c
extern const bench_group group_zero;             // zero/zero.c
extern const bench_group group_instructions;     // zero/callgrind.c
extern const bench_group group_order_path;       // order_path/service.c
extern const bench_group group_open_loop;        // order_path/open_loop.c
extern const bench_group group_victim;           // order_path/victim.c
extern const bench_group group_jitter;           // order_path/jitter.c

// Shows the progress of a benchmark on standard error, if that is a terminal.
void progress(const bench_result *in, unsigned done, unsigned of);

#endif
