// SPDX-License-Identifier: Apache-2.0
//
// The exporters that come with the library. builtin.c hands them to core.
#ifndef NSP_EXPORTERS_BUILTIN_H
#define NSP_EXPORTERS_BUILTIN_H

#include <nanospan/exporter.h>

extern const nsp_exporter nsp__exporter_otlp;    // otlp/exporter.c
extern const nsp_exporter nsp__exporter_file;    // text/file.c
extern const nsp_exporter nsp__exporter_console; // text/console.c

#endif
