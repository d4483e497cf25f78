// SPDX-License-Identifier: Apache-2.0
//
// The sink's HTTP side: an OTLP/HTTP receiver on libmicrohttpd, one thread per connection.
#ifndef NANOSPAN_SINK_HTTP_H
#define NANOSPAN_SINK_HTTP_H

#include "live.h"

typedef struct sink_http sink_http;

typedef struct sink_http_options {
    int listener;         // a listening socket; the server owns it once started
    uint64_t most_body;   // largest request in bytes, before and after decompression
    unsigned connections; // the most at a time
    sink_live *live;      // gets the accepted lines; NULL: there is no live page
    // Deliberate faults, for testing senders.
    double fail_share; // share of requests answered with fail_status and not counted
    unsigned fail_status;
    double lose_share;      // share of requests counted, whose connection is then closed without a reply
    uint64_t delay_ns;      // waited before each reply
    uint64_t retry_after_s; // Retry-After of a deliberate failure; UINT64_MAX: none
    uint64_t seed;          // makes the two shares repeatable
} sink_http_options;

// Returns NULL after printing an error.
sink_http *sink_http_start(const sink_http_options *options, sink_accounting *accounting);

// Accepts no more connections and waits for the requests in progress, at most `patience_ns` or until the
// descriptor `stop_now` becomes readable. Then closes everything.
void sink_http_stop(sink_http *server, uint64_t patience_ns, int stop_now);

#endif
