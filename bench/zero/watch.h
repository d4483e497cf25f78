// SPDX-License-Identifier: Apache-2.0
//
// What a thread does besides computing: allocations, system calls, page faults, waits, log lines. Counted exactly, in windows that
// the thread opens and closes.
#ifndef NSP_BENCH_WATCH_H
#define NSP_BENCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <nanospan/log.h>

typedef struct watch_counts {
    uint64_t allocations; // calls of malloc and its kin, and of free
    uint64_t system_calls;
    uint64_t page_faults; // minor and major ones
    uint64_t voluntary_switches;
    uint64_t log_lines; // that the thread itself wrote
} watch_counts;

// NULL if everything can be counted in this program, else why not.
const char *watch_missing(void);

// From here on system calls of the calling thread are seen: each is trapped and then made on its behalf, some microsecond later.
// That cannot be taken back, and a thread that blocks SIGSYS (as one that ends by itself does) is killed: for threads of a
// child process that ends by _exit. False if the kernel does not allow it.
bool watch_system_calls(void);

// One window; its counts are added to the sum. Windows of a thread do not nest.
void watch_begin(void);
void watch_end(watch_counts *sum);

// An nsp_log_fn that counts.
void watch_log(void *context, nsp_log_level level, const char *line);

// True inside a window of the calling thread.
extern __thread bool watch_armed;
extern __thread uint64_t watch_allocations; // in windows so far

#endif
