// SPDX-License-Identifier: Apache-2.0
//
// Several exporters as one. Each takes the same spans in its own encoding, and has its own part of a batch.
//
// A batch counts as exported once every exporter has accepted it, and as rejected if one of them has refused
// it for good. Only the exporters that have to retry are tried again. They share the bytes of a batch, so
// nsp__config_resolve multiplies the size of batches by the number of exporters.
#ifndef NSP_LIFECYCLE_EXPORTER_LIST_H
#define NSP_LIFECYCLE_EXPORTER_LIST_H

#include <nanospan/exporter.h>

// Creates the exporters named in context->config->exporter, a list separated by commas. One that cannot be
// created is left out, with a line in the log; if none can be, create fails.
extern const nsp_exporter nsp__exporter_list;

// A word that becomes 1 when an exporter of a list answers NSP_SEND_UNKNOWN, and 0 with the next batch.
// Atomic. It lives as long as the exporter's state. NULL for an exporter that is no list.
const int *nsp__exporter_doubt(const nsp_exporter *exporter, const void *state);

// The library's exporter of this name; NULL for other names, including "none".
const nsp_exporter *nsp__exporter_named(const char *name, size_t length);

// Writes where an exporter that was created, or each one of a list, sends spans, for people to read; one
// line, without secrets.
void nsp__exporter_describe(const nsp_exporter *exporter, const void *state, const nsp_config *config,
                            char *text, size_t size);

#endif
