// SPDX-License-Identifier: Apache-2.0
//
// What the sink received, counted; the file that it writes. One lock guards it all: a request is taken whole or not at all.
#ifndef NANOSPAN_SINK_ACCOUNTING_H
#define NANOSPAN_SINK_ACCOUNTING_H

#include "support/otlp_request.h"
#include "span_set.h"
#include <pthread.h>

typedef struct sink_totals {
    uint64_t requests; // taken: answered with 200, or with the reply withheld on purpose
    uint64_t refused;  // answered with 4xx
    uint64_t
        failed; // answered with an error on purpose, or because the file could not be written; not counted
    uint64_t replies_lost;  // taken, but the reply withheld on purpose; these are within `requests`
    uint64_t spans;         // in taken requests, each copy of a span that came twice included
    uint64_t distinct;      // of these, those with an id not met before
    uint64_t rejected;      // without a trace or span id, told in a partial success; not within `spans`
    uint64_t errors;        // spans whose status is error
    uint64_t bytes;         // of request bodies, as they came over the wire
    uint64_t bytes_decoded; // the same after decompression
    bool distinct_is_exact;
} sink_totals;

typedef struct sink_accounting {
    pthread_mutex_t lock;
    sink_totals totals;
    span_set distinct;
    otlp_request services; // its tallies only
    int output;            // file descriptor, or -1
    const char *output_name;
    uint64_t wanted; // spans after which the sink ends; 0: never
    int done;        // eventfd, raised once `wanted` is reached or the output is gone
    bool output_broken;
} sink_accounting;

// False after complaining where the file cannot be opened. `output`: NULL: none; "-": standard output.
bool accounting_open(sink_accounting *accounting, const char *output, size_t most_distinct, uint64_t wanted);

// False where the line could not be written: nothing was counted, and the sender had better try again.
bool accounting_take(sink_accounting *accounting, const otlp_request *request, size_t wire_bytes,
                     size_t body_bytes);

void accounting_refused(sink_accounting *accounting);
void accounting_failed(sink_accounting *accounting);
void accounting_reply_lost(sink_accounting *accounting);

sink_totals accounting_totals(sink_accounting *accounting);

// The totals and each service's, as a JSON object over several lines.
void accounting_json(sink_accounting *accounting, double seconds, text *out);

// Closes the file; false after complaining where that failed, or where a write had failed before.
bool accounting_close(sink_accounting *accounting);

#endif
