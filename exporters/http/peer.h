// SPDX-License-Identifier: Apache-2.0
//
// The server that requests go to, and how to reach it.
#ifndef NSP_HTTP_PEER_H
#define NSP_HTTP_PEER_H

#include <stdbool.h>

// The texts belong to whoever filled this in; the client copies what it keeps.
typedef struct nsp__http_peer {
    char *url;         // of the requests; may hold a user name and password
    char *shown;       // for log lines: without those and without a query; for a Unix socket, the socket
    char *unix_socket; // NULL: none; else its path, or its abstract name
    bool abstract;     // unix_socket is an abstract name, not a path
    bool tls;
    bool loopback; // the host is this machine
    bool http2;    // only HTTP/2 is spoken, in clear text without an upgrade; else only HTTP/1.1
} nsp__http_peer;

#endif
