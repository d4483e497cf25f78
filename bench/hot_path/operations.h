// SPDX-License-Identifier: Apache-2.0
//
// The hot path's operations, each as a loop that can be timed, or counted by an instruction counter.
#ifndef NSP_BENCH_OPERATIONS_H
#define NSP_BENCH_OPERATIONS_H

#include <nanospan/config.h>

#include "harness/setup.h"

// In which state of tracing an operation runs. FULL: sampled, the ring full, and nobody drains it: every span is lost.
typedef enum operation_state { SAMPLED, UNSAMPLED, DISABLED, FULL } operation_state;

typedef struct bench_operation {
    const char *name, *what;
    operation_state state;
    unsigned spans; // of one operation: figures are by the span
    void (*run)(size_t count);

    // What some need besides; NULL: nothing. None of it is timed or counted.
    bool (*prepare)(void);       // once in a session, before the first run; false: cannot be had
    void (*finish)(void);        // once, after the last run, with the session still there
    void (*before)(size_t most); // before a burst: one or more runs of together at most so many operations
    void (*after)(void);         // after that burst
    size_t burst_most;           // operations in a burst; 0: any number
} bench_operation;

extern const bench_operation operations[];
extern const size_t operation_count;

// NULL if there is none of this name.
const bench_operation *operation_find(const char *name);

// The CPU of an operation's second thread; -1: any but the caller's.
extern int operation_other_cpu;

// Which collector a session for the operation has.
nsp_collector_mode operation_collector(const bench_operation *operation);

// A session for the operation (none for DISABLED), and the operation ready in it. False says in out what is wrong.
bool operation_begin(const bench_operation *operation, const bench_setup *setup, bench_result *out);
// Ends both. Spans that were lost on whichever thread, where none should be, are a problem of the result.
void operation_end(const bench_operation *operation, bench_result *out);

// The same in parts, for a session of one's own. Brings tracing into the state that the operation needs; a session runs, or none for DISABLED. False if that fails.
bool operation_prepare(const bench_operation *operation);
// Before the session ends.
void operation_finish(const bench_operation *operation);

void operation_before(const bench_operation *operation, size_t most);
void operation_after(const bench_operation *operation);

// One burst: nanoseconds of an operation.
double operation_time(const bench_operation *operation, size_t count);

// Spans that are lost, or refused, in so many operations.
uint64_t operation_losses(const bench_operation *operation, size_t count);

// What they are compared with: two readings of the counter, back to back; and nothing at all.
void run_two_reads(size_t count);
void run_empty(size_t count);

#endif
