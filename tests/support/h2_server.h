// SPDX-License-Identifier: Apache-2.0
//
// A receiver for tests: HTTP/2 in clear, on a loopback port or a Unix socket, that answers by plan, frame by frame, and
// remembers what it was sent.
#ifndef NSP_TESTS_H2_SERVER_H
#define NSP_TESTS_H2_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum h2_manner {
    H2_WHOLE,        // reads the request, answers
    H2_EARLY,        // answers when the request's headers are there
    H2_SILENT,       // reads the request, never answers
    H2_HALF,         // answers with headers and data, then nothing more
    H2_STALLED,      // reads no more than the first window of the request
    H2_RESET,        // reads the request, then resets the stream with `error`
    H2_GOAWAY,       // refuses the connection at the request's headers: no stream of it was looked at
    H2_GOAWAY_LATER, // reads the request, says that the connection ends with it, and closes without an answer
    H2_HANG_UP       // reads the request, closes the connection
} h2_manner;

// Texts of headers are lines "name: value\n".
typedef struct h2_reply {
    h2_manner manner;
    unsigned status;          // 0: 200
    const char *content_type; // NULL: application/grpc; "": none
    const char *headers;      // further ones, or NULL
    const void *data;         // or NULL
    size_t length;
    size_t chunk;         // bytes of a DATA frame; 0: as large as they can be
    const char *trailers; // NULL: none; without data they are sent as the headers' part (Trailers-Only)
    bool apart;           // trailers without data, yet in a block of their own
    uint32_t error;       // of RESET and GOAWAY
    unsigned delay_ms;    // before the answer
} h2_reply;

typedef struct h2_request {
    char headers[2048]; // as lines
    uint8_t *body;
    size_t length;
} h2_request;

typedef struct h2_server h2_server;

// unix_socket: a path, or NULL for a port of its own. Listens at once. NULL: failed.
h2_server *h2_server_start(const char *unix_socket);
void h2_server_stop(h2_server *server);
unsigned h2_server_port(const h2_server *server);

// Appends to the plan: the nth request gets the nth reply, later ones the last. Without a plan: grpc-status 0 and an empty
// message.
void h2_server_plan(h2_server *server, const h2_reply *reply);

// Lets a function change each reply, once it has seen the whole request. One call at a time.
typedef void h2_judge(void *context, const h2_request *request, h2_reply *reply);
void h2_server_judge(h2_server *server, h2_judge *judge, void *context);

unsigned h2_server_requests(h2_server *server); // begun
unsigned h2_server_connections(h2_server *server);
// The last request that was read whole; valid until the next. Waits a while for the first one. Call it when no other is on
// its way.
const h2_request *h2_server_last(h2_server *server);

#endif
