// SPDX-License-Identifier: Apache-2.0
//
// A backend to measure against: a separate process that takes OTLP/HTTP (protobuf, plain or gzip) on loopback
// at POST /v1/traces, walks every field of every message, and counts, including the distinct span ids. It
// ends by itself when its parent process ends.
#ifndef NSP_BENCH_RECEIVER_H
#define NSP_BENCH_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum receiver_mode {
    RECEIVER_TAKES,    // reads, counts, answers 200
    RECEIVER_DISCARDS, // reads and forgets, answers 200, and counts only requests and bytes
    RECEIVER_REFUSES,  // answers 503 to everything, and counts only requests
    RECEIVER_SILENT,   // accepts connections, but never reads or answers
} receiver_mode;

typedef struct receiver_options {
    int cpu; // on which it runs; -1: any
    receiver_mode mode;
    unsigned delay_ms;       // before each answer
    uint64_t spans_expected; // it touches room for this many ids before it is ready; beyond that it grows
} receiver_options;

typedef struct receiver_counts {
    uint64_t requests;   // answered with any status
    uint64_t refused;    // answered with a status other than 200, including malformed ones
    uint64_t malformed;  // bodies that are not OTLP, or not gzip
    uint64_t wire_bytes; // bodies as sent
    uint64_t body_bytes; // bodies after decompression
    uint64_t fields;     // protobuf fields of all messages
    uint64_t spans, distinct, attributes, events, links;
    uint64_t first_ns, last_ns; // CLOCK_MONOTONIC: begin of the first request, last answer queued
    uint64_t cpu_ns;            // CPU time of the receiver up to the last answer, without its start
} receiver_counts;

typedef struct receiver {
    pid_t process;
    int alive;           // the process ends when this is closed
    char url[64];        // "http://127.0.0.1:PORT", the base URL; an OTLP exporter appends /v1/traces
    char traces_url[80]; // with /v1/traces
    struct receiver_page *page;
} receiver;

// Starts a receiver and waits until it listens (at most 10 s). Any number can run at a time. False with a
// line in problem.
bool receiver_start(receiver *out, const receiver_options *options, char *problem, size_t size);

// Reads the counts, at any time before the stop. Each value is consistent in itself; all values fit together
// only while no request is in progress.
receiver_counts receiver_read(const receiver *from);

// Ends the process and waits for it. Returns its final counts.
receiver_counts receiver_stop(receiver *which);

// The process itself, which main() runs for nanospan-bench --receiver. Returns its exit code.
int receiver_main(void);

#endif
