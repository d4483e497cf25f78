// SPDX-License-Identifier: Apache-2.0
//
// The machine on which the figures were measured; without it they mean nothing.
#ifndef NSP_BENCH_MACHINE_H
#define NSP_BENCH_MACHINE_H

#include "harness/setup.h"

typedef struct bench_fact {
    const char *key;
    char text[480];
} bench_fact;

enum { FACTS_MAX = 48 };

typedef struct bench_machine {
    bench_fact facts[FACTS_MAX];
    size_t count;
} bench_machine;

// Describes the machine, at the start of a run.
void machine_describe(bench_machine *out, const bench_setup *setup);

// Adds how noisy the machine was, at the end of a run.
void machine_describe_noise(bench_machine *out);

#endif
