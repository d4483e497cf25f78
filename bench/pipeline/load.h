// SPDX-License-Identifier: Apache-2.0
//
// Threads that record for a while, and sessions to record in that really send.
#ifndef NSP_BENCH_LOAD_H
#define NSP_BENCH_LOAD_H

#include "harness/setup.h"
#include "hot_path/operations.h"

typedef enum load_pace {
    LOAD_FULL, // as fast as the thread can, whatever is lost
    LOAD_HELD, // as fast as nothing is lost: each thread rests while its ring is half full
    LOAD_RATE, // open loop: bursts of 16 at their intended times
} load_pace;

typedef struct load_options {
    const bench_operation *operation;
    load_pace pace;
    unsigned threads; // at most 64
    double rate;      // with LOAD_RATE: spans a second, all threads together
    double seconds;
    int cpu; // of the threads; -1: wherever the system likes
} load_options;

typedef struct load_outcome {
    uint64_t spans;             // recorded, or tried
    uint64_t first_ns, last_ns; // CLOCK_MONOTONIC: before the first span, after the last
    uint64_t busy_ns;           // within the operation, all threads together
    uint64_t cpu_ns;            // of the threads
} load_outcome;

// Runs the threads to their end. False, with the reason in result: no thread.
bool load_run(const load_options *options, load_outcome *out, bench_result *result);

// A session in the default configuration, unlike session_start's with the exporter otlp where url is not NULL.
typedef struct pipeline_options {
    const char *url; // the receiver's; NULL: the exporter nowhere
    bool gzip;
    bool pinned; // our threads to setup->collector_cpu; else they may go everywhere
} pipeline_options;

// Attaches nobody. To be ended with session_end.
bool pipeline_start(const bench_setup *setup, const pipeline_options *options, bench_result *out);

// CPU time that the threads of this process with that name have used, in ns; 0 if there is none.
uint64_t thread_cpu_ns(const char *name);

#endif
