// SPDX-License-Identifier: Apache-2.0
//
// A process in the place of Tracy's profiler: it connects, reads and decompresses all that the client sends,
// counts the ends of zones, and keeps nothing. (The profiler itself, which also builds its database and asks
// for names, needs a dozen more libraries.)
#ifndef NSP_BENCH_TRACY_READER_H
#define NSP_BENCH_TRACY_READER_H

#include <stdint.h>

// Starts it for the client that listens on this port of this machine. Returns NULL once it is connected, or
// what went wrong.
const char *reader_start(int port);

// The number of zones whose ends have arrived.
uint64_t reader_zones();

// Ends the process.
void reader_stop();

#endif
