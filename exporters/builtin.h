// SPDX-License-Identifier: Apache-2.0
//
// The exporters that come with the library, in the form in which core finds them.
#ifndef NSP_EXPORTERS_BUILTIN_H
#define NSP_EXPORTERS_BUILTIN_H

#include <nanospan/exporter.h>

extern const nsp_exporter nsp__exporter_otlp;    // otlp/exporter.c
extern const nsp_exporter nsp__exporter_file;    // text/file.c
extern const nsp_exporter nsp__exporter_console; // text/console.c

// Core includes nothing of this folder and declares both itself; lifecycle/exporters.h says what they are.
extern const nsp_exporter *const nsp__builtin_exporters[];
void nsp__builtin_describe(const nsp_exporter *exporter, const nsp_config *config, char *text, size_t size);

#endif
