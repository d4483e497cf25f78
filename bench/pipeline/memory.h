// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_BENCH_MEMORY_H
#define NSP_BENCH_MEMORY_H

// What nanospan-bench --memory THREADS runs: a new process that records and prints how much memory it uses.
// Returns its exit code.
int memory_main(const char *threads);

#endif
