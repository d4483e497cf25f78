// SPDX-License-Identifier: Apache-2.0
//
// What a thread does besides computing: allocations, system calls, page faults, waits, log lines. They are
// counted exactly, in windows that the thread opens and closes.
#ifndef NSP_BENCH_WATCH_H
#define NSP_BENCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <nanospan/log.h>

typedef struct watch_counts {
    uint64_t allocations; // calls of malloc and related functions, and of free
    uint64_t system_calls;
    uint64_t page_faults; // minor and major ones
    uint64_t voluntary_switches;
    uint64_t log_lines; // written by the thread itself
} watch_counts;

// NULL if everything can be counted in this program; otherwise the reason why not.
const char *watch_missing(void);

// From this call on, the system calls of the calling thread are counted: each is trapped and then made on its
// behalf, about a microsecond later. This cannot be undone, and a thread that blocks SIGSYS is killed, as
// happens when a thread ends by itself. So it is only for threads of a child process that ends with _exit.
// False if the kernel does not allow it.
bool watch_system_calls(void);

// Begin and end of one window; watch_end adds its counts to the sum. The windows of a thread must not nest.
void watch_begin(void);
void watch_end(watch_counts *sum);

// An nsp_log_fn that counts.
void watch_log(void *context, nsp_log_level level, const char *line);

// True inside a window of the calling thread.
extern __thread bool watch_armed;
extern __thread uint64_t watch_allocations; // in all windows so far

#endif
