// SPDX-License-Identifier: Apache-2.0
//
// An export without spans, as the exporter would send it, and what its answer means.
#include "probe_export.h"

#include "request.h"
#include "probe_protocol.h"
#include <stdlib.h>
#include <time.h>

// An empty ExportTraceServiceRequest: of gRPC, a frame of no compression and no bytes.
static const uint8_t GRPC_EMPTY[5];

static bool is_json(const doctor *d)
{
    return d->target.way.protocol == NSP_OTLP_HTTP_JSON;
}

static request empty_export(doctor *d)
{
    const doctor_target *t = &d->target;
    const nsp_config *config = &d->config;
    bool json = is_json(d);
    return (request){
        .url = t->way.url,
        .socket = t->way.unix_socket,
        .abstract = t->way.abstract_socket,
        .version = t->grpc ? REQUEST_HTTP2 : REQUEST_HTTP1,
        .body = t->grpc ? (const void *)GRPC_EMPTY
                : json  ? "{}"
                        : "",
        .body_length = t->grpc ? sizeof GRPC_EMPTY
                       : json  ? 2
                               : 0,
        .headers = t->way.headers,
        .no_proxy = t->way.loopback,
        .certificate = config->certificate,
        .client_certificate = config->client_certificate,
        .client_key = config->client_key,
        .timeout_ns = doctor_time(d, 4 * DOCTOR_SECOND),
    };
}

// ---- what was answered ----

static void keep_clock(doctor *d, const request_answer *answer)
{
    time_t theirs = *answer->date ? curl_getdate(answer->date, NULL) : -1;
    if (theirs == -1)
        return;
    d->target.clock_skew = (int64_t)theirs - (int64_t)time(NULL);
    d->target.clock_skew_known = true;
}

static void advise_headers(doctor *d)
{
    if (d->config.headers && *d->config.headers)
        doctor_advise(d, "headers are set, but these credentials are not accepted: check "
                         "OTEL_EXPORTER_OTLP_HEADERS (spaces and "
                         "commas in values are percent-encoded: Authorization=Bearer%%20TOKEN)");
    else
        doctor_advise(d, "no headers are set: OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%%20TOKEN, or "
                         "Basic%%20 and the "
                         "base64 of user:password");
}

// The first line of what the server had to say, cut.
static int said_length(const request_answer *answer)
{
    size_t length = 0;
    while (length < answer->body.length && length < 160 && (unsigned char)answer->body.data[length] >= 0x20)
        length++;
    return (int)length;
}

static const char *said(const request_answer *answer)
{
    return said_length(answer) ? answer->body.data : "";
}

static void tell_not_found(doctor *d, long status)
{
    const doctor_target *t = &d->target;
    size_t length = strlen(t->path), end = strlen("/v1/traces");
    doctor_say(d, DOCTOR_FAIL, "endpoint.path", "HTTP %ld: there is no receiver of traces at the path %s",
               status, t->path);
    if (d->config.endpoint_exact && (length < end || strcmp(t->path + length - end, "/v1/traces") != 0))
        doctor_advise(d,
                      "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it is: put /v1/traces behind it, or use "
                      "OTEL_EXPORTER_OTLP_ENDPOINT");
    else
        doctor_advise(d, "an OTLP receiver listens at /v1/traces: correct the path in the endpoint (leave it "
                         "out for Jaeger and "
                         "the Collector)");
    if (strcmp(t->port, "16686") == 0)
        doctor_advise(d, "16686 is Jaeger's web page and query port; spans go to 4317 (gRPC) or 4318 (HTTP)");
}

static void tell_http(doctor *d, const request_answer *a)
{
    doctor_target *t = &d->target;
    switch (a->status) {
    case 401:
    case 403:
    case 407:
        doctor_say(d, DOCTOR_FAIL, "endpoint.authentication",
                   "HTTP %ld: the receiver wants to know who sends%s%.*s", a->status,
                   *said(a) ? ", and says: " : "", said_length(a), said(a));
        advise_headers(d);
        return;
    case 404:
    case 405:
    case 501: tell_not_found(d, a->status); return;
    case 415:
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "HTTP 415: the receiver does not take %s",
                   is_json(d) ? "JSON" : "protobuf");
        doctor_advise(d, "set OTEL_EXPORTER_OTLP_PROTOCOL=%s, or grpc",
                      is_json(d) ? "http/protobuf" : "http/json");
        return;
    case 429:
    case 502:
    case 503:
    case 504:
        doctor_say(d, DOCTOR_WARN, "endpoint.busy", "HTTP %ld: the receiver is there, but takes nothing now",
                   a->status);
        doctor_advise(d, "spans are kept and sent again for a while; look at the receiver's load, and at "
                         "what is behind it");
        return;
    default: break;
    }
    if (a->status >= 300 && a->status < 400) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.path",
                   "HTTP %ld: the receiver sends us to %s, and redirects are not followed", a->status,
                   a->location);
        doctor_advise(d, "set the endpoint to where it really is; https instead of http, often");
    } else if (a->status < 200 || a->status >= 300) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "HTTP %ld to an export without spans%s%.*s",
                   a->status, *said(a) ? ": " : "", said_length(a), said(a));
        doctor_advise(d, "look at the receiver's log");
    } else if (strncmp(a->type, "text/html", 9) == 0) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "a web page answers at %s, not a receiver of spans",
                   t->way.shown);
        doctor_advise(d, "spans go to port 4317 (gRPC) or 4318 (HTTP); 16686 is Jaeger's web page");
    } else {
        t->spoken = true;
        doctor_say(d, DOCTOR_OK, "endpoint.protocol", "the receiver takes OTLP over HTTP%s",
                   is_json(d) ? " with JSON" : " with protobuf");
    }
}

static void tell_grpc(doctor *d, const request_answer *a)
{
    enum {
        OK = 0,
        PERMISSION_DENIED = 7,
        RESOURCE_EXHAUSTED = 8,
        UNIMPLEMENTED = 12,
        UNAVAILABLE = 14,
        UNAUTHENTICATED = 16
    };
    const char *colon = *a->grpc_message ? ": " : "";
    switch (a->grpc_status) {
    case OK:
        d->target.spoken = true;
        doctor_say(d, DOCTOR_OK, "endpoint.protocol", "the receiver takes OTLP over gRPC");
        return;
    case UNAUTHENTICATED:
    case PERMISSION_DENIED:
        doctor_say(d, DOCTOR_FAIL, "endpoint.authentication", "gRPC status %d (%s)%s%s", a->grpc_status,
                   a->grpc_status == UNAUTHENTICATED ? "unauthenticated" : "permission denied", colon,
                   a->grpc_message);
        advise_headers(d);
        return;
    case UNIMPLEMENTED:
        doctor_say(d, DOCTOR_FAIL, "endpoint.path",
                   "a gRPC server answers, but it does not take traces (unimplemented)%s%s", colon,
                   a->grpc_message);
        doctor_advise(
            d,
            "it is another service, or its OTLP receiver is off: COLLECTOR_OTLP_ENABLED=true for Jaeger 1, a "
            "receiver otlp in a traces pipeline for the Collector and Jaeger 2");
        return;
    case UNAVAILABLE:
    case RESOURCE_EXHAUSTED:
        doctor_say(d, DOCTOR_WARN, "endpoint.busy",
                   "gRPC status %d: the receiver is there, but takes nothing now%s%s", a->grpc_status, colon,
                   a->grpc_message);
        doctor_advise(d, "spans are kept and sent again for a while; look at the receiver's load, and at "
                         "what is behind it");
        return;
    default:
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "gRPC status %d to an export without spans%s%s",
                   a->grpc_status, colon, a->grpc_message);
        doctor_advise(d, "look at the receiver's log");
    }
}

// HTTP/2, but not a word of gRPC.
static void tell_no_grpc(doctor *d, const request_answer *a)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.protocol",
               "port %s answers gRPC with HTTP %ld alone: what listens there is not a gRPC server",
               d->target.port, a->status);
    doctor_advise(
        d, "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the receiver's gRPC port, usually 4317");
}

// ---- TLS ----

static void fetch_certificate(doctor *d, request_answer *out)
{
    request r = empty_export(d);
    r.trust_anybody = true;
    r.body = NULL;
    // Nothing secret to somebody who is not trusted: no header, no password or query of the URL, no certificate of ours.
    r.headers = NULL;
    r.url = d->target.way.shown;
    r.client_certificate = r.client_key = NULL;
    r.version = REQUEST_HTTP2_OR_1;
    r.timeout_ns = doctor_time(d, 2 * DOCTOR_SECOND);
    request_send(&r, out);
}

static bool tell_certificate(doctor *d, const request_answer *a)
{
    enum { EXPIRED = 10, NOT_YET = 9, SELF_SIGNED = 18, SELF_SIGNED_IN_CHAIN = 19, NAME_MISMATCH = 62 };
    if (a->code != CURLE_PEER_FAILED_VERIFICATION)
        return false;
    request_answer seen;
    fetch_certificate(d, &seen);
    bool name =
        strstr(a->error, "subject name") || strstr(a->error, "does not match") || a->verify == NAME_MISMATCH;
    bool expired = a->verify == EXPIRED || strstr(a->error, "expired");
    bool early = a->verify == NOT_YET || strstr(a->error, "not yet valid");
    doctor_say(d, DOCTOR_FAIL, "endpoint.certificate", "the certificate of %s %s%s%s%s%s", d->target.host,
               expired ? "has expired"
               : early ? "is not valid yet"
               : name  ? "is for another name"
                       : "is not trusted",
               *seen.subject ? ": it is for " : "", seen.subject, *seen.expires ? ", until " : "",
               seen.expires);
    if (expired)
        doctor_advise(
            d, "renew it at the receiver; if its date is in the future, the clock of this machine is wrong");
    else if (early)
        doctor_advise(d, "the clock of this machine is wrong, or the certificate was made for later");
    else if (name)
        doctor_advise(
            d, "use the name that the certificate is for in the endpoint, or add %s to its subjectAltName",
            d->target.host);
    else
        doctor_advise(
            d, "OTEL_EXPORTER_OTLP_CERTIFICATE=FILE names the PEM file of the authority that signed it%s%s",
            *seen.issuer ? ": " : "", seen.issuer);
    doctor_advise(d, "libcurl says: %s", a->error);
    request_answer_free(&seen);
    return true;
}

static bool alerts_of_certificate(const char *error)
{
    return strstr(error, "certificate required") || strstr(error, "bad certificate") ||
           strstr(error, "handshake failure");
}

// Is a certificate of ours demanded? Either the handshake says so, or, with TLS 1.3, what comes after it.
static bool demands_certificate(doctor *d, const request_answer *a, char *why, size_t size)
{
    if (!d->target.way.tls || a->code == CURLE_OK)
        return false;
    snprintf(why, size, "%s", a->error);
    if (alerts_of_certificate(a->error))
        return true;
    request r = empty_export(d);
    r.timeout_ns = doctor_time(d, DOCTOR_SECOND);
    if (!*a->subject || a->code == CURLE_OPERATION_TIMEDOUT || !request_refused_late(&r, why, size))
        return false;
    if (why[0] || !d->target.grpc) // one that wants HTTP/2 hangs up on HTTP/1.1 without a word
        return alerts_of_certificate(why);
    snprintf(why, size, "it hangs up right after the TLS handshake, as gRPC servers do then");
    return true;
}

static bool tell_own_certificate(doctor *d, const request_answer *a)
{
    char why[CURL_ERROR_SIZE];
    bool own = a->code == CURLE_SSL_CERTPROBLEM;
    bool authorities = a->code == CURLE_SSL_CACERT_BADFILE;
    bool demanded = !own && !authorities && demands_certificate(d, a, why, sizeof why);
    if (own)
        doctor_say(d, DOCTOR_FAIL, "endpoint.client_certificate",
                   "our own client certificate or key cannot be used: %s", a->error);
    else if (authorities)
        doctor_say(d, DOCTOR_FAIL, "endpoint.certificate",
                   "the file of trusted authorities cannot be used: %s", a->error);
    else if (demanded)
        doctor_say(d, DOCTOR_FAIL, "endpoint.client_certificate",
                   "the receiver wants a client certificate%s: %s",
                   d->config.client_certificate ? ", and does not accept ours" : "", why);
    else
        return false;
    if (authorities && !(d->config.certificate && *d->config.certificate))
        doctor_advise(
            d, "install this machine's file of authorities (in Debian, the package ca-certificates), or let "
               "OTEL_EXPORTER_OTLP_CERTIFICATE name one");
    else if (authorities)
        doctor_advise(d, "OTEL_EXPORTER_OTLP_CERTIFICATE must name a PEM file of certificates");
    else if (own)
        doctor_advise(d,
                      "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY must name a "
                      "certificate and the key that belongs to it, in PEM form and without a password");
    else
        doctor_advise(
            d,
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY name the PEM files of a "
            "certificate that the receiver trusts, and of its key");
    return true;
}

// Before it is too late.
static void check_expiry(doctor *d, const request_answer *a)
{
    time_t expires = *a->expires ? curl_getdate(a->expires, NULL) : -1;
    if (expires == -1)
        return;
    long days = (long)((expires - time(NULL)) / 86400);
    doctor_say(d, days < 14 ? DOCTOR_WARN : DOCTOR_OK, "endpoint.certificate",
               "the receiver's certificate is trusted, and valid for "
               "%ld more day%s",
               days, days == 1 ? "" : "s");
    if (days < 14)
        doctor_advise(d, "renew it at the receiver before %s", a->expires);
}

// ---- as a whole ----

static const connect_address *first_connected(const connect_address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (addresses[i].error == 0)
            return &addresses[i];
    return NULL;
}

// Many servers tell a client that speaks in clear at their TLS port so, in clear.
static bool wants_tls(const request_answer *a)
{
    return a->status == 400 && a->body.length && memmem(a->body.data, a->body.length, "HTTPS", 5);
}

static void tell_failed_behind_proxy(doctor *d, const request_answer *a)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "through the proxy there is no answer of OTLP: %s",
               a->error[0] ? a->error : "what answers does not speak the protocol");
    doctor_advise(d, "is the receiver running, and does the proxy reach it? Look at the proxy's log");
}

void doctor_speak(doctor *d, const doctor_proxy *proxy, const connect_address *addresses, size_t count)
{
    request r = empty_export(d);
    request_answer a;
    request_send(&r, &a);
    keep_clock(d, &a);
    // A gRPC server answers with a status, even in refusal; a proxy in front of it with HTTP's alone.
    bool answered =
        a.code == CURLE_OK && (!d->target.grpc || a.grpc_status >= 0 || a.status == 401 || a.status == 403);
    if (answered && *a.expires && d->target.way.tls)
        check_expiry(d, &a);
    if (proxy && doctor_proxy_refused(d, proxy, &a))
        ;
    else if (answered && a.grpc_status >= 0 && d->target.grpc)
        tell_grpc(d, &a);
    else if (answered && !wants_tls(&a))
        tell_http(d, &a);
    else if (a.code == CURLE_OK && d->target.grpc && a.version >= CURL_HTTP_VERSION_2_0)
        tell_no_grpc(d, &a);
    else if (tell_certificate(d, &a) || tell_own_certificate(d, &a))
        ;
    else if (proxy)
        tell_failed_behind_proxy(d, &a);
    else
        doctor_listen_around(d, first_connected(addresses, count), &a);
    request_answer_free(&a);
}
