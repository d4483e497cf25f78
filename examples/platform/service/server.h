// SPDX-License-Identifier: Apache-2.0
//
// The HTTP side of a service: routes, bodies, JSON replies. Each request is a server span, except GET /health
// and /ready: these are called every few seconds and begin no traces.
#ifndef PLATFORM_SERVER_H
#define PLATFORM_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct database;
struct MHD_Connection;

struct request {
    void *context;             // of the service
    struct database *database; // of the service
    const char *argument;      // the text in place of {...} in the route's path, or NULL
    const char *body;          // as received, zero terminated
    size_t body_length;
    struct MHD_Connection *connection;
};

// The reply to a request. `result` is one word, by which the span and the load driver classify the request.
struct reply {
    unsigned status;
    char *text; // JSON, from malloc
    char result[40];
    char message[200]; // for a failure
};

typedef void request_handler(const struct request *request, struct reply *reply);

struct route {
    const char *method;
    const char *path;      // "/api/signals"; may have one {argument} as its last part
    const char *span_name; // NULL: method and path
    request_handler *handle;
};

// Makes the JSON the reply, and frees it.
void reply_json(struct reply *reply, unsigned status, const char *result, json_t *body);

// Makes {"error": result, "message": ...} the reply.
__attribute__((format(printf, 4, 5))) void reply_failure(struct reply *reply, unsigned status,
                                                         const char *result, const char *message, ...);

// The value of a query parameter, or NULL.
const char *request_query(const struct request *request, const char *name);

struct server;

struct server_options {
    const char *service; // its name, for GET /health
    const char *listen;  // HOST:PORT
    unsigned threads;    // number of threads that handle requests
    const struct route *routes;
    size_t route_count;
    void *context;
    struct database *database;
    bool (*ready)(void *context, json_t *checks); // more checks for GET /ready; may be NULL
};

// Serves until server_stop. On failure, prints a line on standard error and returns NULL.
struct server *server_start(const struct server_options *options);

// The address that others can connect to, such as "127.0.0.1:8000".
const char *server_address(const struct server *server);

// Accepts no new connections, waits at most `patience_ms` milliseconds for running requests, then closes all
// connections.
void server_stop(struct server *server, unsigned patience_ms);

// Number of requests answered so far, without health checks.
unsigned long long server_answered(const struct server *server);

void server_free(struct server *server);

#endif
