// SPDX-License-Identifier: Apache-2.0
//
// The sending half of the exporter `otlp`: one request at a time, over the protocol that the configuration
// chooses.
#ifndef NSP_OTLP_TRANSPORT_TRANSPORT_H
#define NSP_OTLP_TRANSPORT_TRANSPORT_H

#include "otlp/transport/protocol.h"

typedef struct nsp__otlp_transport {
    nsp__otlp_channel channel;
    const nsp__otlp_protocol_ops *protocol;
    uint64_t timeout_ns; // of one request; 0: no limit
} nsp__otlp_transport;

// Reads protocol, endpoint, encoding, headers and compression from the configuration, but makes nothing to
// send with. Errors come with one line in detail. Destroy the transport in every case.
nsp_status nsp__otlp_transport_describe(nsp__otlp_transport *transport, const nsp_config *config,
                                        char *detail, size_t size);

// Writes one line about settings that work, but perhaps not as intended: headers that this protocol does not
// allow and that are left out, or a path that was given twice. Returns its length; 0 if there is nothing to
// say.
size_t nsp__otlp_transport_doubts(const nsp__otlp_transport *transport, const nsp_config *config, char *out,
                                  size_t size);

// Describes the transport and makes the client that sends. Connects nothing yet. Texts of the configuration
// are copied. Errors come with one line in detail. Destroy the transport in every case.
nsp_status nsp__otlp_transport_create(nsp__otlp_transport *transport, const nsp_exporter_context *context,
                                      char *detail, size_t size);
void nsp__otlp_transport_destroy(nsp__otlp_transport *transport);

// Sends one request. Sets transport->channel.too_large if it was refused because of its size. Returns by the
// deadline (CLOCK_MONOTONIC ns), or soon after cancel.
nsp_send_result nsp__otlp_transport_post(nsp__otlp_transport *transport, const uint8_t *body, size_t length,
                                         uint64_t deadline_ns, nsp_send_report *report);

#endif
