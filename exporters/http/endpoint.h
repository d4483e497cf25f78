// SPDX-License-Identifier: Apache-2.0
//
// Where spans are sent: from what the configuration says to a URL.
#ifndef NSP_HTTP_ENDPOINT_H
#define NSP_HTTP_ENDPOINT_H

#include <nanospan/config.h>

typedef struct nsp__http_endpoint {
    char *url;     // for the connection; may hold a user name and password
    char *shown;   // for log lines: without those and without a query
    bool loopback; // the host is this machine
} nsp__http_endpoint;

// Reads endpoint, endpoint_exact, insecure and protocol. NULL or "": http://localhost:4318. HOST and HOST:PORT get the
// scheme that `insecure` says; HOST alone port 4318 as well. Unless exact, v1/traces is appended to the path, where it is
// not there yet. NSP_ERR_UNSUPPORTED: asks for gRPC or JSON. NSP_ERR_CONFIG: makes no sense. Both with one line in detail.
nsp_status nsp__http_endpoint_resolve(nsp__http_endpoint *out, const nsp_config *config, char *detail,
                                      size_t size);
void nsp__http_endpoint_free(nsp__http_endpoint *endpoint);

#endif
