// SPDX-License-Identifier: Apache-2.0
//
// How the exporter `otlp` writes spans and reads a reply: one of these for each form of OTLP.
#ifndef NSP_OTLP_ENCODING_H
#define NSP_OTLP_ENCODING_H

#include <nanospan/exporter.h>

#include "otlp/transport/cut.h"

typedef struct nsp__otlp_encoding {
    const char *content_type; // over HTTP

    // An encoder that has packed the context's resource; of the context nothing is kept. NSP_ERR_NO_MEMORY, or
    // NSP_ERR_CONFIG after a log line; *encoder is NULL then.
    nsp_status (*create)(void **encoder, const nsp_exporter_context *context);
    void (*destroy)(void *encoder); // NULL is fine
    // As of nsp_exporter. After close data[head..length) is the request.
    void (*open)(void *encoder, nsp_batch *batch);
    bool (*append)(void *encoder, nsp_batch *batch, const nsp_span_view *view);
    void (*close)(void *encoder, nsp_batch *batch);

    const nsp__otlp_cutter *cutter; // for a request that its receiver finds too large

    // Reads an ExportTraceServiceResponse. *rejected: spans refused, 0 if it names none, never negative. message gets at
    // most size - 1 bytes of the receiver's text as one line, cut at a character, zero terminated; "" if there is none.
    // False: the bytes are no such message (*rejected 0, message ""). Thread safe.
    bool (*read_response)(const uint8_t *bytes, size_t length, int64_t *rejected, char *message, size_t size);
} nsp__otlp_encoding;

extern const nsp__otlp_encoding nsp__otlp_protobuf; // encoder.c
extern const nsp__otlp_encoding
    nsp__otlp_json; // support/otlp_json.c: a batch is one object (a TracesData as well) and a newline

#endif
