// SPDX-License-Identifier: Apache-2.0
//
// Two engines that process the same messages in turns: the base, with tracing compiled out, and the one under
// test. Their answers are compared byte by byte wherever nothing is timed.
#ifndef NSP_BENCH_PAIR_H
#define NSP_BENCH_PAIR_H

#include <pthread.h>

#include "harness/setup.h"
#include "order_path/orders.h"

// The state of tracing during a measurement.
typedef struct order_condition {
    const char *name, *line, *what; // line: the name in plots
    const order_path *path;         // of the engine under test
    bool session;                   // tracing is started
    double rate;                    // of the engine's own sampler
    bool by_calls;                  // by ordinary calls, and not as a path
    double remote; // share of the messages with a sampled parent; negative: no message carries a context
} order_condition;

enum { ORDER_CONDITIONS = 14 };
extern const order_condition order_conditions[ORDER_CONDITIONS];

typedef struct order_engine {
    const order_path *path;
    struct engine engine;
    struct account *accounts; // the initial accounts
} order_engine;

typedef struct order_pair {
    order_engine base, subject;
    order_stream stream;
    pthread_t companion;
    bool session;
    size_t at; // the next message of both engines
} order_pair;

// Brings tracing into the state of the condition, and both engines to the point where their order books are
// full. False with a problem in out. One pair at a time.
bool pair_open(order_pair *pair, const order_condition *condition, const bench_setup *setup,
               bench_result *out);

// Withdraws all orders and stops tracing. If the engines disagree, or traced too much or too little, that is
// a problem of out.
void pair_close(order_pair *pair, const order_condition *condition, bench_result *out);

// Returns the next `count` messages of the steady part, after waiting until the ring is empty. The caller
// must let both engines process them. NULL with a problem in out.
const order_message *pair_next(order_pair *pair, size_t count, bench_result *out);

// The bytes of the ring that an order takes, 0 if nothing is recorded. Call it in the middle of the steady
// part.
double pair_bytes(order_pair *pair, bench_result *out);

// The number of spans lost or refused so far.
uint64_t pair_losses(const order_pair *pair);

#endif
