// SPDX-License-Identifier: Apache-2.0
//
// POST over HTTP/1.1 with a deadline: one client, one connection that is kept, one request at a time.
#ifndef NSP_HTTP_CLIENT_H
#define NSP_HTTP_CLIENT_H

#include <nanospan/base.h>

#include "http/endpoint.h"

typedef struct nsp__http_client nsp__http_client;

// The texts are copied. Texts that are NULL or "" are not set.
typedef struct nsp__http_options {
    const nsp__http_endpoint *endpoint;
    const char *content_type;
    const char *headers; // k=v,k=v with percent escapes
    size_t gzip_bytes;   // bodies from 1 KiB up to this size are compressed; 0: none
    size_t max_body;     // bytes, before compression; longer ones are not sent
    const char *certificate, *client_certificate, *client_key;
    const int *cancel; // looked at every 50 ms at the latest; non-zero: give up
} nsp__http_options;

typedef enum nsp__http_outcome {
    NSP__HTTP_ANSWERED,  // status and body are there
    NSP__HTTP_NOT_SENT,  // no connection, or the request did not leave whole: surely not taken
    NSP__HTTP_UNCERTAIN, // sent whole, but no whole answer: timeout, cancelled, connection closed
    NSP__HTTP_TOO_LARGE  // the answer is over 4 MiB (status is set), or the request over max_body (status 0)
} nsp__http_outcome;

typedef struct nsp__http_answer {
    nsp__http_outcome outcome;
    unsigned status;     // 0: none
    const uint8_t *body; // with ANSWERED; valid until the next request; of an error maybe cut short
    size_t length;
    uint64_t retry_after_ns; // with ANSWERED; 0: not said
    uint64_t bytes;          // of the body that were sent, after compression
    char error[128];         // one line, where not ANSWERED
} nsp__http_answer;

// NSP_ERR_CONFIG, NSP_ERR_NO_MEMORY, NSP_ERR_SYSTEM with one line in detail.
nsp_status nsp__http_client_create(nsp__http_client **out, const nsp__http_options *options, char *detail,
                                   size_t size);
// NULL is fine. Never waits for a name server.
void nsp__http_client_destroy(nsp__http_client *client);

// CLOCK_MONOTONIC, in nanoseconds.
uint64_t nsp__http_now(void);

// Returns by the deadline (CLOCK_MONOTONIC ns) plus a few milliseconds, or within 50 ms of *cancel.
void nsp__http_post(nsp__http_client *client, const uint8_t *body, size_t length, uint64_t deadline_ns,
                    nsp__http_answer *answer);

#endif
