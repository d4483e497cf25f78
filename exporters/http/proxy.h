// SPDX-License-Identifier: Apache-2.0
//
// The proxy that the environment names for a peer. libcurl would read these variables itself, but at each
// request, on the sender's thread, while the application may change its environment; and it would also read
// those that a caller with fewer rights has set.
#ifndef NSP_HTTP_PROXY_H
#define NSP_HTTP_PROXY_H

#include <curl/curl.h>

#include "http/peer.h"

typedef struct nsp__http_proxy {
    const char *variable; // the one that names it; NULL: no proxy
    char host[128], port[8];
    char shown[160];   // for log lines: host and port, without user and password
    const char *fault; // why it can never be used, as the end of a sentence; NULL: no such reason is known
} nsp__http_proxy;

// Sets the options of a request: the proxy of http_proxy or https_proxy, or else of all_proxy. There is none
// for this machine and for the hosts in no_proxy, and none in a program that runs with more rights than its
// caller. HTTP/2 in clear text goes through the proxy by CONNECT, because a plain request would reach the
// proxy in HTTP/1.
CURLcode nsp__http_proxy_set(CURL *easy, nsp__http_proxy *proxy, const nsp__http_peer *peer);

// Did a request fail because of the proxy, rather than the peer? If so, writes a line to out that names the
// proxy and what is wrong with it. error: libcurl's text.
bool nsp__http_proxy_blamed(CURL *easy, const nsp__http_proxy *proxy, CURLcode code, const char *error,
                            char *out, size_t size);

#endif
