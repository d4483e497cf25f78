// SPDX-License-Identifier: Apache-2.0
//
// The exporters that the library brings along. Core knows their interface and what is here, not what is in
// them; exporters/builtin.c defines all of this.
#ifndef NSP_LIFECYCLE_EXPORTERS_H
#define NSP_LIFECYCLE_EXPORTERS_H

#include <nanospan/exporter.h>

// Ends with NULL.
extern const nsp_exporter *const nsp__builtin_exporters[];

// Where one of them, made from this configuration, puts spans, for people: "OTLP over gRPC to
// http://localhost:4317". One line, without secrets. For any other exporter: its name.
void nsp__builtin_describe(const nsp_exporter *exporter, const nsp_config *config, char *text, size_t size);

#endif
