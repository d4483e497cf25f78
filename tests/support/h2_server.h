// SPDX-License-Identifier: Apache-2.0
//
// A receiver for tests: clear-text HTTP/2 on a loopback port or a Unix socket. It answers by a plan, frame by
// frame, and remembers what it received.
#ifndef NSP_TESTS_H2_SERVER_H
#define NSP_TESTS_H2_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum h2_manner {
    H2_WHOLE,        // reads the request, answers
    H2_EARLY,        // answers as soon as the request's headers have arrived
    H2_SILENT,       // reads the request, never answers
    H2_HALF,         // answers with headers and data, but never ends the answer
    H2_STALLED,      // reads no more than the first window of the request
    H2_RESET,        // reads the request, then resets the stream with `error`
    H2_GOAWAY,       // refuses the connection at the request's headers; no stream was processed
    H2_GOAWAY_LATER, // reads the request, announces the end of the connection, and closes it without an answer
    H2_HANG_UP       // reads the request, closes the connection
} h2_manner;

// Headers are texts with lines "name: value\n".
typedef struct h2_reply {
    h2_manner manner;
    unsigned status;          // 0: 200
    const char *content_type; // NULL: application/grpc; "": none
    const char *headers;      // further ones, or NULL
    const void *data;         // or NULL
    size_t length;
    size_t chunk;         // bytes per DATA frame; 0: as many as possible
    const char *trailers; // NULL: none; without data they are sent with the headers (Trailers-Only)
    bool apart;           // send trailers in a block of their own even without data
    uint32_t error;       // error code of RESET and GOAWAY
    unsigned delay_ms;    // delay before the answer
} h2_reply;

typedef struct h2_request {
    char headers[2048]; // as lines
    uint8_t *body;
    size_t length;
} h2_request;

typedef struct h2_server h2_server;

// Starts listening. unix_socket: a path, or NULL for a free port. Returns NULL on failure.
h2_server *h2_server_start(const char *unix_socket);
void h2_server_stop(h2_server *server);
unsigned h2_server_port(const h2_server *server);

// Appends to the plan: the nth request gets the nth reply, and later requests the last one. Without a plan
// every request gets grpc-status 0 and an empty message.
void h2_server_plan(h2_server *server, const h2_reply *reply);

// Sets a function that may change each reply once the whole request has been read. Its calls do not overlap.
typedef void h2_judge(void *context, const h2_request *request, h2_reply *reply);
void h2_server_judge(h2_server *server, h2_judge *judge, void *context);

unsigned h2_server_requests(h2_server *server); // requests that have begun
unsigned h2_server_connections(h2_server *server);
// The last request that was read completely; valid until the next one. Waits a while for the first. Call it
// while no other request is in progress.
const h2_request *h2_server_last(h2_server *server);

#endif
