// SPDX-License-Identifier: Apache-2.0
//
// The exporter `otlp`: protobuf over HTTP. Its encoding half is the encoder of otlp.h, its sending half is here.
#include <nanospan/exporter.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "http/client.h"
#include "http/endpoint.h"
#include "otlp/otlp.h"

// Of a request before compression, by the protocol.
static const size_t max_request_bytes = 64u << 20;
enum { DETAIL_BYTES = 256, MESSAGE_BYTES = 100 };

typedef struct otlp {
    nsp__otlp_encoder *encoder;
    nsp__http_client *client;
    nsp__http_endpoint endpoint;
    uint64_t timeout_ns;
} otlp;

static void destroy(void *state)
{
    otlp *me = state;
    if (!me)
        return;
    nsp__http_client_destroy(me->client);
    nsp__http_endpoint_free(&me->endpoint);
    nsp__otlp_encoder_destroy(me->encoder);
    free(me);
}

static nsp_status read_compression(const char *compression, bool *gzip, char *detail, size_t size)
{
    *gzip = compression && strcmp(compression, "gzip") == 0;
    if (*gzip || !compression || !*compression || strcmp(compression, "none") == 0)
        return NSP_OK;
    snprintf(detail, size, "compression \"%s\" is unknown; it can be none or gzip", compression);
    return NSP_ERR_CONFIG;
}

static nsp_status connect_client(otlp *me, const nsp_exporter_context *context, char *detail, size_t size)
{
    const nsp_config *config = context->config;
    bool gzip;
    nsp_status status = read_compression(config->compression, &gzip, detail, size);
    if (status == NSP_OK)
        status = nsp__http_endpoint_resolve(&me->endpoint, config, detail, size);
    if (status != NSP_OK)
        return status;
    nsp__http_options options = {
        .endpoint = &me->endpoint,
        .content_type = "application/x-protobuf",
        .headers = config->headers,
        .gzip_bytes = gzip ? config->batch_bytes : 0,
        .max_body = max_request_bytes,
        .certificate = config->certificate,
        .client_certificate = config->client_certificate,
        .client_key = config->client_key,
        .cancel = context->cancel,
    };
    return nsp__http_client_create(&me->client, &options, detail, size);
}

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    char detail[DETAIL_BYTES] = "";
    *state = NULL;
    otlp *me = calloc(1, sizeof *me);
    if (!me)
        return NSP_ERR_NO_MEMORY;
    me->timeout_ns = context->config->export_timeout_ns;
    nsp_status status = connect_client(me, context, detail, sizeof detail);
    if (status != NSP_OK)
        context->log(NSP_LOG_ERROR, "otlp", "%s", detail);
    else
        status = nsp__otlp_encoder_create(&me->encoder, context);
    if (status == NSP_OK)
        *state = me;
    else
        destroy(me);
    return status;
}

static void open_batch(void *state, nsp_batch *batch)
{
    otlp *me = state;
    nsp__otlp_encoder_open(me->encoder, batch);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    otlp *me = state;
    return nsp__otlp_encoder_append(me->encoder, batch, view);
}

static void close_batch(void *state, nsp_batch *batch)
{
    otlp *me = state;
    nsp__otlp_encoder_close(me->encoder, batch);
}

// What does not fit is cut off.
__attribute__((format(printf, 2, 3))) static void explain(nsp_send_report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->detail, sizeof report->detail, format, arguments);
    va_end(arguments);
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

static nsp_send_result accepted(const nsp__http_answer *answer, nsp_send_report *report)
{
    int64_t rejected;
    if (nsp__otlp_response_decode(answer->body, answer->length, &rejected, report->detail,
                                  sizeof report->detail))
        report->rejected = (uint64_t)rejected;
    else
        explain(report, "answered %u with a body that is not OTLP", answer->status);
    return NSP_SEND_EXPORTED;
}

static nsp_send_result refused(const otlp *me, const nsp__http_answer *answer, nsp_send_report *report)
{
    char message[MESSAGE_BYTES];
    read_message(answer->body, answer->length, message, sizeof message);
    explain(report, "%.64s answered %u%s%s", me->endpoint.shown, answer->status, message[0] ? ": " : "",
            message);
    bool busy =
        answer->status == 429 || answer->status == 502 || answer->status == 503 || answer->status == 504;
    if (!busy)
        return NSP_SEND_REJECTED;
    report->retry_after_ns = answer->retry_after_ns;
    return NSP_SEND_RETRY;
}

// The protocol's success is 200; what else counts as success in HTTP has been taken as well, whatever its body.
static nsp_send_result read_answer(const otlp *me, const nsp__http_answer *answer, nsp_send_report *report)
{
    report->bytes = answer->bytes;
    report->answered = answer->outcome == NSP__HTTP_ANSWERED;
    switch (answer->outcome) {
    case NSP__HTTP_ANSWERED:
        if (answer->status == 200)
            return accepted(answer, report);
        return answer->status > 200 && answer->status < 300 ? NSP_SEND_EXPORTED : refused(me, answer, report);
    case NSP__HTTP_NOT_SENT:
        explain(report, "cannot reach %.80s: %s", me->endpoint.shown, answer->error);
        return NSP_SEND_RETRY;
    case NSP__HTTP_UNCERTAIN:
        explain(report, "no answer from %.80s: %s", me->endpoint.shown, answer->error);
        return NSP_SEND_UNKNOWN;
    default:
        report->answered = answer->status != 0;
        explain(report, "%.80s: %s", me->endpoint.shown, answer->error);
        return NSP_SEND_REJECTED;
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static nsp_send_result send_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    otlp *me = state;
    nsp__http_answer answer;
    uint64_t own_deadline = nsp__http_now() + me->timeout_ns;
    nsp__http_post(me->client, batch->data + batch->head, batch->length - batch->head,
                   earlier(deadline_ns, own_deadline), &answer);
    return read_answer(me, &answer, report);
}

const nsp_exporter nsp__exporter_otlp = {
    .size = sizeof(nsp_exporter),
    .name = "otlp",
    .create = create,
    .destroy = destroy,
    .open = open_batch,
    .append = append,
    .close = close_batch,
    .send = send_batch,
};
