// SPDX-License-Identifier: Apache-2.0
#include "http.h"

#include "support/json_text.h"
#include "body.h"
#include "reply.h"
#include "common/time.h"
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

// An idle connection is closed after this many seconds. Jansson reads and writes JSON by recursion, up to 2,048 levels; the
// stack has room for several times that.
enum { IDLE_SECONDS = 120, RECEIVE_BUFFER = 1 << 20, STACK_BYTES = 4 << 20 };

// A body that is refused is still read, so that the sender receives the reason; but only up to this many bytes,
// or as often as long as --max-body. Nothing of it is kept.
enum { LARGE_BODY = 256 << 20, LARGE_BODY_TIMES = 8 };

struct sink_http {
    struct MHD_Daemon *daemon;
    sink_http_options options;
    sink_accounting *accounting;
    unsigned running;  // requests whose reply is not complete
    uint64_t received; // number of requests so far; the choice of faults depends on it
};

// One request, from its headers to its reply.
typedef struct exchange {
    sink_encoding encoding; // of the request, and therefore of the reply
    bool gzip;
    unsigned status; // 0: no error so far
    char why[320];
    text body;
    uint64_t body_bytes; // received, whether kept or not
} exchange;

static void refuse(exchange *x, unsigned status, const char *why)
{
    if (!x->status) {
        x->status = status;
        snprintf(x->why, sizeof x->why, "%s", why);
    }
}

static void read_headers(exchange *x, struct MHD_Connection *connection, const sink_http_options *options,
                         const char *path, const char *method)
{
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    const char *coding = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Encoding");
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    x->encoding = sink_encoding_of(type);
    // Programs that send spans are no browsers. A page of the web that a user of this machine has open could otherwise
    // send spans here, which only the user's browser can reach.
    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin") != NULL)
        refuse(x, MHD_HTTP_FORBIDDEN, "requests of web pages, which have an Origin, are refused");
    if (strcmp(path, "/v1/traces") != 0)
        refuse(x, MHD_HTTP_NOT_FOUND, "the only path here is /v1/traces");
    if (strcmp(method, "POST") != 0)
        refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, "spans must be sent with POST");
    if (x->encoding == SINK_UNKNOWN)
        refuse(x, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
               "the Content-Type must be application/x-protobuf or application/json");
    x->gzip = coding != NULL && strcasecmp(coding, "gzip") == 0;
    if (coding != NULL && !x->gzip && strcasecmp(coding, "identity") != 0)
        refuse(x, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "the Content-Encoding must be gzip or absent");
    uint64_t announced = length != NULL ? strtoull(length, NULL, 10) : 0;
    if (announced > options->most_body)
        refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "the request is larger than --max-body");
    else if (!x->status && announced)
        text_room(&x->body, announced);
}

static bool receive(exchange *x, const char *bytes, size_t length, const sink_http_options *options)
{
    x->body_bytes += length;
    if (x->body_bytes > options->most_body)
        refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "the request is larger than --max-body");
    if (x->status)
        return x->body_bytes <= LARGE_BODY || x->body_bytes / LARGE_BODY_TIMES <= options->most_body;
    text_add(&x->body, bytes, length);
    return true;
}

// A number from 0 to 1 that depends on the seed, the request and the purpose alone.
static double lot(uint64_t seed, uint64_t request, uint64_t purpose)
{
    uint64_t mixed = seed * 0x9e3779b97f4a7c15u + request * 0xd6e8feb86659fd93u + purpose;
    for (int round = 0; round < 3; round++)
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    return (double)(mixed >> 11) * 0x1p-53;
}

static void sleep_for(uint64_t nanoseconds)
{
    struct timespec left = nsp__timespec_of(nanoseconds);
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

// Decodes the body and adds it to the counters. The exchange's status stays 0, or says what went wrong.
static void take(sink_http *server, exchange *x, otlp_request *request)
{
    text plain = {0};
    const char *wrong = NULL;
    if (x->gzip) {
        wrong = sink_gunzip(&x->body, server->options.most_body, &plain);
        if (wrong == SINK_TOO_LARGE)
            refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "the decompressed request is larger than --max-body");
        else if (wrong != NULL)
            refuse(x, MHD_HTTP_BAD_REQUEST, wrong);
    }
    const text *body = x->gzip ? &plain : &x->body;
    if (!x->status) {
        bool sound = x->encoding == SINK_JSON
                         ? otlp_decode_json(request, body->data, body->length)
                         : otlp_decode_protobuf(request, (const uint8_t *)body->data, body->length);
        if (!sound)
            refuse(x, MHD_HTTP_BAD_REQUEST, request->error);
        if (sound && request->want_json)
            text_char(&request->json, '\n');
        sink_live *live = server->options.live;
        bool *repeated = sound && live != NULL ? need_memory(request->key_count + 1) : NULL;
        if (sound && !accounting_take(server->accounting, request, x->body.length, body->length, repeated)) {
            refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, "the spans could not be written to the file");
            free(repeated);
        } else if (sound && live != NULL) {
            live_offer(live, &request->json, repeated, request->key_count);
        }
    }
    text_free(&plain);
}

static enum MHD_Result answer(sink_http *server, exchange *x, struct MHD_Connection *connection)
{
    const sink_http_options *options = &server->options;
    uint64_t number = __atomic_fetch_add(&server->received, 1, __ATOMIC_RELAXED);
    otlp_request request = {.want_json = server->accounting->output >= 0 || options->live != NULL};
    bool lose = false;
    if (options->delay_ns)
        sleep_for(options->delay_ns);
    if (!x->status && lot(options->seed, number, 1) < options->fail_share) {
        refuse(x, options->fail_status, "failed on purpose, because of --fail-rate");
        accounting_failed(server->accounting);
    } else {
        if (!x->status)
            take(server, x, &request);
        if (x->status && x->status < 500)
            accounting_refused(server->accounting);
        lose = !x->status && lot(options->seed, number, 2) < options->lose_share;
    }
    enum MHD_Result result = MHD_NO;
    if (lose)
        accounting_reply_lost(server->accounting);
    else
        result = sink_reply(connection, x->encoding, x->status, x->why, request.rejected,
                            x->status == options->fail_status ? options->retry_after_s : UINT64_MAX);
    otlp_request_free(&request);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *bytes, size_t *length,
                              void **state)
{
    sink_http *server = context;
    exchange *x = *state;
    (void)version;
    if (x == NULL) {
        *state = x = need_zeroes(1, sizeof *x);
        __atomic_fetch_add(&server->running, 1, __ATOMIC_RELAXED);
        read_headers(x, connection, &server->options, path, method);
        // A sender that asks before it sends the body is refused now.
        const char *expect = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect");
        return x->status && expect != NULL && strcasecmp(expect, "100-continue") == 0
                   ? answer(server, x, connection)
                   : MHD_YES;
    }
    if (*length) {
        bool go_on = receive(x, bytes, *length, &server->options);
        *length = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    return answer(server, x, connection);
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    sink_http *server = context;
    exchange *x = *state;
    (void)connection;
    (void)code;
    if (x == NULL)
        return;
    text_free(&x->body);
    free(x);
    *state = NULL;
    __atomic_fetch_sub(&server->running, 1, __ATOMIC_RELAXED);
}

// libmicrohttpd reports broken connections, which are of no interest here.
static void quiet(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

sink_http *sink_http_start(const sink_http_options *options, sink_accounting *accounting)
{
    sink_http *server = need_zeroes(1, sizeof *server);
    server->options = *options;
    server->accounting = accounting;
    server->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, handle, server, MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL, MHD_OPTION_LISTEN_SOCKET,
        options->listener, MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_CONNECTION_LIMIT,
        options->connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)RECEIVE_BUFFER, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_END);
    if (server->daemon == NULL) {
        complain("cannot start the HTTP server: %s", strerror(errno));
        free(server);
        return NULL;
    }
    return server;
}

void sink_http_stop(sink_http *server, uint64_t patience_ns, int stop_now)
{
    enum { STEP_MS = 5 };
    MHD_socket listener = MHD_quiesce_daemon(server->daemon);
    struct pollfd watched = {.fd = stop_now, .events = POLLIN};
    for (uint64_t waited = 0; waited < patience_ns && __atomic_load_n(&server->running, __ATOMIC_RELAXED);
         waited += STEP_MS * 1000000)
        if (poll(&watched, 1, STEP_MS) > 0)
            break;
    MHD_stop_daemon(server->daemon);
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
    free(server);
}
