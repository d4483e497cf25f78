// SPDX-License-Identifier: Apache-2.0
//
// What the exporter `otlp` sends with: the endpoint, the client and what every request carries. The sender's
// thread owns it.
#ifndef NSP_OTLP_TRANSPORT_CHANNEL_H
#define NSP_OTLP_TRANSPORT_CHANNEL_H

#include <nanospan/exporter.h>

#include "http/client.h"
#include "http/gzip.h"
#include "otlp/encoding.h"
#include "otlp/endpoint.h"

typedef struct nsp__otlp_channel {
    nsp__otlp_endpoint endpoint;
    const nsp__otlp_encoding *encoding;
    nsp__http_client *client;                        // NULL: only described, nothing can be sent
    nsp__gzip *gzip;                                 // NULL: no compression
    struct curl_slist *plain_headers, *gzip_headers; // owned; gRPC uses the first list for both
    bool own_authorities;                            // the configuration names a file of trusted authorities
    bool too_large;                                  // the last request was refused because of its size
    unsigned broken_off;         // gRPC: consecutive answers that ended before their status
    nsp__http_trouble warned_of; // what the last line about trouble was about
    uint64_t warned_ns;          // CLOCK_MONOTONIC of that line; 0: none
    void (*log)(nsp_log_level level, const char *subject, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
} nsp__otlp_channel;

#endif
