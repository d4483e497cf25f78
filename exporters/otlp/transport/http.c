// SPDX-License-Identifier: Apache-2.0
//
// OTLP over HTTP/1.1.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/headers.h"
#include "otlp/transport/transport.h"

enum { MESSAGE_BYTES = 100 };

static nsp_status out_of_memory(char *detail, size_t size)
{
    snprintf(detail, size, "headers: out of memory");
    return NSP_ERR_NO_MEMORY;
}

nsp_status nsp__otlp_http_headers(nsp__otlp_transport *transport, const nsp_config *config, char *detail,
                                  size_t size)
{
    char type[128];
    snprintf(type, sizeof type, "Content-Type: %s", transport->encoding->content_type);
    struct curl_slist **lists[] = {&transport->plain_headers, &transport->gzip_headers};
    for (int i = 0; i < 2; ++i) {
        // Without "Expect:" curl would ask before each large body, and wait a second for servers that do not know that.
        if (!nsp__http_headers_add(lists[i], type) || !nsp__http_headers_add(lists[i], "Expect:") ||
            (i == 1 && !nsp__http_headers_add(lists[i], "Content-Encoding: gzip")))
            return out_of_memory(detail, size);
        nsp_status status = nsp__http_headers_append(lists[i], config->headers, detail, size);
        if (status != NSP_OK)
            return status;
    }
    return NSP_OK;
}

// The printable part of an error's body: a text as it is, and of a binary Status message its text.
static void read_message(const uint8_t *body, size_t length, char *message, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < length && used + 1 < size; ++i) {
        bool printable = body[i] > ' ' && body[i] < 0x7f;
        if (printable)
            message[used++] = (char)body[i];
        else if (used && message[used - 1] != ' ')
            message[used++] = ' ';
    }
    while (used && message[used - 1] == ' ')
        --used;
    message[used] = 0;
}

// Many servers tell a client that speaks in clear at their TLS port so, in clear: it is the endpoint that is wrong, and not
// the spans.
static bool told_to_use_tls(const nsp__otlp_transport *me, const nsp__http_answer *answer,
                            const char *message)
{
    return answer->status == 400 && !me->endpoint.tls && strstr(message, "HTTPS");
}

static nsp_send_result refused(nsp__otlp_transport *me, const nsp__http_answer *answer,
                               nsp_send_report *report)
{
    char message[MESSAGE_BYTES];
    if (nsp__otlp_redirected(me, answer, report))
        return NSP_SEND_REJECTED;
    read_message(answer->body, answer->length, message, sizeof message);
    if (told_to_use_tls(me, answer, message)) {
        nsp__http_answer instead = *answer;
        instead.trouble = NSP__HTTP_WANTS_TLS;
        snprintf(instead.error, sizeof instead.error, "it answered 400: %s", message);
        return nsp__otlp_no_answer(me, &instead, report);
    }
    // The Collector refuses too large a body with 400.
    me->too_large = answer->status == 413 || (answer->status == 400 && strcasestr(message, "too large"));
    // 407 is a proxy's: it wants to know who asks.
    const char *proxy = answer->status == 407 ? nsp__http_proxy_shown(me->client) : NULL;
    if (proxy)
        nsp__otlp_explain(report, "the proxy %.64s before %.48s answered 407: it wants a user and password",
                          proxy, me->endpoint.shown);
    else
        nsp__otlp_explain(report, "%.64s answered %u%s%s", me->endpoint.shown, answer->status,
                          message[0] ? ": " : "", message);
    bool busy =
        answer->status == 429 || answer->status == 502 || answer->status == 503 || answer->status == 504;
    if (!busy)
        return NSP_SEND_REJECTED;
    report->retry_after_ns = answer->retry_after_ns;
    return NSP_SEND_RETRY;
}

static bool has_type(const nsp__otlp_transport *me, const char *type)
{
    const char *given = nsp__http_header(me->client, "content-type");
    return given && strncasecmp(given, type, strlen(type)) == 0;
}

// A reply has the form of its request, but some servers answer in JSON whatever they were sent, and say so.
static const nsp__otlp_encoding *reply_encoding(const nsp__otlp_transport *me)
{
    if (has_type(me, nsp__otlp_json.content_type))
        return &nsp__otlp_json;
    return has_type(me, nsp__otlp_protobuf.content_type) ? &nsp__otlp_protobuf : me->encoding;
}

// The protocol's success is 200; what else counts as success in HTTP has been taken as well, whatever its body, unless
// that is a page for people: of a portal, say, that stands before the receiver.
static nsp_send_result succeeded(nsp__otlp_transport *me, const nsp__http_answer *answer,
                                 nsp_send_report *report)
{
    if (answer->length && has_type(me, "text/html")) {
        nsp__otlp_explain(report, "%.64s answered %u with a web page, which is not OTLP: is it a receiver?",
                          me->endpoint.shown, answer->status);
        return NSP_SEND_UNCONFIRMED;
    }
    if (answer->status != 200)
        return NSP_SEND_EXPORTED;
    return nsp__otlp_taken(me, reply_encoding(me), answer->body, answer->length, report);
}

static nsp_send_result read_answer(nsp__otlp_transport *me, const nsp__http_answer *answer,
                                   nsp_send_report *report)
{
    report->bytes = answer->bytes;
    report->answered = answer->outcome == NSP__HTTP_ANSWERED;
    switch (answer->outcome) {
    case NSP__HTTP_ANSWERED:
        return answer->status >= 200 && answer->status < 300 ? succeeded(me, answer, report)
                                                             : refused(me, answer, report);
    case NSP__HTTP_NOT_SENT:
    case NSP__HTTP_UNCERTAIN: return nsp__otlp_no_answer(me, answer, report);
    default:
        report->answered = answer->status != 0;
        nsp__otlp_explain(report, "%.80s: %s", me->endpoint.shown, answer->error);
        return answer->status ? NSP_SEND_UNCONFIRMED : NSP_SEND_REJECTED;
    }
}

nsp_send_result nsp__otlp_http_send(nsp__otlp_transport *me, const uint8_t *body, size_t length,
                                    uint64_t deadline_ns, nsp_send_report *report)
{
    const uint8_t *message = nsp__otlp_pack(me, body, &length);
    nsp__http_request request = {.headers = message != body ? me->gzip_headers : me->plain_headers,
                                 .message = message,
                                 .message_length = length};
    nsp__http_answer answer;
    nsp__http_post(me->client, &request, deadline_ns, &answer);
    return read_answer(me, &answer, report);
}
