// SPDX-License-Identifier: Apache-2.0
//
// A batch that is larger than its receiver takes: it is sent in halves, these again in halves, down to one span. How far
// it has come is kept from one send of the batch to the next, so that no part is sent twice that was answered.
#ifndef NSP_OTLP_TRANSPORT_PARTS_H
#define NSP_OTLP_TRANSPORT_PARTS_H

#include <nanospan/exporter.h>

#include "otlp/transport/cut.h"

enum { NSP__OTLP_PARTS_DEPTH = 32 }; // halves of halves: enough for 2^32 spans

typedef struct nsp__otlp_part {
    const uint8_t *end;
    uint32_t spans;
} nsp__otlp_part;

typedef struct nsp__otlp_parts {
    // The batch that is sent in parts, and what is left of it: the last part is the next to be sent.
    const uint8_t *data; // NULL: none
    uint64_t first_ns;
    nsp__otlp_request request;
    const uint8_t *at; // all before it is settled
    nsp__otlp_part left[NSP__OTLP_PARTS_DEPTH];
    unsigned count;
    bool accepted;          // some part of it was
    unsigned refused_alone; // single spans that were too large
    uint8_t *room;          // for a part, as large as the batch; owned

    // What was learnt from it, for the batches after it.
    size_t too_large;  // bytes of the smallest request that was refused for its size; 0: none
    uint64_t known_ns; // CLOCK_MONOTONIC, when that was
    bool said;
} nsp__otlp_parts;

struct nsp__otlp_transport;

// Sends a batch, whole or in parts, as nsp_exporter.send. A part that was refused for its size (transport->too_large) is
// halved; a single span that is still too large is rejected. In the report: spans of parts that are settled.
nsp_send_result nsp__otlp_parts_send(struct nsp__otlp_transport *transport, const nsp_batch *batch,
                                     uint64_t deadline_ns, nsp_send_report *report);
void nsp__otlp_parts_forget(nsp__otlp_parts *parts);

#endif
