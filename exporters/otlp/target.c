// SPDX-License-Identifier: Apache-2.0
#include <nanospan/exporters.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "otlp/transport/transport.h"

nsp_status nsp_otlp_target_resolve(nsp_otlp_target *out, const nsp_config *config, char *detail, size_t size)
{
    *out = (nsp_otlp_target){0};
    nsp__otlp_transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL) {
        snprintf(detail, size, "endpoint: out of memory");
        return NSP_ERR_NO_MEMORY;
    }
    nsp_status status = nsp__otlp_transport_describe(transport, config, detail, size);
    out->owner = transport;
    if (status != NSP_OK) {
        nsp__utf8_make_line(detail,
                            strnlen(detail, size)); // it quotes the configuration, and has to be one line
        nsp_otlp_target_free(out);
        return status;
    }
    const nsp__http_peer *peer = &transport->channel.endpoint.peer;
    nsp__utf8_make_line(peer->shown, strlen(peer->shown));
    out->protocol = transport->channel.endpoint.protocol;
    out->tls = peer->tls;
    out->loopback = peer->loopback;
    out->abstract_socket = peer->abstract;
    out->unix_socket = peer->unix_socket;
    out->url = peer->url;
    out->shown = peer->shown;
    out->headers = transport->channel.plain_headers;
    nsp__otlp_transport_doubts(transport, config, detail, size);
    return NSP_OK;
}

void nsp_otlp_target_free(nsp_otlp_target *target)
{
    if (target->owner != NULL)
        nsp__otlp_transport_destroy(target->owner);
    free(target->owner);
    *target = (nsp_otlp_target){0};
}
