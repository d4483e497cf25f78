// SPDX-License-Identifier: Apache-2.0
//
// OTLP in its JSON form: spans into a batch that is one TracesData object and a newline.
//
// open, append and close have the signatures of nsp_exporter and take the encoder as their state. One thread at a time;
// nothing is allocated after create.
#ifndef NSP_OTLP_OTLP_JSON_H
#define NSP_OTLP_OTLP_JSON_H

#include <nanospan/exporter.h>

typedef struct nsp__otlp_json nsp__otlp_json;

// Errors as of nsp__otlp_encoder_create.
nsp_status nsp__otlp_json_create(nsp__otlp_json **out, const nsp_exporter_context *context);
void nsp__otlp_json_destroy(nsp__otlp_json *json); // NULL is fine

void nsp__otlp_json_open(void *json, nsp_batch *batch);
bool nsp__otlp_json_append(void *json, nsp_batch *batch, const nsp_span_view *view);
void nsp__otlp_json_close(void *json, nsp_batch *batch);

#endif
