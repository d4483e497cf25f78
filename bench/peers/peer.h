// SPDX-License-Identifier: Apache-2.0
//
// Another tracer, or another way to hand records over, as the harness sees it. Those that are not written in C, or bring
// libraries of their own, are shared objects that export these functions (rust/, go/, lttng/, built by build.sh).
//
// Each is used in a process of its own: start, then run and sample from one thread, then stop; once.
#ifndef NSP_BENCH_PEER_H
#define NSP_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

typedef enum peer_mode {
    PEER_SAMPLED = 0,   // every span is recorded
    PEER_UNSAMPLED = 1, // tracing is on, and the sampler says no to every root
    PEER_DISABLED = 2,  // tracing is off, as far as the peer knows that state
} peer_mode;

typedef enum peer_operation {
    PEER_SPAN0 = 0, // a root span without attributes
    PEER_SPAN3 = 1, // with three: a string, a double, an integer
} peer_operation;

// Spans. exported: given to the exporter, and taken by it. What the peer itself counted as lost is in dropped, or -1 where
// it does not say.
typedef struct peer_counts {
    uint64_t exported;
    int64_t dropped;
} peer_counts;

#ifndef NSP_BENCH_PEER_TYPES // for cgo, which declares the functions itself, without const

// Starts tracing. endpoint: base URL of an OTLP/HTTP receiver; NULL: an exporter that counts. The result is NULL, or what went
// wrong, valid until the end of the process.
const char *peer_start(const char *endpoint, int mode);

// So many of an operation, one after the other, in a loop written in the peer's own language.
void peer_run(int operation, size_t count);

// The same, each timed by itself between fenced readings of the counter; ticks[count] is filled in.
void peer_sample(int operation, uint32_t *ticks, size_t count);

// Hands over what is still queued, as the peer's own shutdown does, and ends.
void peer_stop(void);

// After the stop.
void peer_count(peer_counts *out);

#endif
#endif
