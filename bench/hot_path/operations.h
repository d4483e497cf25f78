// SPDX-License-Identifier: Apache-2.0
//
// The hot path's operations, each as a loop that can be timed, or counted by an instruction counter.
#ifndef NSP_BENCH_OPERATIONS_H
#define NSP_BENCH_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>

// In which state of tracing an operation runs.
typedef enum operation_state { SAMPLED, UNSAMPLED, DISABLED } operation_state;

typedef struct bench_operation {
    const char *name, *what;
    operation_state state;
    unsigned spans; // of one operation: figures are by the span
    void (*run)(size_t count);
} bench_operation;

extern const bench_operation operations[];
extern const size_t operation_count;

// NULL if there is none of this name.
const bench_operation *operation_find(const char *name);

// Brings tracing into the state that the operation needs; a session runs, or none for DISABLED. False if that fails.
bool operation_prepare(const bench_operation *operation);

// What they are compared with: two readings of the counter, back to back; and nothing at all.
void run_two_reads(size_t count);
void run_empty(size_t count);

#endif
