// SPDX-License-Identifier: Apache-2.0
//
// Greetings in every tongue show what is there.
#include "probe_protocol.h"

static const char HTTP1_GREETING[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

// HTTP/2's preface and an empty SETTINGS frame (RFC 9113, 3.4).
static const char HTTP2_GREETING[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

typedef struct voices {
    connect_voice http1, http2;
    bool tls;
    long tls_version; // of HTTP over it; 0: not known
} voices;

static bool over_tls(doctor *d, long *version)
{
    char url[sizeof d->target.host + sizeof d->target.port + 16];
    snprintf(url, sizeof url, "https://%s:%s/", d->target.host, *d->target.port ? d->target.port : "443");
    request_answer answer;
    request r = {.url = url,
                 .socket = d->target.way.unix_socket,
                 .abstract = d->target.way.abstract_socket,
                 .version = REQUEST_HTTP2_OR_1,
                 .trust_anybody = true,
                 .no_proxy = true,
                 .timeout_ns = doctor_time(d, 2 * DOCTOR_SECOND)};
    request_send(&r, &answer);
    *version = answer.version;
    bool tls = *answer.subject || answer.status != 0;
    request_answer_free(&answer);
    return tls;
}

static voices listen_around(doctor *d, const connect_address *address)
{
    voices v = {0};
    uint64_t patience = 3 * DOCTOR_SECOND / 2;
    v.http1 = connect_greet(address, HTTP1_GREETING, sizeof HTTP1_GREETING - 1, doctor_time(d, patience));
    v.http2 = connect_greet(address, HTTP2_GREETING, sizeof HTTP2_GREETING - 1, doctor_time(d, patience));
    // Silence twice: no third tongue will be understood, and the time is better used elsewhere.
    bool mute = v.http1 == VOICE_SILENT && v.http2 == VOICE_SILENT;
    v.tls = !mute && v.http2 != VOICE_HTTP2 && over_tls(d, &v.tls_version);
    return v;
}

static void tell_tls_instead(doctor *d, const voices *v)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.tls", "%s:%s speaks TLS, and clear text is configured",
               d->target.host, d->target.port);
    doctor_advise(d, "write https:// in the endpoint; without a scheme, set OTLP_INSECURE=false, or leave "
                     "OTEL_EXPORTER_OTLP_INSECURE unset");
    if (d->target.grpc && v->tls_version && v->tls_version < CURL_HTTP_VERSION_2_0)
        doctor_advise(
            d, "and it speaks no HTTP/2 there, so no gRPC: use the gRPC port, or OTEL_EXPORTER_OTLP_PROTOCOL="
               "http/protobuf");
}

static void tell_clear_instead(doctor *d, const char *what)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.tls", "%s:%s speaks %s in clear, and TLS is configured",
               d->target.host, d->target.port, what);
    doctor_advise(d,
                  "write http:// in the endpoint (without a scheme, OTEL_EXPORTER_OTLP_INSECURE=true means "
                  "clear text), or turn TLS on at the receiver");
}

static void tell_other_protocol(doctor *d, bool http2)
{
    const doctor_target *t = &d->target;
    if (http2) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol",
                   "port %s speaks HTTP/2, as gRPC does, and OTLP over HTTP/1.1 is configured", t->port);
        doctor_advise(d,
                      "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use the receiver's HTTP port, usually 4318");
    } else {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "port %s speaks HTTP/1.1, and gRPC is configured%s",
                   t->port, t->protocol_given ? "" : " (by the port number)");
        doctor_advise(
            d,
            "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the receiver's gRPC port, usually 4317");
    }
}

static void tell_strange(doctor *d, const voices *v, const request_answer *a)
{
    if (v->http1 == VOICE_SILENT || a->code == CURLE_OPERATION_TIMEDOUT) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.silent", "the receiver takes connections, but does not answer");
        doctor_advise(d, "it hangs, is overloaded, or is something that waits for another protocol; look at "
                         "its log, or restart it");
        doctor_advise(d, "a container's port that is published while nothing listens inside behaves so, too");
    } else {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "what listens there is no receiver of OTLP: %s",
                   a->error);
        doctor_advise(d, "check the port: 4317 is gRPC, 4318 is HTTP");
    }
}

void doctor_listen_around(doctor *d, const connect_address *address, const request_answer *a)
{
    const doctor_target *t = &d->target;
    voices v = listen_around(d, address);
    bool http2 = v.http2 == VOICE_HTTP2, http1 = v.http1 == VOICE_HTTP1 && !http2;
    if (t->way.tls && !v.tls && (http1 || http2))
        tell_clear_instead(d, http2 ? "HTTP/2 (gRPC)" : "HTTP/1.1");
    else if (!t->way.tls && (v.tls || v.http1 == VOICE_HTTP1_WANTS_TLS || v.http1 == VOICE_TLS))
        tell_tls_instead(d, &v);
    else if (t->way.tls && v.tls && t->grpc && v.tls_version && v.tls_version < CURL_HTTP_VERSION_2_0)
        tell_other_protocol(d, false);
    else if (t->way.tls && v.tls && !t->grpc && v.tls_version >= CURL_HTTP_VERSION_2_0)
        tell_other_protocol(d, true);
    else if (!t->way.tls && (t->grpc ? http1 : http2))
        tell_other_protocol(d, http2);
    else
        tell_strange(d, &v, a);
}
