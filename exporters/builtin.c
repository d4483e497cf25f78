// SPDX-License-Identifier: Apache-2.0
#include "builtin.h"

#include <nanospan/exporters.h>
#include <nanospan/version.h>
#include <stdio.h>
#include <string.h>

#include "core/config/exporter_set.h"
#include "otlp/decode/decode.h"
#include "otlp/transport/cut.h"

static const nsp_exporter *const exporters[] = {
    &nsp__exporter_otlp,
    &nsp__exporter_file,
    &nsp__exporter_console,
    NULL,
};

const nsp_exporter *nsp_exporter_builtin(const char *name)
{
    const nsp_exporter *const *exporter = exporters;
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

static void describe(const nsp_exporter *exporter, const nsp_config *config, char *text, size_t size)
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

static uint64_t decode(uint32_t encoding, bool closed, const uint8_t *bytes, size_t length, uint64_t spans,
                       nsp_name (*intern)(void *argument, const char *text, size_t length),
                       bool (*visit)(void *argument, const nsp__record *record), void *argument)
{
    nsp__otlp_decoding decoding = {.bytes = bytes,
                                   .length = length,
                                   .closed = closed,
                                   .wanted = spans,
                                   .visit = visit,
                                   .argument = argument,
                                   .made = {.intern = intern, .argument = argument}};
    if (nsp__made_create(&decoding.made)) {
        if (encoding == NSP_ENCODING_OTLP_PROTOBUF)
            nsp__otlp_decode_protobuf(&decoding);
        else if (encoding == NSP_ENCODING_OTLP_JSON)
            nsp__otlp_decode_json(&decoding);
    }
    nsp__made_free(&decoding.made);
    return decoding.taken;
}

static const nsp__otlp_cutter *cutter_of(uint32_t encoding)
{
    return encoding == NSP_ENCODING_OTLP_PROTOBUF ? &nsp__otlp_protobuf_cutter
           : encoding == NSP_ENCODING_OTLP_JSON   ? &nsp__otlp_json_cutter
                                                  : NULL;
}

static bool cuttable(uint32_t encoding)
{
    return cutter_of(encoding) != NULL;
}

static size_t cut(uint32_t encoding, uint8_t *out, const uint8_t *bytes, size_t length, uint64_t spans)
{
    const nsp__otlp_cutter *cutter = cutter_of(encoding);
    return cutter != NULL ? nsp__otlp_cut_off(cutter, out, bytes, length, spans) : 0;
}

static const nsp__exporter_set all = {.release = NSP_VERSION,
                                      .exporters = exporters,
                                      .describe = describe,
                                      .decode = decode,
                                      .cuttable = cuttable,
                                      .cut = cut};

const nsp__exporter_set *nsp__exporters_here(void)
{
    return &all;
}

__attribute__((constructor)) static void offer(void)
{
    nsp__exporters_offer(&all);
}
