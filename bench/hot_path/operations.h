// SPDX-License-Identifier: Apache-2.0
//
// The operations of the hot path, each as a loop that can be timed, or run under an instruction counter.
#ifndef NSP_BENCH_OPERATIONS_H
#define NSP_BENCH_OPERATIONS_H

#include <nanospan/config.h>

#include "harness/plain.h"
#include "harness/setup.h"

// The state of tracing in which an operation runs. FULL: sampled, but the ring is full and nobody drains it,
// so every span is lost.
typedef enum operation_state { SAMPLED, UNSAMPLED, DISABLED, FULL } operation_state;

typedef struct bench_operation {
    const char *name, *what;
    operation_state state;
    unsigned spans; // in one operation; figures are per span
    void (*run)(size_t count);

    // What some operations need in addition; NULL: nothing. None of it is timed or counted.
    bool (*prepare)(void);       // once per session, before the first run; false: it failed
    void (*finish)(void);        // once, after the last run, while the session still runs
    void (*before)(size_t most); // before a burst: one or more runs of at most this many operations in total
    void (*after)(void);         // after the burst
    size_t burst_most;           // limit of operations in a burst; 0: no limit
} bench_operation;

extern const bench_operation operations[];
extern const size_t operation_count;

// NULL if there is no operation with this name.
const bench_operation *operation_find(const char *name);

// The CPU of the second thread of an operation; -1: any but the caller's.
extern int operation_other_cpu;

// The collector mode of a session for the operation.
nsp_collector_mode operation_collector(const bench_operation *operation);

// Starts a session for the operation (none for DISABLED), and prepares the operation in it. False with a
// problem in out.
bool operation_begin(const bench_operation *operation, const bench_setup *setup, bench_result *out);
// Ends both. If spans were lost on any thread, except in the state FULL, that is a problem of the result.
void operation_end(const bench_operation *operation, bench_result *out);

// The same in parts, for callers with their own session. operation_prepare brings tracing into the state that
// the operation needs; a session must be running, or none for DISABLED. False on failure.
bool operation_prepare(const bench_operation *operation);
// Call it before the session ends.
void operation_finish(const bench_operation *operation);

void operation_before(const bench_operation *operation, size_t most);
void operation_after(const bench_operation *operation);

// Times one burst: the nanoseconds of one operation.
double operation_time(const bench_operation *operation, size_t count);

// The number of spans that are lost or refused in this many operations.
uint64_t operation_losses(const bench_operation *operation, size_t count);

#endif
