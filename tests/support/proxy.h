// SPDX-License-Identifier: Apache-2.0
//
// An HTTP proxy for tests, on a loopback port of its own. It knows one host, whatever the name that it is asked for.
#ifndef NSP_TESTS_PROXY_H
#define NSP_TESTS_PROXY_H

typedef enum proxy_manner {
    PROXY_TUNNEL, // CONNECT is answered with 200, and leads to the port
    PROXY_ANSWER, // every request is answered with the status, and nothing else
    PROXY_HANG_UP // every request is read, and the connection closed
} proxy_manner;

typedef struct proxy proxy;

// port: on the loopback, where tunnels lead to. NULL: failed.
proxy *proxy_start(proxy_manner manner, unsigned status, unsigned port);
void proxy_stop(proxy *proxy);
unsigned proxy_port(const proxy *proxy);
// The head of the last request, up to its empty line; "" for none. Valid until the next.
const char *proxy_last(proxy *proxy);

#endif
