// SPDX-License-Identifier: Apache-2.0
//
// The interface of the harness to another tracer, or to another way to hand records over. Peers that are not
// written in C, or need libraries of their own, are shared objects that export these functions (a folder each,
// built by build.sh).
//
// Each peer runs in its own process, once: start, then run and sample from one thread, then stop.
#ifndef NSP_BENCH_PEER_H
#define NSP_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum peer_mode {
    PEER_SAMPLED = 0,   // every span is recorded
    PEER_UNSAMPLED = 1, // tracing is on, but the sampler samples no root
    PEER_DISABLED = 2,  // tracing is off, if the peer has such a state
} peer_mode;

typedef enum peer_operation {
    PEER_SPAN0 = 0, // a root span without attributes
    PEER_SPAN3 = 1, // a root span with three attributes: a string, a double, an integer
} peer_operation;

// Numbers of spans. exported: passed to the exporter, and accepted by it. dropped: what the peer itself
// counted as lost, or -1 if it does not count that.
typedef struct peer_counts {
    uint64_t exported;
    int64_t dropped;
} peer_counts;

#ifndef NSP_BENCH_PEER_TYPES // cgo defines this, because it declares the functions itself, without const

// Starts tracing. endpoint is the base URL of an OTLP/HTTP receiver, or NULL for an exporter that only
// counts. Returns NULL, or a text that says what went wrong, which stays valid until the process ends.
const char *peer_start(const char *endpoint, int mode);

// Runs an operation `count` times, in a loop written in the peer's own language.
void peer_run(int operation, size_t count);

// The same, with each operation timed by itself between fenced readings of the counter; fills in ticks[0] to
// ticks[count - 1].
void peer_sample(int operation, uint32_t *ticks, size_t count);

// Shuts the peer down, which exports what is still queued.
void peer_stop(void);

// Reads the counts. Call it after peer_stop.
void peer_count(peer_counts *out);

// Only some peers have this one: waits until the peer has passed on what is queued, with the peer's own flush,
// if it has one. Returns whether it has. It is called between the rounds if every span is recorded.
bool peer_drained(void);

#endif
#endif
