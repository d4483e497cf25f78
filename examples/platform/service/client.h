// SPDX-License-Identifier: Apache-2.0
//
// Calls from one service to another: JSON over HTTP. Each call is a client span; connections stay open
// between calls.
#ifndef PLATFORM_CLIENT_H
#define PLATFORM_CLIENT_H

#include <jansson.h>
#include <nanospan/nanospan.h>
#include <stdbool.h>

struct client;

// A client of the service with this name ("ai-engine") at this URL ("http://127.0.0.1:8001"). A call may take
// timeout_ms milliseconds. NULL: out of memory.
struct client *client_new(const char *service, const char *url, unsigned timeout_ms);
void client_free(struct client *client);

struct answer {
    unsigned status;   // HTTP status; 0 if there was no answer
    json_t *body;      // freed by answer_free; NULL if there is none
    bool timed_out;    // no answer in time
    char problem[160]; // one line about what went wrong; "" on success
};

// Sends the request and waits for the answer. body is NULL, or the JSON to post, which is freed. The client
// span has this name and is ended on return. True on success: status 2xx and a JSON object.
bool client_call(struct client *client, nsp_name span, const char *method, const char *path, json_t *body,
                 struct answer *out);
void answer_free(struct answer *answer);

// The member of the answer's body, or the fallback if it is missing or has another type.
const char *answer_text(const struct answer *answer, const char *member, const char *fallback);
double answer_number(const struct answer *answer, const char *member, double fallback);

// True if GET /health of the service answers 200 in time. Not traced.
bool client_healthy(struct client *client);

const char *client_service(const struct client *client);

#endif
