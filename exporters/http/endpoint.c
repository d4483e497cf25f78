// SPDX-License-Identifier: Apache-2.0
#include "http/endpoint.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char default_endpoint[] = "http://localhost:4318";
static const char default_port[] = "4318";
static const char grpc_port[] = "4317";
static const char traces_path[] = "/v1/traces";

static const char no_grpc[] = "gRPC is not available in this version; use OTLP over HTTP, port 4318";

enum { SHOWN_BYTES = 160 };

static bool is_set(const char *text)
{
    return text && *text;
}

static nsp_status check_protocol(const char *protocol, char *detail, size_t size)
{
    if (!is_set(protocol) || strcmp(protocol, "http/protobuf") == 0)
        return NSP_OK;
    if (strcmp(protocol, "grpc") == 0) {
        snprintf(detail, size, "protocol grpc: %s", no_grpc);
        return NSP_ERR_UNSUPPORTED;
    }
    if (strcmp(protocol, "http/json") == 0) {
        snprintf(detail, size, "protocol http/json is not available in this version; use http/protobuf");
        return NSP_ERR_UNSUPPORTED;
    }
    snprintf(detail, size, "protocol \"%s\" is unknown; it can be http/protobuf", protocol);
    return NSP_ERR_CONFIG;
}

// Parses the text; a scheme is put before it where it has none.
static CURLUcode parse(CURLU *url, const char *endpoint, bool insecure)
{
    if (strstr(endpoint, "://"))
        return curl_url_set(url, CURLUPART_URL, endpoint, CURLU_NON_SUPPORT_SCHEME);
    char *whole = NULL;
    if (asprintf(&whole, "%s://%s", insecure ? "http" : "https", endpoint) < 0)
        return CURLUE_OUT_OF_MEMORY;
    CURLUcode code = curl_url_set(url, CURLUPART_URL, whole, 0);
    free(whole);
    char *port = NULL;
    if (code == CURLUE_OK && curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_NO_PORT)
        code = curl_url_set(url, CURLUPART_PORT, default_port, 0);
    curl_free(port);
    return code;
}

static bool part_is(CURLU *url, CURLUPart part, const char *text)
{
    char *value = NULL;
    bool is = curl_url_get(url, part, &value, 0) == CURLUE_OK && strcasecmp(value, text) == 0;
    curl_free(value);
    return is;
}

// By the port alone, where nothing else says HTTP.
static bool means_grpc(CURLU *url, const nsp_config *config)
{
    return part_is(url, CURLUPART_SCHEME, "grpc") ||
           (!is_set(config->protocol) && part_is(url, CURLUPART_PORT, grpc_port) &&
            part_is(url, CURLUPART_PATH, "/"));
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t end_length = strlen(end);
    return length >= end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

static CURLUcode append_traces_path(CURLU *url)
{
    char *path = NULL, *whole = NULL;
    CURLUcode code = curl_url_get(url, CURLUPART_PATH, &path, 0);
    if (code != CURLUE_OK)
        return code;
    size_t length = strlen(path);
    while (length && path[length - 1] == '/')
        --length;
    if (ends_with(path, length, traces_path))
        code = CURLUE_OK;
    else if (asprintf(&whole, "%.*s%s", (int)length, path, traces_path) < 0)
        code = CURLUE_OUT_OF_MEMORY;
    else
        code = curl_url_set(url, CURLUPART_PATH, whole, 0);
    free(whole);
    curl_free(path);
    return code;
}

static bool is_loopback(CURLU *url)
{
    char *host = NULL;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return false;
    size_t length = strlen(host);
    bool loopback = strcasecmp(host, "localhost") == 0 ||
                    (length > 10 && strcasecmp(host + length - 10, ".localhost") == 0) ||
                    strcmp(host, "[::1]") == 0 ||
                    (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == length);
    curl_free(host);
    return loopback;
}

static char *text_of(CURLU *url)
{
    char *text = NULL, *copy = NULL;
    if (curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK)
        copy = strdup(text);
    curl_free(text);
    return copy;
}

// The endpoint as configured, for a complaint: without what stands before an @, which may be a password.
static const char *without_user(const char *endpoint, char *out, size_t size)
{
    const char *at = strrchr(endpoint, '@'), *scheme = strstr(endpoint, "://");
    snprintf(out, size, "%.*s%s", at && scheme ? (int)(scheme + 3 - endpoint) : 0, endpoint,
             at ? at + 1 : endpoint);
    return out;
}

static nsp_status resolve(nsp__http_endpoint *out, CURLU *url, const nsp_config *config, char *detail,
                          size_t size)
{
    const char *endpoint = is_set(config->endpoint) ? config->endpoint : default_endpoint;
    char shown[SHOWN_BYTES];
    without_user(endpoint, shown, sizeof shown);
    CURLUcode code = parse(url, endpoint, config->insecure);
    if (code == CURLUE_OK && means_grpc(url, config)) {
        snprintf(detail, size, "endpoint \"%s\" means gRPC: %s", shown, no_grpc);
        return NSP_ERR_UNSUPPORTED;
    }
    if (code == CURLUE_OK && !part_is(url, CURLUPART_SCHEME, "http") &&
        !part_is(url, CURLUPART_SCHEME, "https")) {
        snprintf(detail, size, "endpoint \"%s\": only http and https can be used", shown);
        return NSP_ERR_CONFIG;
    }
    if (code == CURLUE_OK && !config->endpoint_exact)
        code = append_traces_path(url);
    if (code != CURLUE_OK) {
        snprintf(detail, size, "endpoint \"%s\" is no URL: %s", shown, curl_url_strerror(code));
        return NSP_ERR_CONFIG;
    }
    curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    out->loopback = is_loopback(url);
    out->url = text_of(url);
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(url, CURLUPART_QUERY, NULL, 0);
    out->shown = text_of(url);
    if (out->url && out->shown)
        return NSP_OK;
    snprintf(detail, size, "endpoint: out of memory");
    return NSP_ERR_NO_MEMORY;
}

nsp_status nsp__http_endpoint_resolve(nsp__http_endpoint *out, const nsp_config *config, char *detail,
                                      size_t size)
{
    *out = (nsp__http_endpoint){0};
    nsp_status status = check_protocol(config->protocol, detail, size);
    if (status != NSP_OK)
        return status;
    CURLU *url = curl_url();
    if (!url) {
        snprintf(detail, size, "endpoint: out of memory");
        return NSP_ERR_NO_MEMORY;
    }
    status = resolve(out, url, config, detail, size);
    curl_url_cleanup(url);
    if (status != NSP_OK)
        nsp__http_endpoint_free(out);
    return status;
}

void nsp__http_endpoint_free(nsp__http_endpoint *endpoint)
{
    free(endpoint->url);
    free(endpoint->shown);
    *endpoint = (nsp__http_endpoint){0};
}
