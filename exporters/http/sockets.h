// SPDX-License-Identifier: Apache-2.0
//
// The descriptors that libcurl holds for us from one request to the next. The application may close them, as daemons close all
// there are, and get their numbers for files and connections of its own: before libcurl uses or closes one, we look whether
// it still is what it was.
#ifndef NSP_HTTP_SOCKETS_H
#define NSP_HTTP_SOCKETS_H

#include <curl/curl.h>

#include "common/descriptor.h"

// At most one connection is kept; while a request is made there may be several (two addresses of one host, a probe).
enum { NSP__HTTP_SOCKETS_MAX = 16 };

typedef struct nsp__http_socket {
    int fd; // -1: none
    nsp__file_id id;
} nsp__http_socket;

typedef struct nsp__http_sockets {
    nsp__http_socket open[NSP__HTTP_SOCKETS_MAX];
    nsp__http_socket
        mark; // stands for the descriptors that libcurl does not show us: who closes those closes this one too
    int error; // errno of the last socket that could not be made
} nsp__http_sockets;

// Makes a multi handle, none of whose descriptors is a standard one. NULL: failed.
CURLM *nsp__http_sockets_begin(nsp__http_sockets *sockets);

// libcurl makes and closes the easy handle's sockets by way of this from now on.
CURLcode nsp__http_sockets_set(CURL *easy, nsp__http_sockets *sockets);

// False if one of them was closed by somebody else. Then the handles must neither be used nor freed any more.
bool nsp__http_sockets_intact(const nsp__http_sockets *sockets);

// After a request. libcurl before 8.0 closes a socket whose connection was never made by itself, without the function
// that we gave it: one that is gone and is not `kept`, that of the kept connection (-1: none), was closed by libcurl,
// and is forgotten.
void nsp__http_sockets_settle(nsp__http_sockets *sockets, int kept);

// Cleans the handles up where that is harmless; otherwise leaves them as they are for ever.
void nsp__http_sockets_end(nsp__http_sockets *sockets, CURLM *multi, CURL *easy);

#endif
