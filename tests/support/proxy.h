// SPDX-License-Identifier: Apache-2.0
//
// An HTTP proxy for tests on a free loopback port. Every host name leads to the same server.
#ifndef NSP_TESTS_PROXY_H
#define NSP_TESTS_PROXY_H

typedef enum proxy_manner {
    PROXY_TUNNEL, // answers CONNECT with 200 and connects to the port
    PROXY_ANSWER, // answers every request with the status only
    PROXY_HANG_UP // reads every request and closes the connection
} proxy_manner;

typedef struct proxy proxy;

// port: the loopback port that tunnels lead to. Returns NULL on failure.
proxy *proxy_start(proxy_manner manner, unsigned status, unsigned port);
void proxy_stop(proxy *proxy);
unsigned proxy_port(const proxy *proxy);
// The head of the last request, up to its empty line; "" for none. Valid until the next.
const char *proxy_last(proxy *proxy);

#endif
