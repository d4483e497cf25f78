// SPDX-License-Identifier: Apache-2.0
//
// How the exporter `otlp` writes spans and reads a reply: one table for each form of OTLP.
#ifndef NSP_OTLP_ENCODING_H
#define NSP_OTLP_ENCODING_H

#include <nanospan/exporter.h>

#include "otlp/transport/cut.h"

typedef struct nsp__otlp_encoding {
    const char *content_type; // over HTTP

    // Makes an encoder and packs the context's resource. Nothing of the context is kept. NSP_ERR_NO_MEMORY,
    // or NSP_ERR_CONFIG after a log line; then *encoder is NULL.
    nsp_status (*create)(void **encoder, const nsp_exporter_context *context);
    void (*destroy)(void *encoder); // NULL is fine
    // Like those of nsp_exporter. After close, data[head..length) is the request.
    void (*open)(void *encoder, nsp_batch *batch);
    bool (*append)(void *encoder, nsp_batch *batch, const nsp_span_view *view);
    void (*close)(void *encoder, nsp_batch *batch);
    nsp_path_result (*append_path)(void *encoder, nsp_batch *batch, const nsp_path_view *view); // NULL: none

    const nsp__otlp_cutter *cutter; // cuts a request that is too large for its receiver

    // Reads an ExportTraceServiceResponse. *rejected: spans that were refused; 0 if none are named, never
    // negative. message gets at most size - 1 bytes of the receiver's text as one line, cut between
    // characters and zero-terminated; "" if there is none. False: the bytes are not such a message (then
    // *rejected is 0 and message is ""). Thread safe.
    bool (*read_response)(const uint8_t *bytes, size_t length, int64_t *rejected, char *message, size_t size);
} nsp__otlp_encoding;

extern const nsp__otlp_encoding nsp__otlp_protobuf; // protobuf/encoder.c
// json/json.c. A batch is one object (which is a TracesData as well) and a newline.
extern const nsp__otlp_encoding nsp__otlp_json;

#endif
