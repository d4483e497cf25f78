// SPDX-License-Identifier: Apache-2.0
//
// What every request has before its spans: the resource and the scope, packed once.
#ifndef NSP_OTLP_PROTOBUF_PREFIX_H
#define NSP_OTLP_PROTOBUF_PREFIX_H

#include <nanospan/exporter.h>

typedef struct nsp__otlp_prefix {
    uint8_t *bytes;       // the field resource, then the field scope; free() it
    size_t resource_size; // of the first
    size_t size;          // of both
} nsp__otlp_prefix;

// The errors are those of nsp__otlp_encoder_create.
nsp_status nsp__otlp_prefix_pack(nsp__otlp_prefix *out, const nsp_exporter_context *context);

#endif
