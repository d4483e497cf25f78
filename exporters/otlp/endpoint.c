// SPDX-License-Identifier: Apache-2.0
#include "otlp/endpoint.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/endpoint.h"
#include "common/visible.h"

enum { HTTP_PORT = 4318, GRPC_PORT = 4317 };
static const char traces_path[] = "/v1/traces";
static const char grpc_path[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

enum { SHOWN_BYTES = 160 };

static bool is_set(const char *text)
{
    return text != NULL && *text;
}

// False: the protocol is unknown. If it is not set, it is http/protobuf, unless the endpoint says otherwise.
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

static bool slice_is(nsp__slice slice, const char *text)
{
    return slice.length == strlen(text) && strncasecmp(slice.text, text, slice.length) == 0;
}

static bool is_loopback(nsp__slice host)
{
    static const char domain[] = ".localhost";
    size_t numeric = 0, domain_length = strlen(domain);
    while (numeric < host.length && strchr("0123456789.", host.text[numeric]) != NULL)
        numeric++;
    return slice_is(host, "localhost") || slice_is(host, "[::1]") ||
           (host.length > domain_length &&
            slice_is((nsp__slice){host.text + host.length - domain_length, domain_length}, domain)) ||
           (numeric == host.length && numeric > 4 && strncmp(host.text, "127.", 4) == 0);
}

// asprintf, but returns the text; NULL: out of memory.
__attribute__((format(printf, 1, 2))) static char *text_of(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    return text;
}

// The endpoint as configured, for error messages: without the part before an @, which may be a password.
static void without_user(const char *endpoint, char *out, size_t size)
{
    const char *at = strrchr(endpoint, '@'), *scheme = strstr(endpoint, "://");
    char *text = text_of("%.*s%s", at != NULL && scheme != NULL ? (int)(scheme + 3 - endpoint) : 0, endpoint,
                         at != NULL ? at + 1 : endpoint);
    nsp__visible(out, size, text != NULL ? text : "");
    free(text);
}

static nsp_status out_of_memory(char *detail, size_t size)
{
    snprintf(detail, size, "endpoint: out of memory");
    return NSP_ERR_NO_MEMORY;
}

static void resolve_socket(nsp__otlp_endpoint *out, const nsp__endpoint *parts)
{
    int length = (int)parts->socket.length;
    out->peer.loopback = true;
    out->peer.abstract = parts->form == NSP__ENDPOINT_UNIX_ABSTRACT;
    out->peer.unix_socket = text_of("%.*s", length, parts->socket.text);
    out->peer.shown =
        text_of("%s:%.*s", out->peer.abstract ? "unix-abstract" : "unix", length, parts->socket.text);
    out->peer.url = text_of("http://localhost%s", out->protocol == NSP_OTLP_GRPC ? grpc_path : traces_path);
}

// The path of the request. For gRPC it is the service's. For HTTP, v1/traces is appended to the endpoint's
// path, unless the endpoint is exact.
static char *path_of(nsp__otlp_endpoint *out, const nsp__endpoint *parts, bool exact)
{
    nsp__slice path = parts->path.length ? parts->path : nsp__slice_of("/");
    if (out->protocol == NSP_OTLP_GRPC) {
        out->path_ignored = path.length > 1;
        return strdup(grpc_path);
    }
    if (exact)
        return text_of("%.*s", (int)path.length, path.text);
    out->path_twice = nsp__endpoint_is_whole(parts);
    size_t slash = path.text[path.length - 1] == '/';
    return text_of("%.*s%s", (int)(path.length - slash), path.text, traces_path);
}

static void resolve_url(nsp__otlp_endpoint *out, const nsp__endpoint *parts, const nsp_config *config)
{
    bool schemeless = parts->form == NSP__ENDPOINT_NO_SCHEME;
    unsigned port = parts->port;
    if (schemeless && port == 0)
        port = out->protocol == NSP_OTLP_GRPC ? GRPC_PORT : HTTP_PORT;
    if (!is_set(config->protocol) && port == GRPC_PORT && parts->path.length <= 1)
        out->protocol = NSP_OTLP_GRPC;
    out->peer.loopback = is_loopback(parts->host);
    out->peer.tls = schemeless ? !config->insecure : parts->form == NSP__ENDPOINT_HTTPS;
    const char *scheme = out->peer.tls ? "https" : "http";
    char digits[16] = "";
    if (port)
        snprintf(digits, sizeof digits, ":%u", port);
    char *path = path_of(out, parts, config->endpoint_exact);
    char *place = text_of("%.*s%s", (int)parts->host.length, parts->host.text, digits);
    bool grpc = out->protocol == NSP_OTLP_GRPC;
    if (path != NULL && place != NULL) {
        out->peer.url =
            text_of("%s://%.*s%s%s%s%s%.*s", scheme, (int)parts->user.length,
                    parts->user.text != NULL ? parts->user.text : "", parts->user.text != NULL ? "@" : "",
                    place, path, parts->query.text != NULL && !grpc ? "?" : "",
                    grpc ? 0 : (int)parts->query.length, parts->query.text != NULL ? parts->query.text : "");
        out->peer.shown = text_of("%s://%s%s", scheme, place, grpc ? "" : path);
    }
    free(path);
    free(place);
}

// A host that is not ASCII is looked up in another form. Its text must be valid in the encoding of the
// process's locale, or every request would fail.
static bool can_convert_host(CURLU *url)
{
    CURLUcode code = CURLUE_OK;
#ifdef CURLU_PUNYCODE
    char *host = NULL;
    code = curl_url_get(url, CURLUPART_HOST, &host, CURLU_PUNYCODE);
    curl_free(host);
#else
    (void)url;
#endif
    // A libcurl that cannot convert names leaves them to the resolver as they are.
    return code == CURLUE_OK || code == CURLUE_LACKS_IDN;
}

// The grammar is ours, but libcurl makes the requests: a URL that it does not understand would fail at each
// of them. Returns what is wrong, or NULL.
static const char *misunderstood(const char *url, bool *out_of_memory)
{
    CURLU *parsed = curl_url();
    CURLUcode code = parsed != NULL ? curl_url_set(parsed, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
    bool usable = code == CURLUE_OK && can_convert_host(parsed);
    curl_url_cleanup(parsed);
    *out_of_memory = code == CURLUE_OUT_OF_MEMORY;
    if (code != CURLUE_OK)
        return curl_url_strerror(code);
    return usable ? NULL
                  : "its host name cannot be converted to ASCII; write it in the form that begins with xn--";
}

static nsp_status resolve(nsp__otlp_endpoint *out, const nsp_config *config, char *detail, size_t size)
{
    if (!read_protocol(config->protocol, &out->protocol)) {
        snprintf(detail, size, "protocol \"%.64s\" is unknown; it can be http/protobuf, http/json or grpc",
                 config->protocol);
        return NSP_ERR_CONFIG;
    }
    const char *endpoint = config->endpoint;
    if (!is_set(endpoint))
        endpoint = out->protocol == NSP_OTLP_GRPC ? "http://localhost:4317" : "http://localhost:4318";
    nsp__endpoint parts;
    const char *why = nsp__endpoint_read(&parts, endpoint);
    char shown[SHOWN_BYTES];
    without_user(endpoint, shown, sizeof shown);
    if (why != NULL) {
        snprintf(detail, size, "endpoint \"%s\" cannot be used: %s", shown, why);
        return NSP_ERR_CONFIG;
    }
    if (parts.socket.text != NULL) {
        if (!is_set(config->protocol))
            out->protocol = NSP_OTLP_GRPC;
        resolve_socket(out, &parts);
    } else {
        resolve_url(out, &parts, config);
    }
    if (out->peer.url == NULL || out->peer.shown == NULL ||
        (parts.socket.text != NULL && out->peer.unix_socket == NULL))
        return out_of_memory(detail, size);
    bool memory;
    why = misunderstood(out->peer.url, &memory);
    if (why == NULL)
        return NSP_OK;
    if (memory)
        return out_of_memory(detail, size);
    snprintf(detail, size, "endpoint \"%s\" cannot be used: %s", shown, why);
    return NSP_ERR_CONFIG;
}

nsp_status nsp__otlp_endpoint_resolve(nsp__otlp_endpoint *out, const nsp_config *config, char *detail,
                                      size_t size)
{
    *out = (nsp__otlp_endpoint){0};
    nsp_status status = resolve(out, config, detail, size);
    out->peer.http2 = out->protocol == NSP_OTLP_GRPC;
    if (status != NSP_OK)
        nsp__otlp_endpoint_free(out);
    return status;
}

void nsp__otlp_endpoint_free(nsp__otlp_endpoint *endpoint)
{
    free(endpoint->peer.url);
    free(endpoint->peer.shown);
    free(endpoint->peer.unix_socket);
    *endpoint = (nsp__otlp_endpoint){0};
}
