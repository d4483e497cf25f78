// SPDX-License-Identifier: Apache-2.0
//
// A backend to measure against: a process of its own that takes OTLP/HTTP (protobuf, plain or gzip) on loopback at
// POST /v1/traces, walks every field of every message, and counts, the distinct span ids among it. It ends by itself when
// the process that started it does.
#ifndef NSP_BENCH_RECEIVER_H
#define NSP_BENCH_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum receiver_mode {
    RECEIVER_TAKES,   // reads, counts, answers 200
    RECEIVER_REFUSES, // answers 503 to everything; nothing is counted but requests
    RECEIVER_SILENT,  // accepts connections, reads nothing and never answers
} receiver_mode;

typedef struct receiver_options {
    int cpu; // where it runs; -1: anywhere
    receiver_mode mode;
    unsigned delay_ms;       // before each answer
    uint64_t spans_expected; // room for so many ids is touched before it is ready; it grows by itself beyond
} receiver_options;

typedef struct receiver_counts {
    uint64_t requests;   // answered, whatever with
    uint64_t refused;    // with another status than 200 (malformed ones are among them)
    uint64_t malformed;  // bodies that are not OTLP, or no gzip
    uint64_t wire_bytes; // bodies as sent
    uint64_t body_bytes; // and uncompressed
    uint64_t fields;     // protobuf fields of all messages
    uint64_t spans, distinct, attributes, events, links;
    uint64_t first_ns, last_ns; // CLOCK_MONOTONIC: the first request's start, the last answer's handing over
    uint64_t cpu_ns;            // of the receiver, start-up not counted; up to the last answer
} receiver_counts;

typedef struct receiver {
    pid_t process;
    int alive;           // it ends when this is closed
    char url[64];        // "http://127.0.0.1:PORT", the base: an OTLP exporter appends /v1/traces
    char traces_url[80]; // with it
    struct receiver_page *page;
} receiver;

// False with a line in problem. Waits until it listens (at most 10 s). Any number at a time.
bool receiver_start(receiver *out, const receiver_options *options, char *problem, size_t size);

// At any time until the stop; each value is whole, and with no request under way they belong together.
receiver_counts receiver_read(const receiver *from);

// Ends the process and waits for it. Its last counts.
receiver_counts receiver_stop(receiver *which);

// What nanospan-bench --receiver runs: the process itself, for main() alone. Returns its exit code.
int receiver_main(void);

#endif
