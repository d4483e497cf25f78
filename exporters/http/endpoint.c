// SPDX-License-Identifier: Apache-2.0
#include "http/endpoint.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

static const char http_port[] = "4318";
static const char grpc_port[] = "4317";
static const char traces_path[] = "/v1/traces";
static const char grpc_path[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

enum { SHOWN_BYTES = 160 };

static bool is_set(const char *text)
{
    return text && *text;
}

// False: the protocol is none that we know. Not set is http/protobuf, until the endpoint says otherwise.
static bool read_protocol(const char *text, nsp_otlp_protocol *protocol)
{
    static const char *const names[] = {[NSP_OTLP_HTTP_PROTOBUF] = "http/protobuf",
                                        [NSP_OTLP_HTTP_JSON] = "http/json",
                                        [NSP_OTLP_GRPC] = "grpc"};
    *protocol = NSP_OTLP_HTTP_PROTOBUF;
    if (!is_set(text))
        return true;
    for (unsigned i = 0; i < sizeof names / sizeof *names; ++i)
        if (strcmp(text, names[i]) == 0) {
            *protocol = (nsp_otlp_protocol)i;
            return true;
        }
    return false;
}

// Parses the text; a scheme is put before it where it has none.
static CURLUcode parse(CURLU *url, const char *endpoint, bool insecure, const char *default_port)
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

static bool has_path(CURLU *url)
{
    return !part_is(url, CURLUPART_PATH, "/");
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

// The part after unix: or unix-abstract:, or NULL.
static const char *socket_name(const char *endpoint, bool *abstract)
{
    static const char by_path[] = "unix:", by_name[] = "unix-abstract:";
    *abstract = strncasecmp(endpoint, by_name, sizeof by_name - 1) == 0;
    if (*abstract)
        return endpoint + sizeof by_name - 1;
    return strncasecmp(endpoint, by_path, sizeof by_path - 1) == 0 ? endpoint + sizeof by_path - 1 : NULL;
}

static nsp_status out_of_memory(char *detail, size_t size)
{
    snprintf(detail, size, "endpoint: out of memory");
    return NSP_ERR_NO_MEMORY;
}

static nsp_status resolve_socket(nsp__http_endpoint *out, const char *endpoint, const char *name,
                                 char *detail, size_t size)
{
    // unix:///path: an authority, which can only be empty, and an absolute path.
    if (!out->abstract && strncmp(name, "//", 2) == 0) {
        name += 2;
        if (*name != '/') {
            snprintf(detail, size,
                     "endpoint \"%.100s\": unix:// is followed by an absolute path, as unix:///run/otlp.sock",
                     endpoint);
            return NSP_ERR_CONFIG;
        }
    }
    size_t length = strlen(name), most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (length == 0 || length > most) {
        snprintf(detail, size, "endpoint \"%.100s\": the socket's name has %zu bytes; it can have 1 to %zu",
                 endpoint, length, most);
        return NSP_ERR_CONFIG;
    }
    out->loopback = true;
    out->unix_socket = strdup(name);
    if (asprintf(&out->shown, "%s:%s", out->abstract ? "unix-abstract" : "unix", name) < 0)
        out->shown = NULL;
    if (asprintf(&out->url, "http://localhost%s", out->protocol == NSP_OTLP_GRPC ? grpc_path : traces_path) <
        0)
        out->url = NULL;
    return out->unix_socket && out->shown && out->url ? NSP_OK : out_of_memory(detail, size);
}

// For gRPC the path of the service stands behind the host, and nothing else of the URL is left.
static CURLUcode set_grpc_path(nsp__http_endpoint *out, CURLU *url)
{
    out->path_ignored = has_path(url);
    curl_url_set(url, CURLUPART_QUERY, NULL, 0);
    return curl_url_set(url, CURLUPART_PATH, grpc_path, 0);
}

static nsp_status read_out(nsp__http_endpoint *out, CURLU *url, char *detail, size_t size)
{
    curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    out->loopback = is_loopback(url);
    out->tls = part_is(url, CURLUPART_SCHEME, "https");
    out->url = text_of(url);
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(url, CURLUPART_QUERY, NULL, 0);
    if (out->protocol == NSP_OTLP_GRPC)
        curl_url_set(url, CURLUPART_PATH, NULL, 0);
    out->shown = text_of(url);
    // Without its path the URL ends in a slash still.
    size_t length = out->shown ? strlen(out->shown) : 0;
    if (out->protocol == NSP_OTLP_GRPC && length && out->shown[length - 1] == '/')
        out->shown[length - 1] = 0;
    return out->url && out->shown ? NSP_OK : out_of_memory(detail, size);
}

static nsp_status resolve_url(nsp__http_endpoint *out, CURLU *url, const char *endpoint,
                              const nsp_config *config, char *detail, size_t size)
{
    char shown[SHOWN_BYTES];
    without_user(endpoint, shown, sizeof shown);
    bool grpc = out->protocol == NSP_OTLP_GRPC;
    CURLUcode code = parse(url, endpoint, config->insecure, grpc ? grpc_port : http_port);
    if (code == CURLUE_OK && !part_is(url, CURLUPART_SCHEME, "http") &&
        !part_is(url, CURLUPART_SCHEME, "https")) {
        snprintf(detail, size, "endpoint \"%s\": only http, https and unix can be used", shown);
        return NSP_ERR_CONFIG;
    }
    if (code == CURLUE_OK && !is_set(config->protocol) && part_is(url, CURLUPART_PORT, grpc_port) &&
        !has_path(url)) {
        grpc = true;
        out->protocol = NSP_OTLP_GRPC;
    }
    if (code == CURLUE_OK && grpc)
        code = set_grpc_path(out, url);
    else if (code == CURLUE_OK && !config->endpoint_exact)
        code = append_traces_path(url);
    if (code == CURLUE_OK)
        return read_out(out, url, detail, size);
    snprintf(detail, size, "endpoint \"%s\" is no URL: %s", shown, curl_url_strerror(code));
    return NSP_ERR_CONFIG;
}

static nsp_status resolve(nsp__http_endpoint *out, const nsp_config *config, char *detail, size_t size)
{
    if (!read_protocol(config->protocol, &out->protocol)) {
        snprintf(detail, size, "protocol \"%.64s\" is unknown; it can be http/protobuf, http/json or grpc",
                 config->protocol);
        return NSP_ERR_CONFIG;
    }
    const char *endpoint = config->endpoint;
    if (!is_set(endpoint))
        endpoint = out->protocol == NSP_OTLP_GRPC ? "http://localhost:4317" : "http://localhost:4318";
    const char *name = socket_name(endpoint, &out->abstract);
    if (name) {
        if (!is_set(config->protocol))
            out->protocol = NSP_OTLP_GRPC;
        return resolve_socket(out, endpoint, name, detail, size);
    }
    CURLU *url = curl_url();
    if (!url)
        return out_of_memory(detail, size);
    nsp_status status = resolve_url(out, url, endpoint, config, detail, size);
    curl_url_cleanup(url);
    return status;
}

nsp_status nsp__http_endpoint_resolve(nsp__http_endpoint *out, const nsp_config *config, char *detail,
                                      size_t size)
{
    *out = (nsp__http_endpoint){0};
    nsp_status status = resolve(out, config, detail, size);
    if (status != NSP_OK)
        nsp__http_endpoint_free(out);
    return status;
}

void nsp__http_endpoint_free(nsp__http_endpoint *endpoint)
{
    free(endpoint->url);
    free(endpoint->shown);
    free(endpoint->unix_socket);
    *endpoint = (nsp__http_endpoint){0};
}
