// SPDX-License-Identifier: Apache-2.0
#include "builtin.h"

#include <nanospan/exporters.h>
#include <string.h>

const nsp_exporter *const nsp__builtin_exporters[] = {
    &nsp__exporter_otlp,
    &nsp__exporter_file,
    &nsp__exporter_console,
    NULL,
};

const nsp_exporter *nsp_exporter_builtin(const char *name)
{
    const nsp_exporter *const *exporter = nsp__builtin_exporters;
    while (*exporter && (!name || strcmp((*exporter)->name, name) != 0))
        exporter++;
    return *exporter;
}
