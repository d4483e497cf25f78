// SPDX-License-Identifier: Apache-2.0
//
// The exporters that the library brings. nsp_config.exporter chooses one by name; an application needs this header only
// to build an exporter of its own (nsp_config.custom_exporter) around one of them.
#ifndef NANOSPAN_EXPORTERS_H
#define NANOSPAN_EXPORTERS_H

#include <nanospan/exporter.h>

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// The exporter "otlp", "file" or "console"; NULL for any other name, "none" and NULL too. Static storage. Thread and
// signal safe.
NSP_API const nsp_exporter *nsp_exporter_builtin(const char *name);

#endif
NSP_END_DECLS
#endif
