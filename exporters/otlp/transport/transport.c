// SPDX-License-Identifier: Apache-2.0
#include "otlp/transport/transport.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/header_list.h"
#include "common/time.h"
#include "otlp/transport/grpc.h"
#include "http/curl_version.h"

// Of a request before compression, by the protocol.
static const size_t max_request_bytes = 64u << 20;
static const uint64_t warn_again_ns = 60ull * 1000000000u;

static nsp_status read_compression(const char *compression, bool *gzip, char *detail, size_t size)
{
    *gzip = compression && strcmp(compression, "gzip") == 0;
    if (*gzip || !compression || !*compression || strcmp(compression, "none") == 0)
        return NSP_OK;
    snprintf(detail, size, "compression \"%s\" is unknown; it can be none or gzip", compression);
    return NSP_ERR_CONFIG;
}

size_t nsp__otlp_transport_doubts(const nsp__otlp_transport *transport, const nsp_config *config, char *out,
                                  size_t size)
{
    const nsp__http_endpoint *endpoint = &transport->endpoint;
    nsp__header_use use = endpoint->protocol == NSP_OTLP_GRPC ? NSP__HEADER_GRPC : NSP__HEADER_HTTP;
    char faults[320];
    nsp__pairs_verdict headers =
        nsp__pairs_judge(config->headers, nsp__header_late_fault, &use, faults, sizeof faults);
    int length = snprintf(out, size, "%s%s", headers.bad ? "headers: " : "", faults);
    if (endpoint->path_twice && length >= 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length,
                           "%sv1/traces is put behind the endpoint's path, which ends so already; spans are "
                           "sent to %.100s (leave v1/traces out, or set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "
                           "whose path is used as it is)",
                           length ? "; " : "", endpoint->shown);
    return length < 0 ? 0 : (size_t)length;
}

// What works, but perhaps not as it was meant.
static void warn_of_doubts(const nsp__otlp_transport *transport, const nsp_config *config,
                           const nsp__tls_files *files)
{
    const nsp__http_endpoint *endpoint = &transport->endpoint;
    char doubts[512];
    if (nsp__otlp_transport_doubts(transport, config, doubts, sizeof doubts))
        transport->log(NSP_LOG_WARN, "", "%s", doubts);
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    if (endpoint->protocol == NSP_OTLP_GRPC && nsp__curl_strips_te(curl->version_num))
        transport->log(
            NSP_LOG_WARN, "",
            "libcurl %s leaves out a header (te: trailers) that some gRPC servers insist on; another "
            "version, or OTLP over HTTP, helps if the server refuses requests",
            curl->version);
    if (endpoint->path_ignored)
        transport->log(NSP_LOG_WARN, "",
                       "endpoint %.100s: gRPC has a path of its own, the endpoint's is not used",
                       endpoint->shown);
    if (!endpoint->tls && nsp__tls_files_any(files))
        transport->log(
            NSP_LOG_WARN, "",
            "endpoint %.100s is in clear text: certificate, client_certificate and client_key are not used",
            endpoint->shown);
}

nsp_status nsp__otlp_transport_describe(nsp__otlp_transport *transport, const nsp_config *config,
                                        char *detail, size_t size)
{
    *transport = (nsp__otlp_transport){.timeout_ns = config->export_timeout_ns};
    bool gzip;
    nsp_status status = read_compression(config->compression, &gzip, detail, size);
    if (status == NSP_OK)
        status = nsp__http_endpoint_resolve(&transport->endpoint, config, detail, size);
    transport->encoding =
        transport->endpoint.protocol == NSP_OTLP_HTTP_JSON ? &nsp__otlp_json : &nsp__otlp_protobuf;
    if (status == NSP_OK && gzip) {
        transport->gzip = nsp__gzip_create(config->batch_bytes);
        if (!transport->gzip) {
            snprintf(detail, size, "compression: out of memory");
            status = NSP_ERR_NO_MEMORY;
        }
    }
    if (status == NSP_OK)
        status = transport->endpoint.protocol == NSP_OTLP_GRPC
                     ? nsp__grpc_headers(transport, config, detail, size)
                     : nsp__otlp_http_headers(transport, config, detail, size);
    return status;
}

nsp_status nsp__otlp_transport_create(nsp__otlp_transport *transport, const nsp_exporter_context *context,
                                      char *detail, size_t size)
{
    const nsp_config *config = context->config;
    nsp_status status = nsp__otlp_transport_describe(transport, config, detail, size);
    transport->log = context->log;
    if (status != NSP_OK)
        return status;
    nsp__http_options options = {
        .endpoint = &transport->endpoint,
        .tls = {.certificate = config->certificate,
                .client_certificate = config->client_certificate,
                .client_key = config->client_key},
        .max_body = max_request_bytes,
        .cancel = context->cancel,
    };
    transport->own_authorities = config->certificate && *config->certificate;
    status = nsp__http_client_create(&transport->client, &options, detail, size);
    if (status == NSP_OK)
        warn_of_doubts(transport, config, &options.tls);
    return status;
}

void nsp__otlp_transport_destroy(nsp__otlp_transport *transport)
{
    nsp__otlp_parts_forget(&transport->parts);
    nsp__http_client_destroy(transport->client);
    curl_slist_free_all(transport->plain_headers);
    curl_slist_free_all(transport->gzip_headers);
    nsp__gzip_destroy(transport->gzip);
    nsp__http_endpoint_free(&transport->endpoint);
}

nsp_send_result nsp__otlp_transport_post(nsp__otlp_transport *transport, const uint8_t *body, size_t length,
                                         uint64_t deadline_ns, nsp_send_report *report)
{
    uint64_t now = nsp__monotonic_ns(), deadline = deadline_ns;
    // 0: no limit of its own.
    if (transport->timeout_ns && deadline > now && deadline - now > transport->timeout_ns)
        deadline = now + transport->timeout_ns;
    transport->too_large = false;
    return transport->endpoint.protocol == NSP_OTLP_GRPC
               ? nsp__grpc_send(transport, body, length, deadline, report)
               : nsp__otlp_http_send(transport, body, length, deadline, report);
}

const uint8_t *nsp__otlp_pack(nsp__otlp_transport *transport, const uint8_t *body, size_t *length)
{
    enum { MIN_BYTES = 1024 };
    size_t compressed;
    const uint8_t *packed = NULL;
    if (transport->gzip && *length >= MIN_BYTES)
        packed = nsp__gzip_compress(transport->gzip, body, *length, &compressed);
    if (packed)
        *length = compressed;
    return packed ? packed : body;
}

void nsp__otlp_explain(nsp_send_report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->detail, sizeof report->detail, format, arguments);
    va_end(arguments);
}

// What the user can do about it; the sender's own line says the rest.
static const char *advice(const nsp__otlp_transport *transport, nsp__http_trouble trouble)
{
    bool grpc = transport->endpoint.protocol == NSP_OTLP_GRPC;
    switch (trouble) {
    case NSP__HTTP_NOT_TRUSTED:
        return "TLS: the server's certificate is not trusted, not valid now, or for another host; "
               "OTEL_EXPORTER_OTLP_CERTIFICATE names the file of the authorities to trust";
    case NSP__HTTP_NO_HANDSHAKE:
        return "the TLS handshake failed; if the server speaks clear text, the endpoint must begin with "
               "http://";
    case NSP__HTTP_CLIENT_REFUSED:
        return "TLS: the server did not accept the client's certificate, or wants one; "
               "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY name it";
    case NSP__HTTP_OWN_PAIR:
        return "TLS: the client's own certificate and key cannot be read, or do not fit each other; spans "
               "wait "
               "until OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY name a pair";
    case NSP__HTTP_NO_AUTHORITIES:
        return transport->own_authorities
                   ? "TLS: the file of trusted authorities that OTEL_EXPORTER_OTLP_CERTIFICATE names cannot "
                     "be "
                     "used"
                   : "TLS: there is no file of trusted authorities here; install one (in Debian, the package "
                     "ca-certificates), or let OTEL_EXPORTER_OTLP_CERTIFICATE name one";
    case NSP__HTTP_WANTS_TLS:
        return "the server speaks TLS there, and clear text is configured; the endpoint should begin with "
               "https://";
    case NSP__HTTP_PROXY:
        return "the connection is to go through a proxy that cannot be used; the variable no_proxy names the "
               "hosts that are reached without";
    case NSP__HTTP_NO_DESCRIPTOR:
        return "the process has no file descriptor left for a connection; spans wait until it has";
    default:
        return grpc ? "what answers there does not speak HTTP/2 in this form: OTLP/HTTP (usual port 4318) "
                      "wants "
                      "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, TLS wants an https:// endpoint"
                    : "what answers there does not speak HTTP/1.1 in this form: OTLP/gRPC (usual port 4317) "
                      "wants "
                      "OTEL_EXPORTER_OTLP_PROTOCOL=grpc, TLS wants an https:// endpoint";
    }
}

// Spans wait, since somebody may set it right at the other end; but not in silence.
static void warn_of_trouble(nsp__otlp_transport *transport, const nsp__http_answer *answer)
{
    uint64_t now = nsp__monotonic_ns();
    if (answer->trouble == NSP__HTTP_NO_TROUBLE ||
        (transport->warned_of == answer->trouble && now - transport->warned_ns < warn_again_ns))
        return;
    transport->warned_of = answer->trouble;
    transport->warned_ns = now;
    transport->log(NSP_LOG_ERROR, "endpoint", "%.100s: %s (%s)", transport->endpoint.shown,
                   advice(transport, answer->trouble), answer->error);
}

nsp_send_result nsp__otlp_no_answer(nsp__otlp_transport *transport, const nsp__http_answer *answer,
                                    nsp_send_report *report)
{
    warn_of_trouble(transport, answer);
    // Whoever does not understand the request, or ends TLS over its sender, has not taken it.
    if (answer->outcome == NSP__HTTP_NOT_SENT || answer->trouble != NSP__HTTP_NO_TROUBLE) {
        nsp__otlp_explain(report, "cannot reach %.80s: %s", transport->endpoint.shown, answer->error);
        return NSP_SEND_RETRY;
    }
    nsp__otlp_explain(report, "no answer from %.80s: %s", transport->endpoint.shown, answer->error);
    return NSP_SEND_UNKNOWN;
}

// Without what may be secret: user, password and query.
bool nsp__otlp_redirected(const nsp__otlp_transport *transport, const nsp__http_answer *answer,
                          nsp_send_report *report)
{
    enum { SCHEME = 8, REST = 56 };
    bool redirect = answer->status >= 300 && answer->status < 400;
    const char *to = redirect ? nsp__http_header(transport->client, "location") : NULL;
    if (!to)
        return false;
    const char *scheme = strstr(to, "://"), *host = strncmp(to, "//", 2) == 0 ? to + 2 : to;
    if (scheme && scheme - to < SCHEME)
        host = scheme + 3;
    const char *at = memrchr(host, '@', strcspn(host, "/?#")), *shown = at ? at + 1 : host;
    size_t length = strcspn(shown, "?#");
    nsp__otlp_explain(report, "%.48s answered %u, a redirect to %.*s%.*s, which is not followed",
                      transport->endpoint.shown, answer->status, (int)(host - to), to,
                      (int)(length < REST ? length : REST), shown);
    return true;
}

nsp_send_result nsp__otlp_taken(const nsp__otlp_transport *transport, const nsp__otlp_encoding *encoding,
                                const uint8_t *reply, size_t length, nsp_send_report *report)
{
    int64_t rejected;
    if (!encoding->read_response(reply, length, &rejected, report->detail, sizeof report->detail)) {
        nsp__otlp_explain(report,
                          "%.64s answered with success and a body that is not OTLP: is it a receiver?",
                          transport->endpoint.shown);
        return NSP_SEND_UNCONFIRMED;
    }
    report->rejected = (uint64_t)rejected;
    return NSP_SEND_EXPORTED;
}

bool nsp__otlp_speaks_of_size(const char *text)
{
    static const char *const words[] = {"larg", "too big", "too long", "size", "length", "byte"};
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i)
        if (strcasestr(text, words[i]))
            return true;
    return false;
}
