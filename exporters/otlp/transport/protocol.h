// SPDX-License-Identifier: Apache-2.0
//
// What differs between OTLP over HTTP (http.c) and over gRPC (grpc.c): one table of operations for each.
// transport.c chooses the table and calls it; neither protocol calls back.
#ifndef NSP_OTLP_TRANSPORT_PROTOCOL_H
#define NSP_OTLP_TRANSPORT_PROTOCOL_H

#include "grpc/frame.h"
#include "grpc/metadata.h"
#include "otlp/transport/channel.h"

// One request, with room for what gRPC adds to it. The request points into the rest, so a call is not copied.
typedef struct nsp__otlp_call {
    nsp__http_request request;
    uint8_t prefix[NSP__GRPC_PREFIX_BYTES];
    char timeout[NSP__GRPC_TIMEOUT_BYTES];
    struct curl_slist first_header;
} nsp__otlp_call;

typedef struct nsp__otlp_protocol_ops {
    // Makes the headers that every request carries. NSP_ERR_NO_MEMORY with one line in detail.
    nsp_status (*prepare)(nsp__otlp_channel *channel, const nsp_config *config, char *detail, size_t size);

    // Puts headers and framing around a message, which the caller keeps until the answer is judged.
    void (*build)(const nsp__otlp_channel *channel, nsp__otlp_call *call, const uint8_t *message,
                  size_t length, bool compressed, uint64_t deadline_ns);

    // What an answer means for the spans of its request: retry, reject and so on. Sets report->answered, and
    // channel->too_large where the size was refused. May rewrite the answer's error text. Is not called for
    // NSP__HTTP_TOO_LARGE.
    nsp_send_result (*judge)(nsp__otlp_channel *channel, nsp__http_answer *answer, nsp_send_report *report);
} nsp__otlp_protocol_ops;

extern const nsp__otlp_protocol_ops nsp__otlp_over_http, nsp__otlp_over_grpc;

#endif
