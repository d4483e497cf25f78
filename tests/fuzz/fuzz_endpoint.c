// SPDX-License-Identifier: Apache-2.0
//
// Input: a protocol on the first line, then an endpoint and request headers. The result is either a usable
// target or one line that says why not. Neither that line nor the shown endpoint contains a password.
//
// Parsers: common/endpoint.c common/header_list.c common/visible.c exporters/otlp/endpoint.c
// Parsers: exporters/otlp/target.c exporters/http/headers.c exporters/grpc/metadata.c
#include "fuzz.h"

#include <curl/curl.h>
#include <nanospan/exporters.h>
#include <nanospan/nanospan.h>

static void check_target(const nsp_otlp_target *target)
{
    MUST(strncmp(target->url, "http://", 7) == 0 || strncmp(target->url, "https://", 8) == 0);
    MUST(target->tls == (strncmp(target->url, "https://", 8) == 0));
    MUST(target->shown != NULL && fuzz_is_line(target->shown, strlen(target->shown)));
    MUST(target->unix_socket == NULL || !target->tls);
    for (const struct curl_slist *header = target->headers; header != NULL; header = header->next) {
        MUST(strpbrk(header->data, "\r\n") == NULL);
        MUST(strpbrk(header->data, ":;") != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *protocol = fuzz_line(&bytes, &size), *headers = fuzz_line(&bytes, &size);
    char *endpoint = fuzz_text(bytes, size), detail[256], again_detail[256];
    nsp_config config;
    nsp_config_init(&config);
    config.endpoint = endpoint;
    config.headers = headers;
    config.protocol = protocol != NULL && *protocol != '\0' ? protocol : NULL;
    config.endpoint_exact = protocol != NULL && strlen(protocol) % 2 == 1;
    config.insecure = headers != NULL && strlen(headers) % 2 == 1;
    nsp_otlp_target target, again;
    memset(detail, 'x', sizeof detail);
    nsp_status status = nsp_otlp_target_resolve(&target, &config, detail, sizeof detail);
    if (status == NSP_OK) {
        check_target(&target);
        MUST(nsp_otlp_target_resolve(&again, &config, again_detail, sizeof again_detail) == NSP_OK);
        MUST(strcmp(again.url, target.url) == 0 && again.protocol == target.protocol);
        nsp_otlp_target_free(&again);
    } else {
        MUST(status == NSP_ERR_CONFIG);
        MUST(memchr(detail, '\0', sizeof detail) != NULL && detail[0] != '\0');
        MUST(strpbrk(detail, "\r\n") == NULL);
        MUST(target.url == NULL && target.headers == NULL);
    }
    nsp_otlp_target_free(&target);
    free(protocol);
    free(headers);
    free(endpoint);
    return 0;
}
