// SPDX-License-Identifier: Apache-2.0
//
// Threads that record for a while, and sessions that really send what they record.
#ifndef NSP_BENCH_LOAD_H
#define NSP_BENCH_LOAD_H

#include "harness/setup.h"
#include "hot_path/operations.h"

typedef enum load_pace {
    LOAD_FULL, // as fast as the thread can, even if spans are lost
    LOAD_HELD, // as fast as possible without losses: each thread rests while its ring is half full
    LOAD_RATE, // open loop: bursts of 16 at their intended times
} load_pace;

typedef struct load_options {
    const bench_operation *operation;
    load_pace pace;
    unsigned threads; // at most 64
    double rate;      // with LOAD_RATE: spans a second, all threads together
    double seconds;
    int cpu; // of the threads; -1: any
} load_options;

typedef struct load_outcome {
    uint64_t spans;             // attempted
    uint64_t first_ns, last_ns; // CLOCK_MONOTONIC: before the first span, after the last
    uint64_t busy_ns;           // time within the operation, all threads together
    uint64_t cpu_ns;            // CPU time of the threads
} load_outcome;

// Runs the threads to their end. False, with the problem in result, if no thread can be started.
bool load_run(const load_options *options, load_outcome *out, bench_result *result);

// A session in the default configuration; unlike that of session_start, it has the exporter otlp if url is
// not NULL.
typedef struct pipeline_options {
    const char *url; // of the receiver; NULL: the exporter nowhere
    bool gzip;
    bool pinned; // pins the library's threads to setup->collector_cpu; otherwise they may run anywhere
} pipeline_options;

// Starts the session without attaching a thread. End it with session_end.
bool pipeline_start(const bench_setup *setup, const pipeline_options *options, bench_result *out);

// The CPU time that the threads of this process with that name have used, in ns; 0 if there are none.
uint64_t thread_cpu_ns(const char *name);

#endif
