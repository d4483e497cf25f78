// SPDX-License-Identifier: Apache-2.0
//
// OTLP over gRPC: a unary call for each request, on libcurl's HTTP/2. grpc_retry.c has the retry rule.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/time.h"
#include "grpc/status.h"
#include "http/headers.h"
#include "otlp/transport/grpc_retry.h"
#include "otlp/transport/protocol.h"
#include "otlp/transport/reply.h"

enum { MESSAGE_BYTES = 100, MAX_REPLY_BYTES = 64 << 10 };

static nsp_status prepare(nsp__otlp_channel *me, const nsp_config *config, char *detail, size_t size)
{
    // An empty "Accept:" and "Expect:" remove what curl would add.
    const char *const lines[] = {"Content-Type: application/grpc",
                                 "TE: trailers",
                                 "grpc-accept-encoding: identity,gzip",
                                 "Accept:",
                                 "Expect:",
                                 me->gzip != NULL ? "grpc-encoding: gzip" : NULL};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; ++i)
        if (lines[i] != NULL && !nsp__http_headers_add(&me->plain_headers, lines[i])) {
            snprintf(detail, size, "headers: out of memory");
            return NSP_ERR_NO_MEMORY;
        }
    return nsp__grpc_metadata_append(&me->plain_headers, config->headers, detail, size);
}

// What the answer says about the call, apart from its message.
typedef struct verdict {
    nsp__grpc_code code;
    const char *told; // grpc-message, or NULL
    const char *made; // if there is no grpc-status: what there is instead; else NULL
    bool retry_info;
    uint64_t retry_delay_ns;
} verdict;

// The trailers say how the call ended. An answer without a message may consist of headers alone, which count
// then (Trailers-Only).
static const char *find(const nsp__otlp_channel *me, const nsp__http_answer *answer, const char *name)
{
    if (nsp__http_has_trailers(me->client))
        return nsp__http_trailer(me->client, name);
    return answer->length == 0 ? nsp__http_header(me->client, name) : NULL;
}

static bool is_grpc(const char *content_type)
{
    static const char grpc[] = "application/grpc";
    if (content_type == NULL || strncasecmp(content_type, grpc, sizeof grpc - 1) != 0)
        return false;
    char next = content_type[sizeof grpc - 1];
    return next == 0 || next == '+' || next == ';' || next == ' ';
}

// A server that is stopped while it answers leaves the status out, and so does a proxy that drops trailers.
// The server may have taken the spans or not, and comes back; with the proxy, spans would be sent for ever.
// So this counts as lost a few times in a row, and no longer.
static bool broken_off(nsp__otlp_channel *me, const nsp__http_answer *answer)
{
    enum { PATIENCE = 3 };
    return answer->outcome == NSP__HTTP_ANSWERED && answer->version != 1 && answer->status == 200 &&
           find(me, answer, "grpc-status") == NULL && is_grpc(nsp__http_header(me->client, "content-type")) &&
           ++me->broken_off <= PATIENCE;
}

// What an answer without a legible grpc-status is.
static const char *made_instead(const nsp__otlp_channel *me, const nsp__http_answer *answer)
{
    if (answer->version == 1)
        return "over HTTP/1, not gRPC: is it OTLP/HTTP, protocol http/protobuf?";
    if (find(me, answer, "grpc-status") != NULL)
        return "with a grpc-status that is not a number";
    if (answer->status == 200 && is_grpc(nsp__http_header(me->client, "content-type")))
        return "without a grpc-status: does a proxy drop trailers?";
    return "over HTTP, not gRPC";
}

// False: the answer was lost, and how the call ended is not known.
static bool find_verdict(nsp__otlp_channel *me, const nsp__http_answer *answer, verdict *out)
{
    *out = (verdict){0};
    const char *status = answer->status ? find(me, answer, "grpc-status") : NULL;
    if (status != NULL && nsp__grpc_code_read(status, &out->code)) {
        me->broken_off = 0;
        out->told = find(me, answer, "grpc-message");
        out->retry_info =
            nsp__grpc_retry_info(find(me, answer, "grpc-status-details-bin"), &out->retry_delay_ns);
        return true;
    }
    if (broken_off(me, answer))
        return false;
    if (answer->outcome == NSP__HTTP_ANSWERED) {
        out->code = nsp__grpc_code_of_http(answer->status);
        out->retry_delay_ns = answer->retry_after_ns;
        out->made = made_instead(me, answer);
        return true;
    }
    if (answer->reset_code == UINT_MAX)
        return false;
    out->code = nsp__grpc_code_of_reset(answer->reset_code);
    return true;
}

// An answer that is not gRPC's own comes from a proxy, with 413 for a request that is too large.
static bool size_refused(const nsp__http_answer *answer, const verdict *judged, const char *message)
{
    if (answer->reset_code != UINT_MAX)
        return false;
    return judged->made != NULL ? answer->status == 413 && !judged->retry_info
                                : nsp__otlp_grpc_size_refused(judged->code, judged->retry_info, message);
}

// HTTP's success without a grpc-status refuses nothing: a portal may have answered, or a proxy may have
// dropped the status of spans that were taken. It is the same as over OTLP/HTTP.
static bool confirms_nothing(const nsp__http_answer *answer, const verdict *judged)
{
    return judged->made != NULL && answer->status == 200;
}

static nsp_send_result refused(nsp__otlp_channel *me, const nsp__http_answer *answer, const verdict *judged,
                               nsp_send_report *report)
{
    char message[MESSAGE_BYTES] = "";
    if (judged->told != NULL)
        nsp__grpc_message_text(message, sizeof message, judged->told);
    me->too_large = size_refused(answer, judged, message);
    nsp_send_result result = NSP_SEND_REJECTED;
    if (confirms_nothing(answer, judged))
        result = NSP_SEND_UNCONFIRMED;
    else if (!me->too_large)
        result = nsp__otlp_grpc_result(judged->code, judged->retry_info);
    if (result == NSP_SEND_RETRY || result == NSP_SEND_UNKNOWN)
        report->retry_after_ns = judged->retry_delay_ns;
    const char *name = nsp__grpc_code_name(judged->code);
    if (judged->made != NULL && nsp__otlp_redirected(me, answer, report))
        return result;
    if (judged->made != NULL)
        nsp__otlp_explain(report, "%.64s answered %u %s", me->endpoint.peer.shown, answer->status,
                          judged->made);
    else if (answer->reset_code != UINT_MAX)
        nsp__otlp_explain(report, "%.48s: %s, %s", me->endpoint.peer.shown, name, answer->error);
    else
        nsp__otlp_explain(report, "%.64s answered %s%s%s", me->endpoint.peer.shown, name,
                          message[0] ? ": " : "", message);
    return result;
}

// Success, if the one message is in order. If it is not, the receiver may have taken the spans or not; they
// are not sent again.
static nsp_send_result taken(nsp__otlp_channel *me, const nsp__http_answer *answer, nsp_send_report *report)
{
    const char *wrong = "a message that is cut short";
    nsp__grpc_message message = {0};
    if (answer->outcome == NSP__HTTP_ANSWERED)
        wrong = nsp__grpc_message_read(&message, answer->body, answer->length,
                                       nsp__http_header(me->client, "grpc-encoding"), MAX_REPLY_BYTES);
    nsp_send_result result = NSP_SEND_UNCONFIRMED;
    if (wrong != NULL)
        nsp__otlp_explain(report, "%.64s answered OK with %s", me->endpoint.peer.shown, wrong);
    else
        result = nsp__otlp_taken(me, me->encoding, message.bytes, message.length, report);
    free(message.unpacked);
    return result;
}

static nsp_send_result judge(nsp__otlp_channel *me, nsp__http_answer *answer, nsp_send_report *report)
{
    verdict found;
    if (find_verdict(me, answer, &found)) {
        report->answered = true;
        return found.code == NSP__GRPC_OK && found.made == NULL ? taken(me, answer, report)
                                                                : refused(me, answer, &found, report);
    }
    if (answer->outcome == NSP__HTTP_ANSWERED)
        snprintf(answer->error, sizeof answer->error, "the answer broke off before its grpc-status");
    else if (answer->timed_out)
        snprintf(answer->error, sizeof answer->error, "DEADLINE_EXCEEDED: timed out");
    return nsp__otlp_no_answer(me, answer, report);
}

static void build(const nsp__otlp_channel *me, nsp__otlp_call *call, const uint8_t *message, size_t length,
                  bool compressed, uint64_t deadline_ns)
{
    nsp__grpc_prefix_write(call->prefix, compressed, length);
    // The one header that differs from call to call goes before the others.
    uint64_t now = nsp__monotonic_ns();
    nsp__grpc_timeout_write(call->timeout, deadline_ns > now ? deadline_ns - now : 0);
    call->first_header = (struct curl_slist){.data = call->timeout, .next = me->plain_headers};
    call->request = (nsp__http_request){.headers = &call->first_header,
                                        .prefix = call->prefix,
                                        .prefix_length = sizeof call->prefix,
                                        .message = message,
                                        .message_length = length};
}

const nsp__otlp_protocol_ops nsp__otlp_over_grpc = {prepare, build, judge};
