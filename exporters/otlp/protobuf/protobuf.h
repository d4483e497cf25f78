// SPDX-License-Identifier: Apache-2.0
//
// OTLP in its protobuf form: writes spans into a batch, which is one ExportTraceServiceRequest, and reads the
// reply.
//
// open, append and close have the signatures of nsp_exporter and take the encoder as their state. One thread
// at a time. Nothing is allocated after create.
#ifndef NSP_OTLP_PROTOBUF_PROTOBUF_H
#define NSP_OTLP_PROTOBUF_PROTOBUF_H

#include <nanospan/exporter.h>

typedef struct nsp__otlp_encoder nsp__otlp_encoder;

// Makes an encoder and packs the context's resource. Nothing of the context is kept. NSP_ERR_NO_MEMORY, or
// NSP_ERR_CONFIG (after a log line) if the resource alone would fill half a batch; then *out is NULL.
nsp_status nsp__otlp_encoder_create(nsp__otlp_encoder **out, const nsp_exporter_context *context);

// NULL is fine.
void nsp__otlp_encoder_destroy(nsp__otlp_encoder *encoder);

void nsp__otlp_encoder_open(void *encoder, nsp_batch *batch);
bool nsp__otlp_encoder_append(void *encoder, nsp_batch *batch, const nsp_span_view *view);
nsp_path_result nsp__otlp_encoder_append_path(void *encoder, nsp_batch *batch, const nsp_path_view *view);
// After this, data[head..length) is the request.
void nsp__otlp_encoder_close(void *encoder, nsp_batch *batch);

// Like nsp__otlp_encoding.read_response. An empty reply is valid.
bool nsp__otlp_response_decode(const uint8_t *bytes, size_t length, int64_t *rejected, char *message,
                               size_t size);

#endif
