// SPDX-License-Identifier: Apache-2.0
#include "outside/exporters.h"

#include "base/exit_gate.h"
#include "base/log.h"
#include "config/exporter_list.h"
#include "config/exporter_set.h"

nsp_status nsp__exporter_chosen(const nsp_exporter **out, const nsp_exporter *given, const nsp_config *config,
                                const char *who)
{
    char missing[200];
    *out = given != NULL ? given : config->custom_exporter;
    if (*out != NULL)
        return NSP_OK;
    if (nsp__exporters() == NULL)
        return nsp__fail(NSP_ERR_UNSUPPORTED, "%s needs an exporter to send to, and %s", who,
                         nsp__exporters_missing(missing, sizeof missing,
                                                ": link libnanospan too, or set nsp_config.custom_exporter"));
    *out = nsp__exporter_configured(config, "otlp");
    if (*out == NULL)
        return nsp__fail(NSP_ERR_CONFIG, "%s needs an exporter to send to, and \"%s\" is not the name of one",
                         who, config->exporter);
    return NSP_OK;
}

nsp_status nsp__exporter_create(void **state, const nsp_exporter *exporter,
                                const nsp_exporter_context *context)
{
    if (!nsp__exit_enter())
        return nsp__fail(NSP_ERR_SYSTEM, "the process is exiting");
    nsp_status status = exporter->create(state, context);
    const bool complete = status != NSP_OK || nsp__exporter_complete(exporter, *state, context->config);
    if (!complete)
        exporter->destroy(*state);
    nsp__exit_leave();
    if (!complete)
        return nsp__fail(NSP_ERR_CONFIG,
                         "not all of the exporters %.100s can be used, and each span goes to all of them",
                         context->config->exporter);
    if (status != NSP_OK)
        return nsp__fail(status, "cannot create the exporter %s: %s", exporter->name, nsp_status_str(status));
    return NSP_OK;
}
