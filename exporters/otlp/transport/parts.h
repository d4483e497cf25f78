// SPDX-License-Identifier: Apache-2.0
//
// A batch that is larger than its receiver accepts is sent in halves, and these in halves again, down to one
// span. Progress is kept from one send of the batch to the next, so no part that was answered is sent twice.
#ifndef NSP_OTLP_TRANSPORT_PARTS_H
#define NSP_OTLP_TRANSPORT_PARTS_H

#include <nanospan/exporter.h>

#include "otlp/transport/transport.h"

enum { NSP__OTLP_PARTS_DEPTH = 32 }; // halves of halves: enough for 2^32 spans

typedef struct nsp__otlp_part {
    const uint8_t *end;
    uint32_t spans;
} nsp__otlp_part;

typedef struct nsp__otlp_parts {
    // The batch that is being sent in parts, and what is left of it: the last part is sent next.
    const uint8_t *data; // NULL: none
    uint64_t first_ns;
    nsp__otlp_request request;
    const uint8_t *at; // everything before it is settled
    nsp__otlp_part left[NSP__OTLP_PARTS_DEPTH];
    unsigned count;
    bool accepted;          // the receiver took some part of it
    unsigned refused_alone; // single spans that were too large
    uint8_t *room;          // for a part, as large as the batch; owned

    // What it taught, for the batches after it.
    size_t too_large;  // bytes of the smallest request that was refused for its size; 0: none
    uint64_t known_ns; // CLOCK_MONOTONIC of that refusal
    bool said;         // the log has the line about it
} nsp__otlp_parts;

// Sends a batch, whole or in parts, like nsp_exporter.send. A part that is refused for its size is halved; a
// single span that is still too large is rejected. The report counts the spans of the parts that are settled.
nsp_send_result nsp__otlp_parts_send(nsp__otlp_parts *parts, nsp__otlp_transport *transport,
                                     const nsp_batch *batch, uint64_t deadline_ns, nsp_send_report *report);
void nsp__otlp_parts_forget(nsp__otlp_parts *parts);

#endif
