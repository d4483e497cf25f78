// SPDX-License-Identifier: Apache-2.0
//
// One request on its way through a server: its span, the context and baggage that came with it, and the
// application's own state.
#ifndef NSP_INSTRUMENTATION_MICROHTTPD_REQUEST_H
#define NSP_INSTRUMENTATION_MICROHTTPD_REQUEST_H

#include "microhttpd/routes.h"
#include <nanospan/propagation.h>

enum { NSP__QUERY_MAX = 256 };

typedef struct nsp__request {
    void *state; // *con_cls as the application sees it
    nsp_span *span;
    nsp_ticks start;
    bool presented; // the handler was called
    bool refused;   // the handler returned MHD_NO
    size_t query_length;
    char query[NSP__QUERY_MAX]; // as it came, before libmicrohttpd parses it; not zero terminated
    nsp_incoming incoming;
} nsp__request;

// A new request whose line was read; uri may be NULL. Allocated by malloc; NULL if there is no memory.
nsp__request *nsp__request_new(const char *uri);

// What the handler receives at its first call.
typedef struct nsp__request_line {
    const char *path, *method, *version;
    bool tls;
} nsp__request_line;

// Begins the span.
void nsp__request_begin(nsp__request *request, struct MHD_Connection *connection, const nsp__routes *routes,
                        const nsp__request_line *line);

// Sets the attributes that are known only at the end of the request, and ends the span.
void nsp__request_end(nsp__request *request, struct MHD_Connection *connection,
                      enum MHD_RequestTerminationCode why);

// Makes the request current on this thread while the application works on it. Returns what nsp__request_leave
// needs as `before`.
const nsp_incoming *nsp__request_enter(const nsp__request *request);
void nsp__request_leave(const nsp__request *request, const nsp_incoming *before);

#endif
