// SPDX-License-Identifier: Apache-2.0
//
// The contents of one ExportTraceServiceRequest: its spans' ids, how many spans each service sent and, if
// wanted, the whole request as one line of OTLP JSON. Decoding changes nothing else, so a malformed request
// has no effect on the counters.
#ifndef NANOSPAN_SUPPORT_OTLP_REQUEST_H
#define NANOSPAN_SUPPORT_OTLP_REQUEST_H

#include "text.h"

typedef struct span_key {
    uint8_t trace[16];
    uint8_t span[8];
} span_key;

typedef struct service_tally {
    char *name; // owned, NUL-terminated; "" if the resource names no service
    uint64_t spans;
    uint64_t errors; // spans whose status is error
} service_tally;

typedef struct otlp_request {
    bool want_json;
    text json; // one line, without the newline; empty unless wanted
    span_key *keys;
    size_t key_count;
    size_t key_capacity;
    service_tally *services;
    size_t service_count;
    size_t service_capacity;
    uint64_t rejected; // spans without a trace id or span id; left out, and reported as a partial success
    char error[256];   // why decoding failed; sent to the sender
} otlp_request;

// Both return false and set `error` if the bytes are not a well-formed request.
bool otlp_decode_protobuf(otlp_request *request, const uint8_t *bytes, size_t length);
bool otlp_decode_json(otlp_request *request, const char *bytes, size_t length);

// The tally of a service; made if it does not exist.
service_tally *otlp_service(otlp_request *request, slice name);

void otlp_add_key(otlp_request *request, const uint8_t trace[16], const uint8_t span[8]);
void otlp_request_free(otlp_request *request);

#endif
