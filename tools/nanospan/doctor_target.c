// SPDX-License-Identifier: Apache-2.0
#include "doctor_target.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

static const char TRACES_PATH[] = "/v1/traces";
static const char GRPC_PATH[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

static bool is_set(const char *value)
{
    return value && *value;
}

static void copy_part(CURLU *url, CURLUPart part, unsigned flags, char *out, size_t size)
{
    char *value = NULL;
    out[0] = '\0';
    if (curl_url_get(url, part, &value, flags) == CURLUE_OK)
        snprintf(out, size, "%s", value);
    curl_free(value);
}

static bool part_is(CURLU *url, CURLUPart part, const char *wanted)
{
    char value[32];
    copy_part(url, part, 0, value, sizeof value);
    return strcasecmp(value, wanted) == 0;
}

static bool is_loopback(const char *host)
{
    size_t length = strlen(host);
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (length > 10 && strcasecmp(host + length - 10, ".localhost") == 0) ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == length);
}

// unix:PATH, unix:///PATH, unix-abstract:NAME. What is spoken over these is always in clear.
static const char *socket_name(const char *endpoint, bool *abstract)
{
    *abstract = strncasecmp(endpoint, "unix-abstract:", 14) == 0;
    if (*abstract)
        return endpoint + 14;
    if (strncasecmp(endpoint, "unix:", 5) != 0)
        return NULL;
    endpoint += 5;
    return strncmp(endpoint, "///", 3) == 0 ? endpoint + 2 : endpoint;
}

// A scheme is put before the endpoint where it has none.
static CURLU *parse(const doctor *d, const char *endpoint, bool *has_scheme)
{
    CURLU *url = curl_url();
    char whole[1024];
    *has_scheme = strstr(endpoint, "://");
    if (*has_scheme)
        snprintf(whole, sizeof whole, "%s", endpoint);
    else
        snprintf(whole, sizeof whole, "%s://%s", d->config.insecure ? "http" : "https", endpoint);
    if (curl_url_set(url, CURLUPART_URL, whole, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        curl_url_cleanup(url);
        return NULL;
    }
    char port[8];
    copy_part(url, CURLUPART_PORT, 0, port, sizeof port);
    if (!*has_scheme && !*port)
        curl_url_set(url, CURLUPART_PORT,
                     d->config.protocol && strcmp(d->config.protocol, "grpc") == 0 ? "4317" : "4318", 0);
    return url;
}

static void set_path(doctor *d, CURLU *url)
{
    doctor_target *t = &d->target;
    if (t->grpc) {
        curl_url_set(url, CURLUPART_QUERY, NULL, 0);
        curl_url_set(url, CURLUPART_PATH, GRPC_PATH, 0);
        return;
    }
    char path[sizeof t->path - sizeof TRACES_PATH];
    copy_part(url, CURLUPART_PATH, 0, path, sizeof path);
    size_t length = strlen(path), end = strlen(TRACES_PATH);
    if (d->config.endpoint_exact)
        return;
    while (length && path[length - 1] == '/')
        path[--length] = '\0';
    char whole[sizeof t->path];
    bool there = length >= end && strcmp(path + length - end, TRACES_PATH) == 0;
    snprintf(whole, sizeof whole, "%s%s", path, there ? "" : TRACES_PATH);
    curl_url_set(url, CURLUPART_PATH, whole, 0);
}

// Secrets of the URL itself.
static void hide_parts(doctor *d, CURLU *url)
{
    char part[512];
    copy_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE, part, sizeof part);
    doctor_hide(d, part, strlen(part));
    copy_part(url, CURLUPART_PASSWORD, 0, part, sizeof part);
    doctor_hide(d, part, strlen(part));
    copy_part(url, CURLUPART_QUERY, 0, part, sizeof part);
    doctor_hide(d, part, strlen(part));
}

static void take_parts(doctor *d, CURLU *url)
{
    doctor_target *t = &d->target;
    hide_parts(d, url);
    t->tls = part_is(url, CURLUPART_SCHEME, "https");
    copy_part(url, CURLUPART_HOST, 0, t->host, sizeof t->host);
    copy_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, t->port, sizeof t->port);
    t->loopback = is_loopback(t->host);
    set_path(d, url);
    curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    copy_part(url, CURLUPART_PATH, 0, t->path, sizeof t->path);
    copy_part(url, CURLUPART_URL, 0, t->url, sizeof t->url);
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(url, CURLUPART_QUERY, NULL, 0);
    if (t->grpc)
        curl_url_set(url, CURLUPART_PATH, "/", 0);
    copy_part(url, CURLUPART_URL, 0, t->shown, sizeof t->shown);
    size_t length = strlen(t->shown);
    if (t->grpc && length && t->shown[length - 1] == '/')
        t->shown[length - 1] = '\0';
}

static bool read_socket(doctor *d, const char *name)
{
    doctor_target *t = &d->target;
    if (!*name || strlen(name) >= sizeof t->socket) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.url", "the endpoint's socket has no usable name");
        doctor_advise(d, "write it as unix:///run/otlp.sock, of at most 107 bytes");
        return false;
    }
    snprintf(t->socket, sizeof t->socket, "%s", name);
    snprintf(t->shown, sizeof t->shown, "%s:%s", t->abstract ? "unix-abstract" : "unix", name);
    snprintf(t->host, sizeof t->host, "localhost");
    snprintf(t->path, sizeof t->path, "%s", t->grpc ? GRPC_PATH : TRACES_PATH);
    snprintf(t->url, sizeof t->url, "http://localhost%s", t->path);
    t->loopback = true;
    return true;
}

bool doctor_target_read(doctor *d)
{
    doctor_target *t = &d->target;
    const nsp_config *config = &d->config;
    t->protocol_given = is_set(config->protocol);
    t->grpc = t->protocol_given && strcmp(config->protocol, "grpc") == 0;
    const char *endpoint = t->grpc ? "http://localhost:4317" : "http://localhost:4318";
    if (is_set(config->endpoint))
        endpoint = config->endpoint;
    const char *name = socket_name(endpoint, &t->abstract);
    if (name) {
        t->grpc = t->grpc || !t->protocol_given;
        return read_socket(d, name);
    }
    bool has_scheme;
    CURLU *url = parse(d, endpoint, &has_scheme);
    if (url && !t->protocol_given)
        t->grpc = part_is(url, CURLUPART_PORT, "4317") && part_is(url, CURLUPART_PATH, "/");
    if (!url || !(part_is(url, CURLUPART_SCHEME, "http") || part_is(url, CURLUPART_SCHEME, "https"))) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.url", "the endpoint is no http or https URL, nor HOST:PORT");
        doctor_advise(d, "set OTLP_ENDPOINT to http://HOST:4317 (gRPC) or http://HOST:4318 (HTTP)");
        curl_url_cleanup(url);
        return false;
    }
    take_parts(d, url);
    curl_url_cleanup(url);
    return true;
}
