// SPDX-License-Identifier: Apache-2.0
//
// Two engines that get the same messages in turns: the base, with tracing compiled out, and the one under test. Their
// answers are compared byte by byte wherever no time is taken.
#ifndef NSP_BENCH_PAIR_H
#define NSP_BENCH_PAIR_H

#include <pthread.h>

#include "harness/setup.h"
#include "order_path/orders.h"

// What tracing does meanwhile.
typedef struct order_condition {
    const char *name, *line, *what; // line: in plots
    const order_path *path;         // of the engine under test
    bool session;                   // tracing runs
    double rate;                    // of the engine's own sampler
    double remote; // part of the messages with a sampled parent; negative: no message carries a context
} order_condition;

enum { ORDER_CONDITIONS = 10 };
extern const order_condition order_conditions[ORDER_CONDITIONS];

typedef struct order_engine {
    const order_path *path;
    struct engine engine;
    struct account *accounts; // as they are at the start
} order_engine;

typedef struct order_pair {
    order_engine base, subject;
    order_stream stream;
    pthread_t companion;
    bool session;
    size_t at; // the next message, of both
} order_pair;

// Brings tracing into the state of the condition and both engines to where their books are full. False with a problem in
// out. One pair at a time.
bool pair_open(order_pair *pair, const order_condition *condition, const bench_setup *setup,
               bench_result *out);

// Withdraws all orders and stops tracing. Whether the engines agree, and traced as much as they should, is part of out.
void pair_close(order_pair *pair, const order_condition *condition, bench_result *out);

// Goes to where the next `count` messages are of the steady part, and waits until the ring is empty. The caller has both
// engines process them. NULL with a problem in out.
const order_message *pair_next(order_pair *pair, size_t count, bench_result *out);

// Bytes of the ring that an order takes, 0 where nothing is recorded. In the middle of the steady part.
double pair_bytes(order_pair *pair, bench_result *out);

// Spans lost or refused so far.
uint64_t pair_losses(const order_pair *pair);

#endif
