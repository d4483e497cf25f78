// SPDX-License-Identifier: Apache-2.0
//
// The command line of nanospan-bench.
#ifndef NSP_BENCH_OPTIONS_H
#define NSP_BENCH_OPTIONS_H

#include "harness/setup.h"

typedef struct bench_options {
    bool list;
    const char *only, *json, *html, *compare, *check, *instructions;
    unsigned count;
    int cpu, collector_cpu; // -1: not given
    char command[1024];     // the whole command line, quoted for a shell
    bench_setup setup;
} bench_options;

// Reads the command line. Exits on --help and --version, and with code 2 on errors.
void options_read(bench_options *out, int argc, char **argv);

// Chooses the CPUs of the setup, and moves the caller to the measured thread's CPU. False after a message.
bool options_take_cpus(bench_options *options);

#endif
