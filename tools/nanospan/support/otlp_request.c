// SPDX-License-Identifier: Apache-2.0
#include "otlp_request.h"

#include <stdlib.h>

service_tally *otlp_service(otlp_request *request, slice name)
{
    for (size_t i = 0; i < request->service_count; i++)
        if (nsp__slice_is(name, request->services[i].name))
            return &request->services[i];
    request->services = need_room(request->services, request->service_count, &request->service_capacity,
                                  sizeof *request->services);
    service_tally *tally = &request->services[request->service_count++];
    *tally = (service_tally){.name = need_memory(name.length + 1)};
    if (name.length)
        memcpy(tally->name, name.text, name.length);
    tally->name[name.length] = '\0';
    return tally;
}

void otlp_add_key(otlp_request *request, const uint8_t trace[16], const uint8_t span[8])
{
    request->keys =
        need_room(request->keys, request->key_count, &request->key_capacity, sizeof *request->keys);
    span_key *key = &request->keys[request->key_count++];
    memcpy(key->trace, trace, sizeof key->trace);
    memcpy(key->span, span, sizeof key->span);
}

void otlp_request_free(otlp_request *request)
{
    text_free(&request->json);
    free(request->keys);
    for (size_t i = 0; i < request->service_count; i++)
        free(request->services[i].name);
    free(request->services);
}
