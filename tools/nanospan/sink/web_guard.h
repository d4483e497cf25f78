// SPDX-License-Identifier: Apache-2.0
//
// Who may read the live page. Its listener can be reached by every user of the machine, and by every web page
// that a user's browser opens. So a request has to name this listener as its Host, which a page of another
// name cannot, even if that name's address is this one (DNS rebinding); it may not come from a page of another
// origin; and whoever wants figures or spans has to know the token.
#ifndef NANOSPAN_SINK_WEB_GUARD_H
#define NANOSPAN_SINK_WEB_GUARD_H

#include <microhttpd.h>
#include <stdbool.h>

enum { WEB_TOKEN_BYTES = 20, WEB_PLACE_SIZE = 300 };

typedef struct web_guard {
    char token[2 * WEB_TOKEN_BYTES + 1];
    char place[WEB_PLACE_SIZE];   // HOST:PORT as it was asked for
    char numeric[WEB_PLACE_SIZE]; // the same with the address that it is
    unsigned port;
    bool loopback; // only this machine reaches it
    bool any;      // it listens on every address of the machine
} web_guard;

// Draws the token. `address` is what listen_on took. Returns false after printing an error.
bool web_guard_init(web_guard *guard, int listener, const char *address, unsigned port);

// The page's address, with the token.
void web_guard_url(const web_guard *guard, char *out, size_t size);

// Judges the Host, the Origin and the method. Returns 0 or the status to refuse with, and sets *why.
unsigned web_guard_refuses(const web_guard *guard, struct MHD_Connection *connection, const char *method,
                           const char **why);

// Has the request the token?
bool web_guard_knows(const web_guard *guard, struct MHD_Connection *connection);

#endif
