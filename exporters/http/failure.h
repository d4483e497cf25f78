// SPDX-License-Identifier: Apache-2.0
//
// Why a request got no answer: libcurl's error, seen together with what is known about the connection.
#ifndef NSP_HTTP_FAILURE_H
#define NSP_HTTP_FAILURE_H

#include <curl/curl.h>
#include <nanospan/base.h>

#include "http/proxy.h"

// Why there is no answer, where probably only a change of configuration, at either end, helps.
typedef enum nsp__http_trouble {
    NSP__HTTP_NO_TROUBLE,
    NSP__HTTP_NOT_TRUSTED,    // the server's certificate is not accepted
    NSP__HTTP_NO_HANDSHAKE,   // the TLS handshake failed
    NSP__HTTP_CLIENT_REFUSED, // the server ended TLS: the client's certificate is wrong or missing
    NSP__HTTP_OWN_PAIR, // the client's own certificate and key cannot be read, or do not belong together
    NSP__HTTP_NO_AUTHORITIES, // there is no file of trusted authorities, or it has none in it
    NSP__HTTP_WANTS_TLS,      // a request in clear text came to a port where TLS is spoken
    NSP__HTTP_PROXY,          // the proxy cannot be reached, or refuses
    NSP__HTTP_NO_DESCRIPTOR,  // the process may not open another socket
    NSP__HTTP_OTHER_PROTOCOL  // what answers does not speak HTTP/1, or HTTP/2, as asked
} nsp__http_trouble;

typedef struct nsp__http_failure {
    CURL *easy; // of the request
    CURLcode code;
    const char *error; // libcurl's text; "": none
    const nsp__http_proxy *proxy;
    int socket_error; // errno of the last socket that could not be made; 0: none
    bool closed;      // the application has closed the sockets
    bool tls, http2;  // of the peer
} nsp__http_failure;

// Writes one line that says what went wrong, and returns the trouble behind it, if any.
nsp__http_trouble nsp__http_failure_explain(const nsp__http_failure *failure, char *out, size_t size);

// Writes the line for a connection that failed with this errno of its socket, or for a name that could not be
// resolved (0: whether sockets can be made is tried). False: descriptors are not what is missing.
bool nsp__http_no_descriptor(int error, char *out, size_t size);

// The code with which the server reset the stream of HTTP/2, from libcurl's text. UINT_MAX: it did not.
unsigned nsp__http_reset_code(const char *error);

#endif
