// SPDX-License-Identifier: Apache-2.0
//
// The HTTP side of a service: routes, bodies, JSON replies. Each request is a server span, but for GET /health and /ready:
// those are asked every few seconds, and begin no traces.
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
    const char *argument;      // what stands for {...} in the route's path, or NULL
    const char *body;          // as it came, zero terminated
    size_t body_length;
    struct MHD_Connection *connection;
};

// What is answered. `result` is one word that the span and the load driver count by.
struct reply {
    unsigned status;
    char *text; // JSON, from malloc
    char result[40];
    char message[200]; // of a failure
};

typedef void request_handler(const struct request *request, struct reply *reply);

struct route {
    const char *method;
    const char *path;      // "/api/signals", or with one {argument} as its last part
    const char *span_name; // NULL: method and path
    request_handler *handle;
};

// Writes the JSON (and frees it) as the answer.
void reply_json(struct reply *reply, unsigned status, const char *result, json_t *body);

// Answers {"error": result, "message": ...}.
__attribute__((format(printf, 4, 5))) void reply_failure(struct reply *reply, unsigned status,
                                                         const char *result, const char *message, ...);

// The value of a query parameter, or NULL.
const char *request_query(const struct request *request, const char *name);

struct server;

struct server_options {
    const char *service; // its name, for GET /health
    const char *listen;  // HOST:PORT
    unsigned threads;    // that handle requests
    const struct route *routes;
    size_t route_count;
    void *context;
    struct database *database;
    bool (*ready)(void *context, json_t *checks); // for GET /ready, beside the database; may be NULL
};

// Serves until server_stop. NULL, with a line on standard error, where it cannot.
struct server *server_start(const struct server_options *options);

// "127.0.0.1:8000", as others connect to it.
const char *server_address(const struct server *server);

// Takes no new connections, lets requests under way finish for at most `patience_ms`, then closes all.
void server_stop(struct server *server, unsigned patience_ms);

// Requests answered so far, health checks not counted.
unsigned long long server_answered(const struct server *server);

void server_free(struct server *server);

#endif
