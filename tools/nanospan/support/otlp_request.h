// SPDX-License-Identifier: Apache-2.0
//
// What one ExportTraceServiceRequest says: its spans' ids, how many spans each service sent, and, where wanted, the whole
// request as one line of OTLP JSON. Decoding touches nothing but this, so a malformed request leaves no trace in the accounting.
#ifndef NANOSPAN_SUPPORT_OTLP_REQUEST_H
#define NANOSPAN_SUPPORT_OTLP_REQUEST_H

#include "text.h"

typedef struct span_key {
    uint8_t trace[16];
    uint8_t span[8];
} span_key;

typedef struct service_tally {
    char *name; // owned, ends with a NUL; "" where the resource names no service
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
    uint64_t rejected; // spans without a trace id or span id: left out, as a partial success tells
    char error[256];   // why decoding failed, for the sender's eyes
} otlp_request;

// Both return false with `error` set where the bytes are not a well formed request.
bool otlp_decode_protobuf(otlp_request *request, const uint8_t *bytes, size_t length);
bool otlp_decode_json(otlp_request *request, const char *bytes, size_t length);

// The tally of a service, made where it is new.
service_tally *otlp_service(otlp_request *request, slice name);

void otlp_add_key(otlp_request *request, const uint8_t trace[16], const uint8_t span[8]);
void otlp_request_free(otlp_request *request);

#endif
