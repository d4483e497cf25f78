// SPDX-License-Identifier: Apache-2.0
//
// The sending half of the exporter `otlp`: one request over HTTP (http.c) or gRPC (grpc.c), and
// what its answer means.
#ifndef NSP_OTLP_TRANSPORT_TRANSPORT_H
#define NSP_OTLP_TRANSPORT_TRANSPORT_H

#include <nanospan/exporter.h>

#include "http/client.h"
#include "http/endpoint.h"
#include "http/gzip.h"
#include "otlp/encoding.h"
#include "otlp/transport/parts.h"

typedef struct nsp__otlp_transport {
    nsp__http_endpoint endpoint;
    const nsp__otlp_encoding *encoding;
    nsp__http_client *client;
    struct curl_slist *plain_headers, *gzip_headers;
    nsp__gzip *gzip;     // NULL: no compression
    uint64_t timeout_ns; // of one request
    uint64_t
        warned_ns; // CLOCK_MONOTONIC of the last line about trouble that only a changed configuration ends; 0: none
    bool own_authorities;        // the configuration names the file of them
    nsp__http_trouble warned_of; // what the last such line was about
    bool too_large;              // the last request was refused because of its size
    nsp__otlp_parts parts;
    unsigned broken_off; // gRPC: answers in a row that ended before their status
    void (*log)(nsp_log_level level, const char *subject, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
} nsp__otlp_transport;

// Protocol, endpoint, encoding, headers and compression, as configured; nothing to send with. Errors with one
// line in detail; destroy the transport then as well.
nsp_status nsp__otlp_transport_describe(nsp__otlp_transport *transport, const nsp_config *config,
                                        char *detail, size_t size);

// What would work, but perhaps not as it was meant: headers that this protocol does not allow and that are
// left out, a path that was given twice. One line; returns its length, 0 if there is nothing to say.
size_t nsp__otlp_transport_doubts(const nsp__otlp_transport *transport, const nsp_config *config, char *out,
                                  size_t size);

// The same, and what sends. Connects nothing yet. Errors with one line in detail; destroy the transport then
// as well. Texts of the configuration are copied.
nsp_status nsp__otlp_transport_create(nsp__otlp_transport *transport, const nsp_exporter_context *context,
                                      char *detail, size_t size);
void nsp__otlp_transport_destroy(nsp__otlp_transport *transport);

// Sends one request, and says in transport->too_large whether it was refused for its size; returns by the deadline
// (CLOCK_MONOTONIC), or soon after cancel.
nsp_send_result nsp__otlp_transport_post(nsp__otlp_transport *transport, const uint8_t *body, size_t length,
                                         uint64_t deadline_ns, nsp_send_report *report);

// ---- the two protocols, called by the above ----

nsp_status nsp__otlp_http_headers(nsp__otlp_transport *transport, const nsp_config *config, char *detail,
                                  size_t size);
nsp_send_result nsp__otlp_http_send(nsp__otlp_transport *transport, const uint8_t *body, size_t length,
                                    uint64_t deadline_ns, nsp_send_report *report);

// ---- and what they share ----

// The bytes to send: of a body for which that is worth it the compressed form, valid until the next call,
// else the body itself.
const uint8_t *nsp__otlp_pack(nsp__otlp_transport *transport, const uint8_t *body, size_t *length);

// The report's line. What does not fit is cut off.
__attribute__((format(printf, 2, 3))) void nsp__otlp_explain(nsp_send_report *report, const char *format,
                                                             ...);

// No whole answer: RETRY where the request was surely not taken, else UNKNOWN. Says what to do about trouble
// of the configuration's, at once and then once a minute.
nsp_send_result nsp__otlp_no_answer(nsp__otlp_transport *transport, const nsp__http_answer *answer,
                                    nsp_send_report *report);

// Explains a redirect by where it leads. False: it is none. None is followed: the headers may hold keys.
bool nsp__otlp_redirected(const nsp__otlp_transport *transport, const nsp__http_answer *answer,
                          nsp_send_report *report);

// Does the receiver's text speak of the size of what it refuses?
bool nsp__otlp_speaks_of_size(const char *text);

// Success, if the reply is one of OTLP; else UNCONFIRMED: a portal or a proxy may have answered instead of the receiver.
// encoding: the form of the reply.
nsp_send_result nsp__otlp_taken(const nsp__otlp_transport *transport, const nsp__otlp_encoding *encoding,
                                const uint8_t *reply, size_t length, nsp_send_report *report);

#endif
