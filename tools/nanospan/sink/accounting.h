// SPDX-License-Identifier: Apache-2.0
//
// Counts what the sink receives, and writes it to a file. One lock guards everything: a request is accepted
// whole or not at all.
#ifndef NANOSPAN_SINK_ACCOUNTING_H
#define NANOSPAN_SINK_ACCOUNTING_H

#include "support/otlp_request.h"
#include "span_set.h"
#include <pthread.h>

typedef struct sink_totals {
    uint64_t requests;      // accepted: answered with 200, or the reply withheld on purpose
    uint64_t refused;       // answered with 4xx
    uint64_t failed;        // answered with a deliberate error, or could not be written; spans not counted
    uint64_t replies_lost;  // replies withheld on purpose; their requests count in `requests`
    uint64_t spans;         // in accepted requests; repeated spans count each time
    uint64_t distinct;      // spans with an id that was new
    uint64_t rejected;      // without a trace or span id, reported as a partial success; not in `spans`
    uint64_t errors;        // spans whose status is error
    uint64_t bytes;         // of request bodies, as received
    uint64_t bytes_decoded; // the same after decompression
    bool distinct_is_exact;
} sink_totals;

typedef struct sink_accounting {
    pthread_mutex_t lock;
    sink_totals totals;
    span_set distinct;
    otlp_request services; // only its tallies are used
    int output;            // file descriptor, or -1
    const char *output_name;
    uint64_t wanted; // the sink ends after this many spans; 0: never
    int done;        // eventfd, raised once `wanted` is reached or the output has failed
    bool output_broken;
} sink_accounting;

// Returns false after printing an error if the file cannot be opened. `output` may be NULL for none or "-"
// for standard output.
bool accounting_open(sink_accounting *accounting, const char *output, size_t most_distinct, uint64_t wanted);

// Returns false if the line could not be written. Nothing was counted then, and the sender should retry. `repeated`:
// NULL, or gets for each key whether it had come before.
bool accounting_take(sink_accounting *accounting, const otlp_request *request, size_t wire_bytes,
                     size_t body_bytes, bool *repeated);

void accounting_refused(sink_accounting *accounting);
void accounting_failed(sink_accounting *accounting);
void accounting_reply_lost(sink_accounting *accounting);

sink_totals accounting_totals(sink_accounting *accounting);

// The totals and the counts of each service, as a JSON object on several lines.
void accounting_json(sink_accounting *accounting, double seconds, text *out);

// Closes the file. Returns false if that fails or an earlier write failed; an error has been printed.
bool accounting_close(sink_accounting *accounting);

#endif
