// SPDX-License-Identifier: Apache-2.0
//
// The descriptors that libcurl keeps for us from one request to the next. The application may close them, as
// daemons close every descriptor, and get their numbers for files and connections of its own. So before
// libcurl uses or closes one, we check that it is still the same file.
#ifndef NSP_HTTP_SOCKETS_H
#define NSP_HTTP_SOCKETS_H

#include <curl/curl.h>

#include "common/descriptor.h"

// At most one connection is kept; during a request there may be several (two addresses of one host, a probe).
enum { NSP__HTTP_SOCKETS_MAX = 16 };

typedef struct nsp__http_socket {
    int fd; // -1: none
    nsp__file_id id;
} nsp__http_socket;

typedef struct nsp__http_sockets {
    nsp__http_socket open[NSP__HTTP_SOCKETS_MAX];
    // Stands for the descriptors that libcurl does not show us: whoever closes those closes this one too.
    nsp__http_socket mark;
    int error;   // errno of the last socket that could not be made
    bool closed; // somebody else closed one that libcurl was still using
} nsp__http_sockets;

// Makes a multi handle, none of whose descriptors is below 3. NULL: failed.
CURLM *nsp__http_sockets_begin(nsp__http_sockets *sockets);

// From now on libcurl makes and closes the easy handle's sockets through this.
CURLcode nsp__http_sockets_set(CURL *easy, nsp__http_sockets *sockets);

// Before a request: forgets what the last one met with.
void nsp__http_sockets_expect(nsp__http_sockets *sockets);

// During and after a request. False: somebody else has closed all descriptors, as closefrom does. Their
// numbers may stand for files of the application's, so the handles must neither be used nor freed.
bool nsp__http_sockets_held(const nsp__http_sockets *sockets);

// After a request that failed: did somebody else close one of its descriptors, or all?
bool nsp__http_sockets_closed(const nsp__http_sockets *sockets);

// False if somebody else closed one of them. Then the handles must neither be used nor freed.
bool nsp__http_sockets_intact(const nsp__http_sockets *sockets);

// Call it after a request. Before 8.0, libcurl closes the socket of a connection that was never made without
// the function that we gave it. So a socket that is gone, and is not `kept` (the socket of the kept
// connection, -1: none), was closed by libcurl and is forgotten.
void nsp__http_sockets_settle(nsp__http_sockets *sockets, int kept);

// Cleans the easy handle up, which is one that uses these sockets, under the same condition as below.
void nsp__http_sockets_free(const nsp__http_sockets *sockets, CURL *easy);

// Cleans the handles up if that is harmless; otherwise leaves them as they are for ever.
void nsp__http_sockets_end(nsp__http_sockets *sockets, CURLM *multi, CURL *easy);

#endif
