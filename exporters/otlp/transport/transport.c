// SPDX-License-Identifier: Apache-2.0
#include "otlp/transport/transport.h"

#include <stdio.h>
#include <string.h>

#include "common/header_list.h"
#include "common/time.h"
#include "http/curl_version.h"
#include "otlp/transport/reply.h"

// The protocol's limit for a request, before compression.
static const size_t max_request_bytes = 64u << 20;

static nsp_status read_compression(const char *compression, bool *gzip, char *detail, size_t size)
{
    *gzip = compression != NULL && strcmp(compression, "gzip") == 0;
    if (*gzip || compression == NULL || !*compression || strcmp(compression, "none") == 0)
        return NSP_OK;
    snprintf(detail, size, "compression \"%s\" is unknown; it can be none or gzip", compression);
    return NSP_ERR_CONFIG;
}

size_t nsp__otlp_transport_doubts(const nsp__otlp_transport *transport, const nsp_config *config, char *out,
                                  size_t size)
{
    const nsp__otlp_endpoint *endpoint = &transport->channel.endpoint;
    nsp__header_use use = endpoint->protocol == NSP_OTLP_GRPC ? NSP__HEADER_GRPC : NSP__HEADER_HTTP;
    char faults[320];
    nsp__pairs_verdict headers =
        nsp__pairs_judge(config->headers, nsp__header_late_fault, &use, faults, sizeof faults);
    int length = snprintf(out, size, "%s%s", headers.bad ? "headers: " : "", faults);
    if (endpoint->path_twice && length >= 0 && (size_t)length < size)
        length +=
            snprintf(out + length, size - (size_t)length,
                     "%sv1/traces is appended to the endpoint's path, which already ends in it; spans are "
                     "sent to %.100s (leave v1/traces out, or set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "
                     "whose path is used as it is)",
                     length ? "; " : "", endpoint->peer.shown);
    return length < 0 ? 0 : (size_t)length;
}

// Logs what works, but perhaps not as intended.
static void warn_of_doubts(const nsp__otlp_transport *transport, const nsp_config *config,
                           const nsp__tls_files *files)
{
    const nsp__otlp_endpoint *endpoint = &transport->channel.endpoint;
    char doubts[512];
    if (nsp__otlp_transport_doubts(transport, config, doubts, sizeof doubts))
        transport->channel.log(NSP_LOG_WARN, "", "%s", doubts);
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    if (endpoint->protocol == NSP_OTLP_GRPC && nsp__curl_strips_te(curl->version_num))
        transport->channel.log(
            NSP_LOG_WARN, "",
            "libcurl %s leaves out a header (te: trailers) that some gRPC servers require; if the server "
            "refuses requests, use another version of libcurl or OTLP over HTTP",
            curl->version);
    if (endpoint->path_ignored)
        transport->channel.log(NSP_LOG_WARN, "",
                               "endpoint %.100s: gRPC has its own path, so the endpoint's path is not used",
                               endpoint->peer.shown);
    if (!endpoint->peer.tls && nsp__tls_files_any(files))
        transport->channel.log(
            NSP_LOG_WARN, "",
            "endpoint %.100s uses clear text: certificate, client_certificate and client_key are not used",
            endpoint->peer.shown);
}

nsp_status nsp__otlp_transport_describe(nsp__otlp_transport *transport, const nsp_config *config,
                                        char *detail, size_t size)
{
    nsp__otlp_channel *channel = &transport->channel;
    *transport = (nsp__otlp_transport){.timeout_ns = config->export_timeout_ns};
    bool gzip;
    nsp_status status = read_compression(config->compression, &gzip, detail, size);
    if (status == NSP_OK)
        status = nsp__otlp_endpoint_resolve(&channel->endpoint, config, detail, size);
    nsp_otlp_protocol protocol = channel->endpoint.protocol;
    channel->encoding = protocol == NSP_OTLP_HTTP_JSON ? &nsp__otlp_json : &nsp__otlp_protobuf;
    transport->protocol = protocol == NSP_OTLP_GRPC ? &nsp__otlp_over_grpc : &nsp__otlp_over_http;
    if (status == NSP_OK && gzip) {
        channel->gzip = nsp__gzip_create(config->batch_bytes);
        if (channel->gzip == NULL) {
            snprintf(detail, size, "compression: out of memory");
            status = NSP_ERR_NO_MEMORY;
        }
    }
    return status == NSP_OK ? transport->protocol->prepare(channel, config, detail, size) : status;
}

nsp_status nsp__otlp_transport_create(nsp__otlp_transport *transport, const nsp_exporter_context *context,
                                      char *detail, size_t size)
{
    const nsp_config *config = context->config;
    nsp_status status = nsp__otlp_transport_describe(transport, config, detail, size);
    nsp__otlp_channel *channel = &transport->channel;
    channel->log = context->log;
    if (status != NSP_OK)
        return status;
    nsp__http_options options = {
        .peer = &channel->endpoint.peer,
        .tls = {.certificate = config->certificate,
                .client_certificate = config->client_certificate,
                .client_key = config->client_key},
        .max_body = max_request_bytes,
        .cancel = context->cancel,
        .held_back = context->held_back,
    };
    channel->own_authorities = config->certificate != NULL && *config->certificate;
    status = nsp__http_client_create(&channel->client, &options, detail, size);
    if (status == NSP_OK)
        warn_of_doubts(transport, config, &options.tls);
    return status;
}

void nsp__otlp_transport_destroy(nsp__otlp_transport *transport)
{
    nsp__otlp_channel *channel = &transport->channel;
    nsp__http_client_destroy(channel->client);
    curl_slist_free_all(channel->plain_headers);
    curl_slist_free_all(channel->gzip_headers);
    nsp__gzip_destroy(channel->gzip);
    nsp__otlp_endpoint_free(&channel->endpoint);
}

// The bytes to send: the compressed form, valid until the next call, if compression is worth it; else the
// body itself.
static const uint8_t *pack(const nsp__otlp_channel *channel, const uint8_t *body, size_t *length)
{
    enum { MIN_BYTES = 1024 };
    size_t compressed;
    const uint8_t *packed = NULL;
    if (channel->gzip != NULL && *length >= MIN_BYTES)
        packed = nsp__gzip_compress(channel->gzip, body, *length, &compressed);
    if (packed != NULL)
        *length = compressed;
    return packed != NULL ? packed : body;
}

// A success whose body is too long to be OTLP's, or a request that the client did not send.
static nsp_send_result over_a_limit(const nsp__otlp_channel *channel, const nsp__http_answer *answer,
                                    nsp_send_report *report)
{
    report->answered = answer->status != 0;
    nsp__otlp_explain(report, "%.80s: %s", channel->endpoint.peer.shown, answer->error);
    return answer->status ? NSP_SEND_UNCONFIRMED : NSP_SEND_REJECTED;
}

nsp_send_result nsp__otlp_transport_post(nsp__otlp_transport *transport, const uint8_t *body, size_t length,
                                         uint64_t deadline_ns, nsp_send_report *report)
{
    nsp__otlp_channel *channel = &transport->channel;
    uint64_t now = nsp__monotonic_ns(), deadline = deadline_ns;
    // 0: no limit of its own.
    if (transport->timeout_ns && deadline > now && deadline - now > transport->timeout_ns)
        deadline = now + transport->timeout_ns;
    channel->too_large = false;

    const uint8_t *message = pack(channel, body, &length);
    nsp__otlp_call call;
    nsp__http_answer answer;
    transport->protocol->build(channel, &call, message, length, message != body, deadline);
    nsp__http_post(channel->client, &call.request, deadline, &answer);
    report->bytes = answer.bytes;
    if (answer.outcome == NSP__HTTP_TOO_LARGE)
        return over_a_limit(channel, &answer, report);
    return transport->protocol->judge(channel, &answer, report);
}
