// SPDX-License-Identifier: Apache-2.0
#include "otlp/transport/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/time.h"

static const uint64_t warn_again_ns = 60ull * 1000000000u;

void nsp__otlp_explain(nsp_send_report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->detail, sizeof report->detail, format, arguments);
    va_end(arguments);
}

// What the user can do about it; the sender's own line says the rest.
static const char *advice(const nsp__otlp_channel *channel, nsp__http_trouble trouble)
{
    bool grpc = channel->endpoint.protocol == NSP_OTLP_GRPC;
    switch (trouble) {
    case NSP__HTTP_NOT_TRUSTED:
        return "TLS: the server's certificate is not trusted, has expired or is not valid yet, or is for "
               "another host; set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of the authorities to trust";
    case NSP__HTTP_NO_HANDSHAKE:
        return "the TLS handshake failed; if the server uses clear text, the endpoint must begin with "
               "http://";
    case NSP__HTTP_CLIENT_REFUSED:
        return "TLS: the server did not accept the client's certificate, or requires one; set "
               "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY to it";
    case NSP__HTTP_OWN_PAIR:
        return "TLS: the client's own certificate and key cannot be read, or do not belong together; spans "
               "wait until OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY name a "
               "matching pair";
    case NSP__HTTP_NO_AUTHORITIES:
        return channel->own_authorities
                   ? "TLS: the file of trusted authorities that OTEL_EXPORTER_OTLP_CERTIFICATE names cannot "
                     "be used"
                   : "TLS: there is no file of trusted authorities on this system; install one (on Debian, "
                     "the package ca-certificates), or set OTEL_EXPORTER_OTLP_CERTIFICATE to one";
    case NSP__HTTP_WANTS_TLS:
        return "the server speaks TLS on this port, but clear text is configured; the endpoint should begin "
               "with https://";
    case NSP__HTTP_PROXY:
        return "the connection should go through a proxy, which cannot be used; the variable no_proxy lists "
               "the hosts that are reached without it";
    case NSP__HTTP_NO_DESCRIPTOR:
        return "the process has no file descriptor left for a connection; spans wait until one is free";
    default:
        return grpc ? "whatever answers there does not speak HTTP/2 in this form: OTLP/HTTP (usual port "
                      "4318) needs OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, TLS needs an https:// endpoint"
                    : "whatever answers there does not speak HTTP/1.1 in this form: OTLP/gRPC (usual port "
                      "4317) needs OTEL_EXPORTER_OTLP_PROTOCOL=grpc, TLS needs an https:// endpoint";
    }
}

// Spans wait, because somebody may put it right at the other end; but not in silence.
static void warn_of_trouble(nsp__otlp_channel *channel, const nsp__http_answer *answer)
{
    uint64_t now = nsp__monotonic_ns();
    if (answer->trouble == NSP__HTTP_NO_TROUBLE ||
        (channel->warned_of == answer->trouble && now - channel->warned_ns < warn_again_ns))
        return;
    channel->warned_of = answer->trouble;
    channel->warned_ns = now;
    channel->log(NSP_LOG_ERROR, "endpoint", "%.100s: %s (%s)", channel->endpoint.peer.shown,
                 advice(channel, answer->trouble), answer->error);
}

nsp_send_result nsp__otlp_no_answer(nsp__otlp_channel *channel, const nsp__http_answer *answer,
                                    nsp_send_report *report)
{
    warn_of_trouble(channel, answer);
    // A server that does not understand the request, or ends TLS because of its sender, has not taken it.
    if (answer->outcome == NSP__HTTP_NOT_SENT || answer->trouble != NSP__HTTP_NO_TROUBLE) {
        nsp__otlp_explain(report, "cannot reach %.80s: %s", channel->endpoint.peer.shown, answer->error);
        return NSP_SEND_RETRY;
    }
    nsp__otlp_explain(report, "no answer from %.80s: %s", channel->endpoint.peer.shown, answer->error);
    return NSP_SEND_UNKNOWN;
}

// Leaves out what may be secret: user, password and query.
bool nsp__otlp_redirected(const nsp__otlp_channel *channel, const nsp__http_answer *answer,
                          nsp_send_report *report)
{
    enum { SCHEME = 8, REST = 56 };
    bool redirect = answer->status >= 300 && answer->status < 400;
    const char *to = redirect ? nsp__http_header(channel->client, "location") : NULL;
    if (to == NULL)
        return false;
    const char *scheme = strstr(to, "://"), *host = strncmp(to, "//", 2) == 0 ? to + 2 : to;
    if (scheme != NULL && scheme - to < SCHEME)
        host = scheme + 3;
    const char *at = memrchr(host, '@', strcspn(host, "/?#")), *shown = at != NULL ? at + 1 : host;
    size_t length = strcspn(shown, "?#");
    nsp__otlp_explain(report, "%.48s answered %u, a redirect to %.*s%.*s, which is not followed",
                      channel->endpoint.peer.shown, answer->status, (int)(host - to), to,
                      (int)(length < REST ? length : REST), shown);
    return true;
}

nsp_send_result nsp__otlp_taken(const nsp__otlp_channel *channel, const nsp__otlp_encoding *encoding,
                                const uint8_t *reply, size_t length, nsp_send_report *report)
{
    int64_t rejected;
    if (!encoding->read_response(reply, length, &rejected, report->detail, sizeof report->detail)) {
        nsp__otlp_explain(report,
                          "%.64s answered with success and a body that is not OTLP: is it a receiver?",
                          channel->endpoint.peer.shown);
        return NSP_SEND_UNCONFIRMED;
    }
    report->rejected = (uint64_t)rejected;
    return NSP_SEND_EXPORTED;
}
