// SPDX-License-Identifier: Apache-2.0
//
// Calls of one service to another: JSON over HTTP, each call a client span, connections kept open between calls.
#ifndef PLATFORM_CLIENT_H
#define PLATFORM_CLIENT_H

#include <jansson.h>
#include <nanospan/nanospan.h>
#include <stdbool.h>

struct client;

// For the service of this name ("ai-engine") at this URL ("http://127.0.0.1:8001"). A call may take timeout_ms. NULL: out
// of memory.
struct client *client_new(const char *service, const char *url, unsigned timeout_ms);
void client_free(struct client *client);

struct answer {
    unsigned status;   // of HTTP; 0 where nothing came back
    json_t *body;      // an object, to be freed by answer_free; NULL where there is none
    bool timed_out;    // no answer in time
    char problem[160]; // one line about what went wrong; "" where the callee did as it was asked
};

// Sends the request (body: NULL, or what is posted; it is freed) and waits. The span has this name and is ended. True if
// the callee did as it was asked: status 2xx and a JSON object.
bool client_call(struct client *client, nsp_name span, const char *method, const char *path, json_t *body,
                 struct answer *out);
void answer_free(struct answer *answer);

// The member of the answer's body, or the fallback where it is not there or of another type.
const char *answer_text(const struct answer *answer, const char *member, const char *fallback);
double answer_number(const struct answer *answer, const char *member, double fallback);

// True if its GET /health answers 200 in time. Not traced.
bool client_healthy(struct client *client);

const char *client_service(const struct client *client);

#endif
