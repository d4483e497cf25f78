// SPDX-License-Identifier: Apache-2.0
#include "otlp/transport/grpc.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/time.h"
#include "grpc/frame.h"
#include "grpc/metadata.h"
#include "grpc/status.h"
#include "http/headers.h"

enum { MESSAGE_BYTES = 100, MAX_REPLY_BYTES = 64 << 10 };

nsp_status nsp__grpc_headers(nsp__otlp_transport *me, const nsp_config *config, char *detail, size_t size)
{
    // An empty "Accept:" and "Expect:" take out what curl would add.
    const char *const lines[] = {"Content-Type: application/grpc",
                                 "TE: trailers",
                                 "grpc-accept-encoding: identity,gzip",
                                 "Accept:",
                                 "Expect:",
                                 me->gzip ? "grpc-encoding: gzip" : NULL};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; ++i)
        if (lines[i] && !nsp__http_headers_add(&me->plain_headers, lines[i])) {
            snprintf(detail, size, "headers: out of memory");
            return NSP_ERR_NO_MEMORY;
        }
    return nsp__grpc_metadata_append(&me->plain_headers, config->headers, detail, size);
}

// What the answer says of the call, beside its message.
typedef struct verdict {
    nsp__grpc_code code;
    const char *told; // grpc-message, or NULL
    const char *made; // where there is no grpc-status: what there is instead, or NULL
    bool retry_info;
    uint64_t retry_delay_ns;
} verdict;

// The call's end stands in the trailers. An answer without a message may be all headers, and these count then
// (Trailers-Only).
static const char *find(const nsp__otlp_transport *me, const nsp__http_answer *answer, const char *name)
{
    if (nsp__http_has_trailers(me->client))
        return nsp__http_trailer(me->client, name);
    return answer->length == 0 ? nsp__http_header(me->client, name) : NULL;
}

static bool is_grpc(const char *content_type)
{
    static const char grpc[] = "application/grpc";
    if (!content_type || strncasecmp(content_type, grpc, sizeof grpc - 1) != 0)
        return false;
    char next = content_type[sizeof grpc - 1];
    return next == 0 || next == '+' || next == ';' || next == ' ';
}

// A server that is stopped while it answers leaves the status out, as does a proxy that drops trailers. The first may have
// taken the spans or not, and comes back; the second would have them sent for ever. So: a few times in a row, then no more.
static bool broken_off(nsp__otlp_transport *me, const nsp__http_answer *answer)
{
    enum { PATIENCE = 3 };
    return answer->outcome == NSP__HTTP_ANSWERED && answer->version != 1 && answer->status == 200 &&
           !find(me, answer, "grpc-status") && is_grpc(nsp__http_header(me->client, "content-type")) &&
           ++me->broken_off <= PATIENCE;
}

// False: the answer was lost, and nobody can say how the call ended.
static bool judge(nsp__otlp_transport *me, const nsp__http_answer *answer, verdict *out)
{
    *out = (verdict){0};
    const char *status = answer->status ? find(me, answer, "grpc-status") : NULL;
    if (status && nsp__grpc_code_read(status, &out->code)) {
        me->broken_off = 0;
        out->told = find(me, answer, "grpc-message");
        out->retry_info =
            nsp__grpc_retry_info(find(me, answer, "grpc-status-details-bin"), &out->retry_delay_ns);
        return true;
    }
    if (broken_off(me, answer))
        return false;
    if (answer->outcome == NSP__HTTP_ANSWERED) {
        const char *type = nsp__http_header(me->client, "content-type");
        out->code = nsp__grpc_code_of_http(answer->status);
        out->retry_delay_ns = answer->retry_after_ns;
        if (answer->version == 1)
            out->made = "by HTTP/1, not gRPC: is it OTLP/HTTP, protocol http/protobuf?";
        else if (answer->status == 200 && is_grpc(type))
            out->made = "without a grpc-status: does a proxy drop trailers?";
        else
            out->made = "by HTTP, not gRPC";
        return true;
    }
    if (answer->reset_code == UINT_MAX)
        return false;
    out->code = nsp__grpc_code_of_reset(answer->reset_code);
    return true;
}

static nsp_send_result result_of(const verdict *judged)
{
    switch (judged->code) {
    case NSP__GRPC_CANCELLED:
    case NSP__GRPC_DEADLINE_EXCEEDED:
        return NSP_SEND_UNKNOWN; // given up by somebody on the way; maybe taken before
    case NSP__GRPC_ABORTED:
    case NSP__GRPC_OUT_OF_RANGE:
    case NSP__GRPC_UNAVAILABLE:
    case NSP__GRPC_DATA_LOSS: return NSP_SEND_RETRY;
    case NSP__GRPC_RESOURCE_EXHAUSTED: return judged->retry_info ? NSP_SEND_RETRY : NSP_SEND_REJECTED;
    default: return NSP_SEND_REJECTED;
    }
}

// Is it the size of the message that was refused? RESOURCE_EXHAUSTED says so as a rule, if not of a quota, and some
// servers say OUT_OF_RANGE. 413 comes from a proxy.
static bool size_refused(const nsp__http_answer *answer, const verdict *judged, const char *message)
{
    if (answer->reset_code != UINT_MAX || judged->retry_info)
        return false;
    if (judged->made)
        return answer->status == 413;
    bool speaks = nsp__otlp_speaks_of_size(message);
    return (judged->code == NSP__GRPC_RESOURCE_EXHAUSTED && (!message[0] || speaks)) ||
           (judged->code == NSP__GRPC_OUT_OF_RANGE && speaks);
}

static nsp_send_result refused(nsp__otlp_transport *me, const nsp__http_answer *answer, const verdict *judged,
                               nsp_send_report *report)
{
    char message[MESSAGE_BYTES] = "";
    if (judged->told)
        nsp__grpc_message_text(message, sizeof message, judged->told);
    me->too_large = size_refused(answer, judged, message);
    nsp_send_result result = me->too_large ? NSP_SEND_REJECTED : result_of(judged);
    if (result != NSP_SEND_REJECTED)
        report->retry_after_ns = judged->retry_delay_ns;
    const char *name = nsp__grpc_code_name(judged->code);
    if (judged->made && nsp__otlp_redirected(me, answer, report))
        return result;
    if (judged->made)
        nsp__otlp_explain(report, "%.64s answered %u %s", me->endpoint.shown, answer->status, judged->made);
    else if (answer->reset_code != UINT_MAX)
        nsp__otlp_explain(report, "%.48s: %s, %s", me->endpoint.shown, name, answer->error);
    else
        nsp__otlp_explain(report, "%.64s answered %s%s%s", me->endpoint.shown, name, message[0] ? ": " : "",
                          message);
    return result;
}

// Success, if the one message is in order. If not, the receiver may have taken the spans or not; nobody asks again.
static nsp_send_result taken(nsp__otlp_transport *me, const nsp__http_answer *answer, nsp_send_report *report)
{
    const char *wrong = "a message that is cut short";
    nsp__grpc_message message = {0};
    if (answer->outcome == NSP__HTTP_ANSWERED)
        wrong = nsp__grpc_message_read(&message, answer->body, answer->length,
                                       nsp__http_header(me->client, "grpc-encoding"), MAX_REPLY_BYTES);
    nsp_send_result result = NSP_SEND_UNCONFIRMED;
    if (wrong)
        nsp__otlp_explain(report, "%.64s answered OK with %s", me->endpoint.shown, wrong);
    else
        result = nsp__otlp_taken(me, me->encoding, message.bytes, message.length, report);
    free(message.unpacked);
    return result;
}

static nsp_send_result read_answer(nsp__otlp_transport *me, nsp__http_answer *answer, nsp_send_report *report)
{
    report->bytes = answer->bytes;
    if (answer->outcome == NSP__HTTP_TOO_LARGE) {
        report->answered = answer->status != 0;
        nsp__otlp_explain(report, "%.80s: %s", me->endpoint.shown, answer->error);
        return answer->status ? NSP_SEND_UNCONFIRMED : NSP_SEND_REJECTED;
    }
    verdict judged;
    if (judge(me, answer, &judged)) {
        report->answered = true;
        return judged.code == NSP__GRPC_OK && !judged.made ? taken(me, answer, report)
                                                           : refused(me, answer, &judged, report);
    }
    if (answer->outcome == NSP__HTTP_ANSWERED)
        snprintf(answer->error, sizeof answer->error, "the answer broke off before its grpc-status");
    else if (answer->timed_out)
        snprintf(answer->error, sizeof answer->error, "DEADLINE_EXCEEDED: timed out");
    return nsp__otlp_no_answer(me, answer, report);
}

nsp_send_result nsp__grpc_send(nsp__otlp_transport *me, const uint8_t *body, size_t length,
                               uint64_t deadline_ns, nsp_send_report *report)
{
    const uint8_t *message = nsp__otlp_pack(me, body, &length);
    nsp__http_request request = {.message = message, .message_length = length};
    uint8_t prefix[NSP__GRPC_PREFIX_BYTES];
    nsp__grpc_prefix_write(prefix, message != body, length);
    request.prefix = prefix;
    request.prefix_length = sizeof prefix;

    // The one header that differs from call to call stands before the others.
    char line[NSP__GRPC_TIMEOUT_BYTES];
    uint64_t now = nsp__monotonic_ns();
    nsp__grpc_timeout_write(line, deadline_ns > now ? deadline_ns - now : 0);
    struct curl_slist timeout = {.data = line, .next = me->plain_headers};
    request.headers = &timeout;

    nsp__http_answer answer;
    nsp__http_post(me->client, &request, deadline_ns, &answer);
    return read_answer(me, &answer, report);
}
