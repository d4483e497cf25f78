// SPDX-License-Identifier: Apache-2.0
//
// A receiver for tests: HTTP on a free loopback port. It answers by a plan and remembers what it received.
#ifndef NSP_TESTS_HTTP_SERVER_H
#define NSP_TESTS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum http_manner {
    HTTP_WHOLE,         // answers
    HTTP_STALL,         // reads the request, never answers
    HTTP_HANG_UP,       // reads the request, closes the connection without an answer
    HTTP_HANG_UP_MIDWAY // closes it in the middle of the answer's body
} http_manner;

typedef struct http_reply {
    unsigned status;
    const char *header, *value; // one more header of the answer, or NULL
    const void *body;           // NULL: `length` bytes of 'x'
    size_t length;
    http_manner manner;
    unsigned delay_ms; // delay before the answer
} http_reply;

// One request. Texts that are too long are cut.
typedef struct http_request {
    char method[8], path[128], content_type[64], content_encoding[32], user_agent[64], extra[128];
    size_t length; // as sent
    uint8_t *body; // after gunzip
    size_t body_length;
} http_request;

typedef struct http_server http_server;

// Starts listening. extra: the request header to keep in http_request.extra, or NULL. Returns NULL on
// failure.
http_server *http_server_start(const char *extra);
// The same over TLS, with a certificate and key in PEM form. clients: the certificate of an authority whose
// client certificates are required, or NULL. port 0: any free port.
http_server *http_server_start_tls(const char *extra, const char *certificate, const char *key,
                                   const char *clients, unsigned port);
// Stops the server; also ends stalled requests.
void http_server_stop(http_server *server);
unsigned http_server_port(const http_server *server);

// Appends to the plan: the nth request gets the nth reply, and later requests the last one. Without a plan
// every request gets 200 and an empty body.
void http_server_plan(http_server *server, const http_reply *reply);

// Sets a function that may change each reply once the request has been read. Its calls do not overlap.
typedef void http_judge(void *context, const http_request *request, http_reply *reply);
void http_server_judge(http_server *server, http_judge *judge, void *context);

unsigned http_server_requests(http_server *server);
unsigned http_server_connections(http_server *server);
// The last request that was read completely; valid until the next one. Call it while no request is in
// progress.
const http_request *http_server_last(http_server *server);

#endif
