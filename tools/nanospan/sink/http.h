// SPDX-License-Identifier: Apache-2.0
//
// The sink's HTTP side: an OTLP/HTTP receiver on libmicrohttpd, a thread a connection.
#ifndef NANOSPAN_SINK_HTTP_H
#define NANOSPAN_SINK_HTTP_H

#include "accounting.h"

typedef struct sink_http sink_http;

typedef struct sink_http_options {
    int listener;         // a listening socket, owned by the server once it is started
    uint64_t most_body;   // bytes of one request, before and after decompression
    unsigned connections; // most at a time
    // Faults on purpose, for those who test what their senders do.
    double fail_share; // of requests that are answered with fail_status and not counted
    unsigned fail_status;
    double lose_share;      // of requests that are counted, and the connection closed instead of a reply
    uint64_t delay_ns;      // before each reply
    uint64_t retry_after_s; // in the Retry-After of a failure; UINT64_MAX: none
    uint64_t seed;          // makes the two shares repeatable
} sink_http_options;

// NULL after complaining.
sink_http *sink_http_start(const sink_http_options *options, sink_accounting *accounting);

// Takes no more connections, waits until running requests are answered, at most `patience_ns` or until `hurry` (a
// descriptor) becomes readable, then closes all.
void sink_http_stop(sink_http *server, uint64_t patience_ns, int hurry);

#endif
