// SPDX-License-Identifier: Apache-2.0
//
// A thread that sends requests one after the other and counts the answers.
#ifndef PLATFORM_WORKER_H
#define PLATFORM_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/histogram.h"
#include "platform/load/scenario.h"

enum { ANSWERS_MAX = 64, RESULT_SIZE = 40 };

// The state that all workers share. Written before they start, except the last two members.
struct load {
    const char *url;
    struct mix mix;
    double rate;       // requests a second; 0: each worker sends as soon as it has its answer
    uint64_t requests; // limit of requests
    uint64_t start_ns, end_ns, timeout_ms; // CLOCK_MONOTONIC
    bool traced;
    uint64_t next; // number of the next request; atomic
    bool stop;     // atomic
};

// The number of requests of one scenario with this answer. Status 0: not answered, and `result` says why.
struct answers {
    size_t scenario;
    unsigned status;
    char result[RESULT_SIZE];
    uint64_t count;
};

struct worker {
    struct load *load;
    pthread_t thread;
    uint64_t random;
    uint64_t answered; // atomic, for the progress line
    size_t answer_count;
    struct answers answers[ANSWERS_MAX];
    uint64_t overflowed;                      // answers of kinds for which there was no room
    struct histogram latency[SCENARIO_KINDS]; // us, from when the request was due
};

void *worker_run(void *worker);

// Adds to the list; false if it is full.
bool answers_add(struct answers *list, size_t *count, const struct answers *what);

uint64_t clock_now_ns(void);

#endif
