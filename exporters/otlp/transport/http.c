// SPDX-License-Identifier: Apache-2.0
//
// OTLP over HTTP/1.1.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/headers.h"
#include "otlp/transport/protocol.h"
#include "otlp/transport/reply.h"

enum { MESSAGE_BYTES = 100 };

static nsp_status out_of_memory(char *detail, size_t size)
{
    snprintf(detail, size, "headers: out of memory");
    return NSP_ERR_NO_MEMORY;
}

static nsp_status prepare(nsp__otlp_channel *me, const nsp_config *config, char *detail, size_t size)
{
    char type[128];
    snprintf(type, sizeof type, "Content-Type: %s", me->encoding->content_type);
    struct curl_slist **lists[] = {&me->plain_headers, &me->gzip_headers};
    for (int i = 0; i < 2; ++i) {
        // Without an empty "Expect:" curl asks before each large body, and waits a second for a server that
        // does not know that.
        if (!nsp__http_headers_add(lists[i], type) || !nsp__http_headers_add(lists[i], "Expect:") ||
            (i == 1 && !nsp__http_headers_add(lists[i], "Content-Encoding: gzip")))
            return out_of_memory(detail, size);
        nsp_status status = nsp__http_headers_append(lists[i], config->headers, detail, size);
        if (status != NSP_OK)
            return status;
    }
    return NSP_OK;
}

// Where the text begins in a binary Status: after the code (field 1) and the message's own head (field 2). 0 if
// the body is none.
static size_t status_text(const uint8_t *body, size_t length)
{
    enum { CODE = 1 << 3, MESSAGE = 2 << 3 | 2, MORE = 0x80 };
    size_t at = 0;
    if (length != 0 && body[0] == CODE)
        while (++at < length && (body[at] & MORE) != 0)
            continue;
    at += at != 0; // past the code's last byte
    if (at >= length || body[at] != MESSAGE)
        return 0;
    while (++at < length && (body[at] & MORE) != 0)
        continue;
    return at + 1;
}

// The printable part of an error's body: a text as it is, and the text in a binary Status message.
static void read_message(const uint8_t *body, size_t length, char *message, size_t size)
{
    size_t used = 0;
    for (size_t i = status_text(body, length); i < length && used + 1 < size; ++i) {
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

// Many servers answer a clear-text request to their TLS port with an error that says so: the endpoint is
// wrong, not the spans.
static bool told_to_use_tls(const nsp__otlp_channel *me, const nsp__http_answer *answer, const char *message)
{
    return answer->status == 400 && !me->endpoint.peer.tls && strstr(message, "HTTPS") != NULL;
}

// The retry rule of OTLP over HTTP.
static bool is_retryable(unsigned status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static nsp_send_result refused(nsp__otlp_channel *me, const nsp__http_answer *answer, nsp_send_report *report)
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
    // The Collector refuses a body that is too large with 400.
    me->too_large =
        answer->status == 413 || (answer->status == 400 && strcasestr(message, "too large") != NULL);
    // 407 comes from a proxy, which wants a user and password.
    const char *proxy = answer->status == 407 ? nsp__http_proxy_shown(me->client) : NULL;
    if (proxy != NULL)
        nsp__otlp_explain(report, "the proxy %.64s before %.48s answered 407: it wants a user and password",
                          proxy, me->endpoint.peer.shown);
    else
        nsp__otlp_explain(report, "%.64s answered %u%s%s", me->endpoint.peer.shown, answer->status,
                          message[0] ? ": " : "", message);
    if (!is_retryable(answer->status))
        return NSP_SEND_REJECTED;
    report->retry_after_ns = answer->retry_after_ns;
    return NSP_SEND_RETRY;
}

static bool has_type(const nsp__otlp_channel *me, const char *type)
{
    const char *given = nsp__http_header(me->client, "content-type");
    return given != NULL && strncasecmp(given, type, strlen(type)) == 0;
}

// A reply has the form of its request, but some servers answer in JSON whatever they were sent, and declare
// it.
static const nsp__otlp_encoding *reply_encoding(const nsp__otlp_channel *me)
{
    if (has_type(me, nsp__otlp_json.content_type))
        return &nsp__otlp_json;
    return has_type(me, nsp__otlp_protobuf.content_type) ? &nsp__otlp_protobuf : me->encoding;
}

// OTLP's success is 200. Spans answered with any other success status of HTTP have been taken as well,
// whatever the body is, unless it is a web page: that of a portal in front of the receiver, for example.
static nsp_send_result succeeded(nsp__otlp_channel *me, const nsp__http_answer *answer,
                                 nsp_send_report *report)
{
    if (answer->length && has_type(me, "text/html")) {
        nsp__otlp_explain(report, "%.64s answered %u with a web page, which is not OTLP: is it a receiver?",
                          me->endpoint.peer.shown, answer->status);
        return NSP_SEND_UNCONFIRMED;
    }
    if (answer->status != 200)
        return NSP_SEND_EXPORTED;
    return nsp__otlp_taken(me, reply_encoding(me), answer->body, answer->length, report);
}

static nsp_send_result judge(nsp__otlp_channel *me, nsp__http_answer *answer, nsp_send_report *report)
{
    report->answered = answer->outcome == NSP__HTTP_ANSWERED;
    if (!report->answered)
        return nsp__otlp_no_answer(me, answer, report);
    bool success = answer->status >= 200 && answer->status < 300;
    return success ? succeeded(me, answer, report) : refused(me, answer, report);
}

static void build(const nsp__otlp_channel *me, nsp__otlp_call *call, const uint8_t *message, size_t length,
                  bool compressed, uint64_t deadline_ns)
{
    (void)deadline_ns; // HTTP has no header for it
    call->request = (nsp__http_request){.headers = compressed ? me->gzip_headers : me->plain_headers,
                                        .message = message,
                                        .message_length = length};
}

const nsp__otlp_protocol_ops nsp__otlp_over_http = {prepare, build, judge};
