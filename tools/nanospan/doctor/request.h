// SPDX-License-Identifier: Apache-2.0
//
// One HTTP exchange over libcurl, with all that can be said about it.
#ifndef NANOSPAN_DOCTOR_REQUEST_H
#define NANOSPAN_DOCTOR_REQUEST_H

#include "support/text.h"
#include <curl/curl.h>
#include <stdint.h>

typedef enum request_version {
    REQUEST_HTTP1,      // HTTP/1.1 alone
    REQUEST_HTTP2,      // HTTP/2 at once: in clear without asking, over TLS by ALPN
    REQUEST_HTTP2_OR_1, // whatever TLS agrees on
} request_version;

typedef struct request {
    const char *url;
    const char *socket; // of a Unix socket, "" or NULL: none;
    bool abstract;      // its name is not one of the file system
    request_version version;
    const void *body; // NULL: a GET
    size_t body_length;
    struct curl_slist *headers; // NULL: what libcurl sends by itself
    bool no_proxy;
    bool trust_anybody; // certificates are not checked
    const char *certificate, *client_certificate, *client_key;
    uint64_t timeout_ns;
} request;

typedef struct request_answer {
    CURLcode code;
    char error[CURL_ERROR_SIZE];
    long status;         // of HTTP; 0: none
    long connect_status; // of the proxy's answer to CONNECT; 0: none
    long version;        // CURL_HTTP_VERSION_..., 0: none
    long verify;         // of OpenSSL: why the certificate is not trusted; 0: it is, or nobody knows
    int grpc_status;     // -1: none
    char grpc_message[200];
    char type[64]; // Content-Type
    char date[64]; // Date
    char location[200];
    char subject[200], issuer[200], expires[64]; // of the server's certificate; "": not known
    text body;                                   // of the answer, at most a few KiB
} request_answer;

void request_send(const request *request, request_answer *answer);
// Connects and shakes hands, and then only listens: does the other side hang up after all? With TLS 1.3 that is when a
// missing client certificate is complained of. `why`: what OpenSSL says of it; "": it was done without a word.
bool request_refused_late(const request *request, char *why, size_t size);

void request_answer_free(request_answer *answer);

#endif
