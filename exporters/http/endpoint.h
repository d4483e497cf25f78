// SPDX-License-Identifier: Apache-2.0
//
// Where spans are sent, and how: from what the configuration says to a protocol, a URL and perhaps a Unix
// socket. common/endpoint.h has the grammar. What it leaves open is settled here:
//   with a scheme      the scheme says whether TLS is used, whatever `insecure` says
//   without a scheme   `insecure` says it; without a port 4317 for gRPC, 4318 for HTTP
//   a Unix socket      never TLS. The request's own path is /v1/traces: the text has no room for another
// The protocol is what `protocol` says; else gRPC for a Unix socket and for port 4317 without a path; else
// http/protobuf. gRPC has a path of its own: one in the endpoint is passed over (path_ignored).
#ifndef NSP_HTTP_ENDPOINT_H
#define NSP_HTTP_ENDPOINT_H

#include <nanospan/exporters.h>

typedef struct nsp__http_endpoint {
    nsp_otlp_protocol protocol;
    char *url;         // for the connection; may hold a user name and password
    char *shown;       // for log lines: without those and without a query; of a Unix socket the socket
    char *unix_socket; // NULL: none; else its path, or its abstract name
    bool abstract;
    bool tls;
    bool loopback;     // the host is this machine
    bool path_ignored; // gRPC, and the endpoint had a path
    bool path_twice;   // v1/traces was appended to a path that ends so already
} nsp__http_endpoint;

// Reads endpoint, endpoint_exact, insecure and protocol. NULL or "" as endpoint: localhost, http, the
// protocol's port. Unless exact, v1/traces is appended to the path of a URL for HTTP, with a slash between
// where the path has none at its end. NSP_ERR_CONFIG: makes no sense, with one line in detail.
nsp_status nsp__http_endpoint_resolve(nsp__http_endpoint *out, const nsp_config *config, char *detail,
                                      size_t size);
void nsp__http_endpoint_free(nsp__http_endpoint *endpoint);

#endif
