// SPDX-License-Identifier: Apache-2.0
#include "destination.h"

#include "complain.h"
#include <nanospan/exporters.h>
#include <nanospan/inspect.h>
#include <stdio.h>
#include <string.h>

enum { UNUSABLE_MAX = 600 };

static bool has(const char *value)
{
    return value != NULL && *value;
}

bool destination_choose(nsp_config *config, const char *endpoint)
{
    if (endpoint != NULL) {
        config->exporter = "otlp";
        config->endpoint = endpoint;
        config->endpoint_exact = false;
    }
    return has(config->exporter) ? strcmp(config->exporter, "none") != 0 : has(config->endpoint);
}

bool destination_check(const nsp_config *config)
{
    char detail[512] = "";
    nsp_otlp_target target;
    if (has(config->exporter) && strstr(config->exporter, "otlp") == NULL)
        return true;
    bool sound = nsp_otlp_target_resolve(&target, config, detail, sizeof detail) == NSP_OK;
    if (sound)
        nsp_otlp_target_free(&target);
    if (*detail)
        complain("%s", detail);
    if (!sound)
        complain("an endpoint is http://HOST:4317 (gRPC), http://HOST:4318 (HTTP) or unix:///run/otlp.sock");
    return sound;
}

static bool note_unusable(void *argument, const nsp_setting *setting)
{
    char *text = argument;
    if (setting->state != NSP_SETTING_BAD ||
        (strcmp(setting->member, "endpoint") != 0 && strcmp(setting->member, "exporter") != 0))
        return true;
    snprintf(text, UNUSABLE_MAX, "%s=%s", setting->variable, setting->text);
    return false;
}

const char *destination_unusable(void)
{
    static char text[UNUSABLE_MAX];
    text[0] = '\0';
    nsp_settings_each(note_unusable, text);
    return *text ? text : NULL;
}

const char *destination_endpoint(const nsp_config *config)
{
    return has(config->endpoint) && strchr(config->endpoint, '@') == NULL ? config->endpoint : NULL;
}

const char *destination_name(const nsp_config *config)
{
    const char *exporter = has(config->exporter) ? config->exporter : "otlp";
    if (strcmp(exporter, "file") == 0)
        return config->file;
    const char *endpoint = destination_endpoint(config);
    return strcmp(exporter, "otlp") == 0 && endpoint != NULL ? endpoint : exporter;
}
