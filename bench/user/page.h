// SPDX-License-Identifier: Apache-2.0
//
// What nanospan-bench and the program that it measures, nanospan-bench-user, share: a page of memory that the
// one makes and the other finds behind the descriptor that its argument names. The one says what to do, the
// other returns every round. The program is a user's program: it is linked with the shared library, which is
// configured by the environment and sends to a receiver.
#ifndef NSP_BENCH_USER_PAGE_H
#define NSP_BENCH_USER_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nanospan/stats.h>

#include "harness/noise.h"

typedef enum user_operation {
    USER_SPAN0,  // a span without attributes
    USER_SPAN3,  // with 3 attributes
    USER_PATH,   // a trace of six: a root and 5 phases, with 6 clock reads
    USER_TRACE6, // the same with an attribute each
    USER_PATH6,  // the same as a declared path
    USER_EMPTY,  // nothing: the harness alone
    USER_PAGE,   // a store to a page that nothing else uses
    USER_OPERATIONS
} user_operation;

typedef enum user_job {
    USER_MEANS,  // each round times in_a_row operations as a whole
    USER_SINGLE, // each round times in_a_row operations, each by itself, and as many of the empty harness;
                 // all threads do so at the same time
    USER_FIRST,  // each round times one operation, after the thread has done something else for wait_us
} user_job;

enum { USER_ROUNDS = 512, USER_SAMPLES = 1 << 19 };

typedef struct user_round {
    double span, plain; // ns of a span (or of an operation without spans); of run_plain. USER_MEANS only
    bench_noise noise;
    double distance; // of the collector's CPU, ns; NAN: not known
    bool lost;       // spans were dropped or refused: the round is counted, but says nothing
} user_round;

// Set by nanospan-bench.
typedef struct user_task {
    user_job job;
    user_operation operation;
    bool traced;       // false: nsp_init is called, but tracing is off
    size_t in_a_row;   // operations of each thread
    unsigned threads;  // at least 1; more only for USER_SINGLE
    unsigned rounds;   // at most USER_ROUNDS; for USER_SINGLE, all operations must fit into USER_SAMPLES
    double wait_us;    // USER_FIRST
    bool keeps_warm;   // USER_FIRST: calls nsp_thread_warm meanwhile, every 0.3 ms
    int pin_to;        // the CPU of the measured thread; -1: not pinned
    int collector_cpu; // whose distance is measured; -1: none
    bench_noise best;  // of the machine so far
} user_task;

typedef struct user_page {
    user_task task;

    // Set by the program.
    bench_noise best; // of the machine, as it knows by now
    unsigned done;    // rounds; relaxed, for the progress
    user_round round[USER_ROUNDS];
    double tick_ns;
    uint32_t subject[USER_SAMPLES], empty[USER_SAMPLES]; // ticks, by round, then by thread
    nsp_stats stats;                                     // after the shutdown; size 0: tracing was off
    unsigned long huge_kib;                              // shared memory that the program found in huge pages
    char problem[120];
    bool finished;
} user_page;

#endif
