// SPDX-License-Identifier: Apache-2.0
//
// The proxy that the environment names for an endpoint. libcurl would read these variables itself, but at each request, on
// the sender's thread, while the application may change its environment; and also those of a caller with fewer rights.
#ifndef NSP_HTTP_PROXY_H
#define NSP_HTTP_PROXY_H

#include <curl/curl.h>

#include "http/peer.h"

typedef struct nsp__http_proxy {
    const char *variable; // that names it; NULL: no proxy
    char host[128], port[8];
    char shown[160]; // for log lines: host and port, without user and password
} nsp__http_proxy;

// Sets the options of a request: the proxy of http_proxy or https_proxy, else of all_proxy; none for this machine and for
// what no_proxy names, and none in a program that runs with more rights than its caller. gRPC in clear is led through the
// proxy by CONNECT: as a plain request it would arrive there in HTTP/1.
CURLcode nsp__http_proxy_set(CURL *easy, nsp__http_proxy *proxy, const nsp__http_peer *peer);

// Is it the proxy that a failed request is about, rather than the endpoint? error: libcurl's text. If so, out gets a line
// that names the proxy and what is wrong with it.
bool nsp__http_proxy_blamed(CURL *easy, const nsp__http_proxy *proxy, CURLcode code, const char *error,
                            char *out, size_t size);

#endif
