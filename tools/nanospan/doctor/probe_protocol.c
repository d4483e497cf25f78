// SPDX-License-Identifier: Apache-2.0
//
// Sends HTTP/1.1, HTTP/2 and TLS to the endpoint. The replies show which of them it understands.
#include "probe_protocol.h"

static const char HTTP1_PROBE[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

// HTTP/2's preface and an empty SETTINGS frame (RFC 9113, 3.4).
static const char HTTP2_PROBE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

typedef struct probe_replies {
    connect_reply http1, http2;
    bool tls;
    long tls_version; // the HTTP version over TLS; 0: unknown
} probe_replies;

static bool over_tls(doctor *d, long *version)
{
    char url[sizeof d->target.host + sizeof d->target.port + 16];
    snprintf(url, sizeof url, "https://%s:%s/", d->target.host, *d->target.port ? d->target.port : "443");
    request_answer answer;
    request r = {.url = url,
                 .socket = d->target.way.unix_socket,
                 .abstract = d->target.way.abstract_socket,
                 .version = REQUEST_HTTP2_OR_1,
                 .skip_verification = true,
                 .no_proxy = true,
                 .timeout_ns = doctor_time(d, 2 * DOCTOR_SECOND)};
    request_send(&r, &answer);
    *version = answer.version;
    bool tls = *answer.subject || answer.status != 0;
    request_answer_free(&answer);
    return tls;
}

static probe_replies probe_all(doctor *d, const connect_address *address)
{
    probe_replies r = {0};
    uint64_t patience = 3 * DOCTOR_SECOND / 2;
    r.http1 = connect_probe(address, HTTP1_PROBE, sizeof HTTP1_PROBE - 1, doctor_time(d, patience));
    r.http2 = connect_probe(address, HTTP2_PROBE, sizeof HTTP2_PROBE - 1, doctor_time(d, patience));
    // A server that answers neither will not answer TLS either, so that time is saved.
    bool silent = r.http1 == REPLY_SILENT && r.http2 == REPLY_SILENT;
    r.tls = !silent && r.http2 != REPLY_HTTP2 && over_tls(d, &r.tls_version);
    return r;
}

static void tell_tls_instead(doctor *d, const probe_replies *r)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.tls", "%s:%s uses TLS, but clear text is configured", d->target.host,
               d->target.port);
    doctor_advise(d, "write https:// in the endpoint; if it has no scheme, set OTLP_INSECURE=false, or leave "
                     "OTEL_EXPORTER_OTLP_INSECURE unset");
    if (d->target.grpc && r->tls_version && r->tls_version < CURL_HTTP_VERSION_2_0)
        doctor_advise(
            d, "it does not support HTTP/2 either, so gRPC cannot work there: use the gRPC port, or set "
               "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf");
}

static void tell_clear_instead(doctor *d, const char *what)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.tls", "%s:%s uses %s in clear text, but TLS is configured",
               d->target.host, d->target.port, what);
    doctor_advise(
        d, "write http:// in the endpoint (if it has no scheme, set OTEL_EXPORTER_OTLP_INSECURE=true), or "
           "turn TLS on at the receiver");
}

static void tell_other_protocol(doctor *d, bool http2)
{
    const doctor_target *t = &d->target;
    if (http2) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol",
                   "port %s uses HTTP/2, like gRPC, but OTLP over HTTP/1.1 is configured", t->port);
        doctor_advise(d,
                      "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use the receiver's HTTP port, usually 4318");
    } else {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "port %s uses HTTP/1.1, but gRPC is configured%s",
                   t->port, t->protocol_given ? "" : " (because of the port number)");
        doctor_advise(
            d,
            "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the receiver's gRPC port, usually 4317");
    }
}

static void tell_not_otlp(doctor *d, const probe_replies *r, const request_answer *a)
{
    if (r->http1 == REPLY_SILENT || a->code == CURLE_OPERATION_TIMEDOUT) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.silent",
                   "the receiver accepts connections, but does not answer");
        doctor_advise(d,
                      "it hangs, is overloaded, or expects another protocol: look at its log, or restart it");
        doctor_advise(
            d,
            "a published port of a container looks like this, too, if nothing listens inside the container");
    } else {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "what listens there is not an OTLP receiver: %s",
                   a->error);
        doctor_advise(d, "check the port: 4317 is usual for gRPC, 4318 for HTTP");
    }
}

void doctor_probe_protocol(doctor *d, const connect_address *address, const request_answer *a)
{
    const doctor_target *t = &d->target;
    probe_replies r = probe_all(d, address);
    bool http2 = r.http2 == REPLY_HTTP2, http1 = r.http1 == REPLY_HTTP1 && !http2;
    if (t->way.tls && !r.tls && (http1 || http2))
        tell_clear_instead(d, http2 ? "HTTP/2 (gRPC)" : "HTTP/1.1");
    else if (!t->way.tls && (r.tls || r.http1 == REPLY_HTTP1_ASKS_FOR_TLS || r.http1 == REPLY_TLS))
        tell_tls_instead(d, &r);
    else if (t->way.tls && r.tls && t->grpc && r.tls_version && r.tls_version < CURL_HTTP_VERSION_2_0)
        tell_other_protocol(d, false);
    else if (t->way.tls && r.tls && !t->grpc && r.tls_version >= CURL_HTTP_VERSION_2_0)
        tell_other_protocol(d, true);
    else if (!t->way.tls && (t->grpc ? http1 : http2))
        tell_other_protocol(d, http2);
    else
        tell_not_otlp(d, &r, a);
}
