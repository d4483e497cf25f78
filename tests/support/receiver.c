// SPDX-License-Identifier: Apache-2.0
#include "support/receiver.h"

#include <libdeflate.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "otlp.pb-c.h"

enum { UNPACKED_MAX = 64 << 20 };

struct receiver {
    struct MHD_Daemon *daemon;
    char endpoint[64];
    const receiver_manner *manners;
    unsigned count;
    tally *tally;
    unsigned requests; // atomic
    bool stopping;     // atomic
};

typedef struct body {
    uint8_t *bytes;
    size_t length, room;
} body;

static uint64_t word(const ProtobufCBinaryData *data, size_t at)
{
    uint64_t value = 0;
    if (data->len >= at + 8)
        memcpy(&value, data->data + at, 8);
    return value;
}

static void add_span(receiver *me, const Nanospan__Otlp__Span *span)
{
    enum { PARENT_REMOTE = 0x200 };
    const tally_span seen = {
        .trace_id = {word(&span->trace_id, 0), word(&span->trace_id, 8)},
        .span_id = word(&span->span_id, 0),
        .parent_id = word(&span->parent_span_id, 0),
        .start_ns = span->start_time_unix_nano,
        .end_ns = span->end_time_unix_nano,
        .parent_remote = (span->flags & PARENT_REMOTE) != 0,
    };
    tally_add(me->tally, &seen);
}

// Takes the spans except the first `left_out`. A body that is not OTLP ends the test program.
static void take_request(receiver *me, const uint8_t *bytes, size_t length, unsigned left_out)
{
    Nanospan__Otlp__Request *request = nanospan__otlp__request__unpack(NULL, length, bytes);
    if (request == NULL) {
        fprintf(stderr, "receiver: a body of %zu bytes is not OTLP\n", length);
        abort();
    }
    for (size_t i = 0; i < request->n_resource_spans; i++)
        for (size_t j = 0; j < request->resource_spans[i]->n_scope_spans; j++) {
            const Nanospan__Otlp__ScopeSpans *scope = request->resource_spans[i]->scope_spans[j];
            for (size_t k = 0; k < scope->n_spans; k++) {
                if (left_out != 0)
                    left_out--;
                else
                    add_span(me, scope->spans[k]);
            }
        }
    nanospan__otlp__request__free_unpacked(request, NULL);
}

static void take_body(receiver *me, const body *sent, bool gzip, unsigned left_out)
{
    if (!gzip) {
        take_request(me, sent->bytes, sent->length, left_out);
        return;
    }
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    uint8_t *bytes = malloc(UNPACKED_MAX);
    size_t length;
    if (libdeflate_gzip_decompress(decompressor, sent->bytes, sent->length, bytes, UNPACKED_MAX, &length) !=
        0) {
        fprintf(stderr, "receiver: a body of %zu bytes is not gzip\n", sent->length);
        abort();
    }
    libdeflate_free_decompressor(decompressor);
    take_request(me, bytes, length, left_out);
    free(bytes);
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *text,
                             size_t length)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", "application/x-protobuf");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static void stall(receiver *me)
{
    while (!__atomic_load_n(&me->stopping, __ATOMIC_ACQUIRE))
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static enum MHD_Result answer(receiver *me, struct MHD_Connection *connection, const body *sent)
{
    static const char part[] = {0x0a, 0x02, 0x08, 0x01}; // partial_success { rejected_spans: 1 }
    const char *encoding = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Encoding");
    bool gzip = encoding != NULL && strcmp(encoding, "gzip") == 0;
    unsigned number = __atomic_fetch_add(&me->requests, 1, __ATOMIC_RELAXED);
    receiver_manner manner = me->manners != NULL ? me->manners[number % me->count] : RECEIVER_ACCEPT;
    switch (manner) {
    case RECEIVER_ACCEPT: take_body(me, sent, gzip, 0); return reply(connection, 200, "", 0);
    case RECEIVER_ACCEPT_PART: take_body(me, sent, gzip, 1); return reply(connection, 200, part, sizeof part);
    case RECEIVER_BUSY: return reply(connection, 503, "", 0);
    case RECEIVER_REFUSE: return reply(connection, 400, "", 0);
    case RECEIVER_LOSE_REPLY: take_body(me, sent, gzip, 0); return MHD_NO;
    case RECEIVER_HANG_UP: return MHD_NO;
    default: stall(me); return MHD_NO;
    }
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data, size_t *data_length,
                              void **state)
{
    (void)path;
    (void)method;
    (void)version;
    body *incoming = *state;
    if (incoming == NULL) {
        *state = calloc(1, sizeof(body));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*data_length == 0)
        return answer(context, connection, incoming);
    if (incoming->length + *data_length > incoming->room) {
        incoming->room = 2 * (incoming->length + *data_length);
        incoming->bytes = realloc(incoming->bytes, incoming->room);
    }
    memcpy(incoming->bytes + incoming->length, data, *data_length);
    incoming->length += *data_length;
    *data_length = 0;
    return MHD_YES;
}

static void complete(void *context, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    body *incoming = *state;
    if (incoming != NULL)
        free(incoming->bytes);
    free(incoming);
    *state = NULL;
}

receiver *receiver_start(const receiver_manner *manners, unsigned count)
{
    receiver *me = calloc(1, sizeof *me);
    me->manners = manners;
    me->count = count;
    me->tally = tally_new();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    me->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
                                  NULL, handle, me, MHD_OPTION_SOCK_ADDR, &address,
                                  MHD_OPTION_NOTIFY_COMPLETED, complete, NULL, MHD_OPTION_END);
    if (me->daemon == NULL) {
        fprintf(stderr, "receiver: cannot listen\n");
        abort();
    }
    snprintf(me->endpoint, sizeof me->endpoint, "http://127.0.0.1:%u",
             MHD_get_daemon_info(me->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    return me;
}

void receiver_stop(receiver *me)
{
    __atomic_store_n(&me->stopping, true, __ATOMIC_RELEASE);
    MHD_stop_daemon(me->daemon);
    tally_free(me->tally);
    free(me);
}

const char *receiver_endpoint(const receiver *me)
{
    return me->endpoint;
}

tally *receiver_tally(receiver *me)
{
    return me->tally;
}

unsigned receiver_requests(receiver *me)
{
    return __atomic_load_n(&me->requests, __ATOMIC_RELAXED);
}
