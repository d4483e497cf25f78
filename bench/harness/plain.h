// SPDX-License-Identifier: Apache-2.0
//
// What spans are compared with: code that does not call nanospan.
#ifndef NSP_BENCH_PLAIN_H
#define NSP_BENCH_PLAIN_H

#include <stddef.h>

// Two readings of the counter, back to back, and an empty loop.
void run_two_reads(size_t count);
void run_empty(size_t count);

// Also two readings, but with 140 instructions and 120 bytes stored in between, of which none waits for
// another: as much as a span without attributes, on the same processor, without nanospan. Some processors
// execute such instructions while they wait for the counter, and then this takes as long as the readings;
// others stop executing until the counter has been read, and then no span can cost as little as the readings
// do.
void run_plain(size_t count);

#endif
