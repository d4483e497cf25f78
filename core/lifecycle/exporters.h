// SPDX-License-Identifier: Apache-2.0
//
// The exporters that the library contains. Core knows their interface and what is declared here, but not
// their insides; exporters/builtin.c defines all of this.
#ifndef NSP_LIFECYCLE_EXPORTERS_H
#define NSP_LIFECYCLE_EXPORTERS_H

#include <nanospan/exporter.h>

// Ends with NULL.
extern const nsp_exporter *const nsp__builtin_exporters[];

// Writes where one of them, created from this configuration, sends spans, for people to read: "OTLP over gRPC
// to http://localhost:4317". One line, without secrets. For any other exporter, its name.
void nsp__builtin_describe(const nsp_exporter *exporter, const nsp_config *config, char *text, size_t size);

#endif
