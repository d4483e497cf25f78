// SPDX-License-Identifier: Apache-2.0
//
// Sends an export request without spans, in the way the exporter would, and explains the answer.
#include "probe_export.h"

#include "request.h"
#include "probe_protocol.h"
#include <stdlib.h>
#include <time.h>

// An empty ExportTraceServiceRequest in gRPC's framing: not compressed, no bytes.
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

// ---- the answer ----

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
    if (d->config.headers != NULL && *d->config.headers)
        doctor_advise(
            d, "headers are set, but the receiver does not accept them: check OTEL_EXPORTER_OTLP_HEADERS (in "
               "values, spaces and commas must be percent-encoded: Authorization=Bearer%%20TOKEN)");
    else
        doctor_advise(
            d,
            "no headers are set: set OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%%20TOKEN, or Basic%%20 "
            "followed by the base64 of user:password");
}

// The length of the first line of the server's answer, at most 160 bytes.
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
    doctor_say(d, DOCTOR_FAIL, "endpoint.path", "HTTP status %ld: no receiver of traces at the path %s",
               status, t->path);
    if (d->config.endpoint_exact && (length < end || strcmp(t->path + length - end, "/v1/traces") != 0))
        doctor_advise(d,
                      "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used unchanged: append /v1/traces to it, or use "
                      "OTEL_EXPORTER_OTLP_ENDPOINT");
    else
        doctor_advise(d, "an OTLP receiver usually listens at /v1/traces: correct the path in the endpoint "
                         "(for Jaeger and "
                         "the Collector, leave it out)");
    if (strcmp(t->port, "16686") == 0)
        doctor_advise(
            d,
            "16686 is the port of Jaeger's web page and queries; send spans to 4317 (gRPC) or 4318 (HTTP)");
}

static void tell_http(doctor *d, const request_answer *a)
{
    doctor_target *t = &d->target;
    switch (a->status) {
    case 401:
    case 403:
    case 407:
        doctor_say(d, DOCTOR_FAIL, "endpoint.authentication",
                   "HTTP status %ld: the receiver requires valid credentials%s%.*s", a->status,
                   *said(a) ? ", and says: " : "", said_length(a), said(a));
        advise_headers(d);
        return;
    case 404:
    case 405:
    case 501: tell_not_found(d, a->status); return;
    case 415:
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "HTTP status 415: the receiver does not accept %s",
                   is_json(d) ? "JSON" : "protobuf");
        doctor_advise(d, "set OTEL_EXPORTER_OTLP_PROTOCOL=%s, or grpc",
                      is_json(d) ? "http/protobuf" : "http/json");
        return;
    case 429:
    case 502:
    case 503:
    case 504:
        doctor_say(d, DOCTOR_WARN, "endpoint.busy",
                   "HTTP status %ld: the receiver is running, but accepts nothing at the moment", a->status);
        doctor_advise(
            d,
            "engines keep spans and retry for a while; check the load of the receiver and of what it sends "
            "to");
        return;
    default: break;
    }
    if (a->status >= 300 && a->status < 400) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.path",
                   "HTTP status %ld: the receiver redirects to %s, and nanospan does not follow redirects",
                   a->status, a->location);
        doctor_advise(
            d, "set the endpoint to the receiver's real address; often it only needs https instead of http");
    } else if (a->status < 200 || a->status >= 300) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol",
                   "the receiver answered an export without spans with HTTP status %ld%s%.*s", a->status,
                   *said(a) ? ": " : "", said_length(a), said(a));
        doctor_advise(d, "look at the receiver's log");
    } else if (strncmp(a->type, "text/html", 9) == 0) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol",
                   "%s answers with a web page; it is not an OTLP receiver", t->way.shown);
        doctor_advise(
            d, "send spans to port 4317 (gRPC) or 4318 (HTTP); 16686 is the port of Jaeger's web page");
    } else {
        t->protocol_answered = true;
        doctor_say(d, DOCTOR_OK, "endpoint.protocol", "the receiver accepts OTLP over HTTP%s",
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
        d->target.protocol_answered = true;
        doctor_say(d, DOCTOR_OK, "endpoint.protocol", "the receiver accepts OTLP over gRPC");
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
                   "a gRPC server answers, but it does not accept traces (unimplemented)%s%s", colon,
                   a->grpc_message);
        doctor_advise(d, "it is another service, or its OTLP receiver is off: for Jaeger 1 set "
                         "COLLECTOR_OTLP_ENABLED=true, for "
                         "the Collector and Jaeger 2 put the receiver otlp into a traces pipeline");
        return;
    case UNAVAILABLE:
    case RESOURCE_EXHAUSTED:
        doctor_say(d, DOCTOR_WARN, "endpoint.busy",
                   "gRPC status %d: the receiver is running, but accepts nothing at the moment%s%s",
                   a->grpc_status, colon, a->grpc_message);
        doctor_advise(
            d,
            "engines keep spans and retry for a while; check the load of the receiver and of what it sends "
            "to");
        return;
    default:
        doctor_say(d, DOCTOR_FAIL, "endpoint.protocol",
                   "the receiver answered an export without spans with gRPC status %d%s%s", a->grpc_status,
                   colon, a->grpc_message);
        doctor_advise(d, "look at the receiver's log");
    }
}

// HTTP/2, but no gRPC.
static void tell_no_grpc(doctor *d, const request_answer *a)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.protocol",
               "port %s answers gRPC with HTTP status %ld and no gRPC status: it is not a gRPC server",
               d->target.port, a->status);
    doctor_advise(
        d, "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the receiver's gRPC port, usually 4317");
}

// ---- TLS ----

static void fetch_certificate(doctor *d, request_answer *out)
{
    request r = empty_export(d);
    r.skip_verification = true;
    r.body = NULL;
    // Sends nothing secret to a server that is not trusted: no header, no password or query of the URL, no
    // certificate of our own.
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
    bool name = strstr(a->error, "subject name") != NULL || strstr(a->error, "does not match") != NULL ||
                a->verify == NAME_MISMATCH;
    bool expired = a->verify == EXPIRED || strstr(a->error, "expired") != NULL;
    bool early = a->verify == NOT_YET || strstr(a->error, "not yet valid") != NULL;
    doctor_say(d, DOCTOR_FAIL, "endpoint.certificate", "the certificate of %s %s%s%s%s%s", d->target.host,
               expired ? "has expired"
               : early ? "is not valid yet"
               : name  ? "is for another name"
                       : "is not trusted",
               *seen.subject ? ": it is for " : "", seen.subject, *seen.expires ? ", valid until " : "",
               seen.expires);
    if (expired)
        doctor_advise(
            d, "renew it at the receiver; if that date is in the future, this machine's clock is wrong");
    else if (early)
        doctor_advise(d, "this machine's clock is wrong, or the certificate only becomes valid later");
    else if (name)
        doctor_advise(
            d, "use the certificate's name in the endpoint, or add %s to the certificate's subjectAltName",
            d->target.host);
    else
        doctor_advise(
            d, "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of the authority that signed it%s%s",
            *seen.issuer ? ": " : "", seen.issuer);
    doctor_advise(d, "libcurl's message: %s", a->error);
    request_answer_free(&seen);
    return true;
}

static bool alerts_of_certificate(const char *error)
{
    return strstr(error, "certificate required") != NULL || strstr(error, "bad certificate") != NULL ||
           strstr(error, "handshake failure") != NULL;
}

// Does the receiver demand a client certificate? The handshake shows it or, with TLS 1.3, what follows the
// handshake.
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
    if (why[0] || !d->target.grpc) // a server that expects HTTP/2 silently closes HTTP/1.1
        return alerts_of_certificate(why);
    snprintf(why, size,
             "it closes the connection right after the TLS handshake, which is how gRPC servers refuse");
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
                   "the client certificate or its key cannot be used: %s", a->error);
    else if (authorities)
        doctor_say(d, DOCTOR_FAIL, "endpoint.certificate",
                   "the file of trusted authorities cannot be used: %s", a->error);
    else if (demanded)
        doctor_say(
            d, DOCTOR_FAIL, "endpoint.client_certificate", "the receiver requires a client certificate%s: %s",
            d->config.client_certificate != NULL ? " and does not accept the configured one" : "", why);
    else
        return false;
    if (authorities && !(d->config.certificate != NULL && *d->config.certificate))
        doctor_advise(
            d, "install the system's trusted authorities (in Debian, the package ca-certificates), or set "
               "OTEL_EXPORTER_OTLP_CERTIFICATE to a file of your own");
    else if (authorities)
        doctor_advise(d, "OTEL_EXPORTER_OTLP_CERTIFICATE must name a PEM file of certificates");
    else if (own)
        doctor_advise(d,
                      "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY must name a "
                      "certificate and the key that belongs to it, in PEM form and without a password");
    else
        doctor_advise(d, "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY to the "
                         "PEM files of a "
                         "certificate that the receiver trusts and of its key");
    return true;
}

// Warns before the certificate expires.
static void check_expiry(doctor *d, const request_answer *a)
{
    time_t expires = *a->expires ? curl_getdate(a->expires, NULL) : -1;
    if (expires == -1)
        return;
    long days = (long)((expires - time(NULL)) / 86400);
    doctor_say(d, days < 14 ? DOCTOR_WARN : DOCTOR_OK, "endpoint.certificate",
               "the receiver's certificate is trusted and valid for %ld more day%s", days,
               days == 1 ? "" : "s");
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

// Many servers answer a clear-text request at their TLS port with a clear-text hint.
static bool asks_for_tls(const request_answer *a)
{
    return a->status == 400 && a->body.length && memmem(a->body.data, a->body.length, "HTTPS", 5) != NULL;
}

static void tell_failed_behind_proxy(doctor *d, const request_answer *a)
{
    doctor_say(d, DOCTOR_FAIL, "endpoint.protocol", "there is no OTLP answer through the proxy: %s",
               a->error[0] ? a->error : "the answer is not in the configured protocol");
    doctor_advise(
        d, "check that the receiver is running and that the proxy can reach it; look at the proxy's log");
}

void doctor_probe_export(doctor *d, const doctor_proxy *proxy, const connect_address *addresses, size_t count)
{
    request r = empty_export(d);
    request_answer a;
    request_send(&r, &a);
    keep_clock(d, &a);
    // A gRPC server answers with a gRPC status, even when it refuses; a proxy in front of it has only an HTTP
    // status.
    bool answered =
        a.code == CURLE_OK && (!d->target.grpc || a.grpc_status >= 0 || a.status == 401 || a.status == 403);
    if (answered && *a.expires && d->target.way.tls)
        check_expiry(d, &a);
    if (proxy != NULL && doctor_proxy_refused(d, proxy, &a))
        ;
    else if (answered && a.grpc_status >= 0 && d->target.grpc)
        tell_grpc(d, &a);
    else if (answered && !asks_for_tls(&a))
        tell_http(d, &a);
    else if (a.code == CURLE_OK && d->target.grpc && a.version >= CURL_HTTP_VERSION_2_0)
        tell_no_grpc(d, &a);
    else if (tell_certificate(d, &a) || tell_own_certificate(d, &a))
        ;
    else if (proxy != NULL)
        tell_failed_behind_proxy(d, &a);
    else
        doctor_probe_protocol(d, first_connected(addresses, count), &a);
    request_answer_free(&a);
}
