// SPDX-License-Identifier: Apache-2.0
#include "builtin.h"

#include <nanospan/exporters.h>
#include <stdio.h>
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
    while (*exporter != NULL && (name == NULL || strcmp((*exporter)->name, name) != 0))
        exporter++;
    return *exporter;
}

static void describe_otlp(const nsp_config *config, char *text, size_t size)
{
    static const char *const protocols[] = {
        [NSP_OTLP_HTTP_PROTOBUF] = "HTTP", [NSP_OTLP_HTTP_JSON] = "HTTP with JSON", [NSP_OTLP_GRPC] = "gRPC"};
    nsp_otlp_target target;
    char detail[256];
    if (nsp_otlp_target_resolve(&target, config, detail, sizeof detail) == NSP_OK)
        snprintf(text, size, "OTLP over %s to %s", protocols[target.protocol], target.shown);
    else
        snprintf(text, size, "OTLP");
    nsp_otlp_target_free(&target);
}

void nsp__builtin_describe(const nsp_exporter *exporter, const nsp_config *config, char *text, size_t size)
{
    if (exporter == &nsp__exporter_otlp)
        describe_otlp(config, text, size);
    else if (exporter == &nsp__exporter_file)
        snprintf(text, size, "file %s", config->file);
    else if (exporter == &nsp__exporter_console)
        snprintf(text, size, "standard output");
    else
        snprintf(text, size, "exporter %s", exporter->name);
}
