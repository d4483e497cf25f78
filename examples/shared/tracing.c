// SPDX-License-Identifier: Apache-2.0
#include "shared/tracing.h"

#include <nanospan/nanospan.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && *value;
}

bool tracing_start(const char *service, uint32_t detached_spans)
{
    nsp_config config;
    nsp_config_init(&config);
    if (!is_set("OTEL_SERVICE_NAME") && !is_set("SERVICE_NAME"))
        config.service_name = service;
    if (!is_set("NSP_DETACHED_SPANS"))
        config.detached_spans = detached_spans;
    nsp_status status = nsp_init(&config);
    if (status != NSP_OK) {
        fprintf(stderr, "%s: cannot start tracing: %s: %s\n", service, nsp_status_str(status),
                nsp_error_detail());
        return false;
    }
    return true;
}

void tracing_stop(void)
{
    nsp_status status = nsp_shutdown(5ull * 1000 * 1000 * 1000);
    if (status != NSP_OK && status != NSP_ERR_DISABLED && status != NSP_ERR_NOT_INITIALISED)
        fprintf(stderr, "tracing: the shutdown failed: %s: %s\n", nsp_status_str(status), nsp_error_detail());
}
