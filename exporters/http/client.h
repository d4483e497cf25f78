// SPDX-License-Identifier: Apache-2.0
//
// POST with a deadline, over HTTP/1.1 or HTTP/2. A client keeps one connection and makes one request at a
// time.
#ifndef NSP_HTTP_CLIENT_H
#define NSP_HTTP_CLIENT_H

#include <curl/curl.h>
#include <nanospan/base.h>

#include "http/failure.h"
#include "http/peer.h"
#include "http/tls.h"

typedef struct nsp__http_client nsp__http_client;

// The texts are copied.
typedef struct nsp__http_options {
    const nsp__http_peer *peer;
    nsp__tls_files tls;
    size_t max_body;   // bytes; longer ones are not sent
    const int *cancel; // read at least every 50 ms; non-zero: give up
    int *held_back;    // that of nsp_exporter_context, which a request sets to 0 in time; NULL: none
} nsp__http_options;

// The body is the prefix, then the message. The caller owns all of it and keeps it until the answer has been
// read.
typedef struct nsp__http_request {
    struct curl_slist *headers;
    const uint8_t *prefix, *message;
    size_t prefix_length, message_length;
} nsp__http_request;

typedef enum nsp__http_outcome {
    NSP__HTTP_ANSWERED,  // the answer is complete, or its status says enough
    NSP__HTTP_NOT_SENT,  // no connection, or the request was not sent completely: certainly not taken
    NSP__HTTP_UNCERTAIN, // sent completely, but no complete answer came: timeout, cancelled, closed
    NSP__HTTP_TOO_LARGE // a success answer over 64 KiB (status is set), or a request over max_body (status 0)
} nsp__http_outcome;

typedef struct nsp__http_answer {
    nsp__http_outcome outcome;
    nsp__http_trouble trouble;
    unsigned status;     // 0: none
    unsigned version;    // of HTTP: 1 or 2; 0: no answer at all
    bool timed_out;      // the deadline passed
    unsigned reset_code; // HTTP/2's, if the stream was reset; UINT_MAX: it was not
    const uint8_t *body; // valid until the next request; an error's may be cut short, to 64 KiB at most
    size_t length;
    uint64_t retry_after_ns; // with ANSWERED; 0: not said
    uint64_t bytes;          // of the request's body that were sent
    char error[128];         // one line, if not ANSWERED
} nsp__http_answer;

// NSP_ERR_CONFIG, NSP_ERR_NO_MEMORY, NSP_ERR_SYSTEM, NSP_ERR_UNSUPPORTED with one line in detail.
nsp_status nsp__http_client_create(nsp__http_client **out, const nsp__http_options *options, char *detail,
                                   size_t size);
// NULL is fine. Never waits for a name server.
void nsp__http_client_destroy(nsp__http_client *client);

// Returns by the deadline (CLOCK_MONOTONIC ns) plus a few milliseconds, or within 50 ms of *cancel.
void nsp__http_post(nsp__http_client *client, const nsp__http_request *request, uint64_t deadline_ns,
                    nsp__http_answer *answer);

// Host and port of the proxy that requests may go through; NULL: none.
const char *nsp__http_proxy_shown(const nsp__http_client *client);

// The last header, or trailer, with this name (in upper or lower case) of the last answer. NULL: none. Valid
// until the next request.
const char *nsp__http_header(const nsp__http_client *client, const char *name);
const char *nsp__http_trailer(const nsp__http_client *client, const char *name);
bool nsp__http_has_trailers(const nsp__http_client *client);

#endif
