// SPDX-License-Identifier: Apache-2.0
//
// One HTTP exchange over libcurl, and everything that it shows about the server.
#ifndef NANOSPAN_DOCTOR_REQUEST_H
#define NANOSPAN_DOCTOR_REQUEST_H

#include "support/text.h"
#include <curl/curl.h>
#include <stdint.h>

typedef enum request_version {
    REQUEST_HTTP1,      // HTTP/1.1 only
    REQUEST_HTTP2,      // HTTP/2: in clear text by prior knowledge, over TLS by ALPN
    REQUEST_HTTP2_OR_1, // whatever ALPN negotiates
} request_version;

typedef struct request {
    const char *url;
    const char *socket; // name of a Unix socket; "" or NULL: none
    bool abstract;      // the socket's name is an abstract one
    request_version version;
    const void *body; // NULL makes it a GET
    size_t body_length;
    struct curl_slist *headers; // NULL: only what libcurl sends by itself
    bool no_proxy;
    bool skip_verification; // do not check certificates
    const char *certificate, *client_certificate, *client_key;
    uint64_t timeout_ns;
} request;

typedef struct request_answer {
    CURLcode code;
    char error[CURL_ERROR_SIZE];
    long status;         // HTTP status; 0: none
    long connect_status; // status of the proxy's answer to CONNECT; 0: none
    long version;        // CURL_HTTP_VERSION_..., 0: none
    long verify;         // OpenSSL's reason for not trusting the certificate; 0: it is trusted, or unknown
    int grpc_status;     // -1: none
    char grpc_message[200];
    char type[64]; // Content-Type
    char date[64]; // Date
    char location[200];
    char subject[200], issuer[200], expires[64]; // from the server's certificate; "": unknown
    text body;                                   // of the answer, at most 1 MiB
} request_answer;

void request_send(const request *request, request_answer *answer);

// Connects, completes the TLS handshake, and then only reads: does the server close the connection? With TLS
// 1.3 a server complains of a missing client certificate only then. `why` receives OpenSSL's message; "":
// there was none.
bool request_refused_late(const request *request, char *why, size_t size);

void request_answer_free(request_answer *answer);

#endif
