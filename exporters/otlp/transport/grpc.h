// SPDX-License-Identifier: Apache-2.0
//
// OTLP over gRPC: one unary call a request, on the HTTP/2 of libcurl.
#ifndef NSP_OTLP_TRANSPORT_GRPC_H
#define NSP_OTLP_TRANSPORT_GRPC_H

#include "otlp/transport/transport.h"

// Prepares the metadata that every call carries.
nsp_status nsp__grpc_headers(nsp__otlp_transport *transport, const nsp_config *config, char *detail,
                             size_t size);

nsp_send_result nsp__grpc_send(nsp__otlp_transport *transport, const uint8_t *body, size_t length,
                               uint64_t deadline_ns, nsp_send_report *report);

#endif
