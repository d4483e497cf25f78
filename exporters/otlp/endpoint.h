// SPDX-License-Identifier: Apache-2.0
//
// Where spans are sent, and how: from the configuration to a protocol and a URL or a Unix socket. OTLP's
// default ports and paths are here. common/endpoint.h has the grammar. What the grammar leaves open is
// settled here:
//   with a scheme      the scheme decides about TLS, whatever `insecure` says
//   without a scheme   `insecure` decides; the default port is 4317 for gRPC and 4318 for HTTP
//   a Unix socket      never TLS. The request path is /v1/traces: the text has no room for another
// The protocol is what `protocol` says; if that is not set, gRPC for a Unix socket and for port 4317 without
// a path, and otherwise http/protobuf. gRPC has a path of its own: one in the endpoint is ignored
// (path_ignored).
#ifndef NSP_OTLP_ENDPOINT_H
#define NSP_OTLP_ENDPOINT_H

#include <nanospan/exporters.h>

#include "http/peer.h"

typedef struct nsp__otlp_endpoint {
    nsp_otlp_protocol protocol;
    nsp__http_peer peer; // its texts are owned
    bool path_ignored;   // gRPC, and the endpoint had a path
    bool path_twice;     // v1/traces was appended to a path that already ended in it
} nsp__otlp_endpoint;

// Reads endpoint, endpoint_exact, insecure and protocol. An endpoint of NULL or "" is localhost in clear
// text, at the protocol's port. For HTTP, v1/traces is appended to the path of a URL that is not exact, after
// a slash if the path does not end in one. NSP_ERR_CONFIG, with one line in detail, if the endpoint or the
// protocol cannot be used.
nsp_status nsp__otlp_endpoint_resolve(nsp__otlp_endpoint *out, const nsp_config *config, char *detail,
                                      size_t size);
void nsp__otlp_endpoint_free(nsp__otlp_endpoint *endpoint);

#endif
