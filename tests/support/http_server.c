// SPDX-License-Identifier: Apache-2.0
#include "support/http_server.h"

#include <libdeflate.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PLAN = 64, MAX_BODY = 64 << 20 };

struct http_server {
    struct MHD_Daemon *daemon;
    const char *extra;
    pthread_mutex_t lock; // protects everything below
    http_reply plan[PLAN];
    unsigned planned, requests, connections;
    http_request last;
    http_judge *judge;
    void *judge_context;
    bool stopping;
};

// A request that is being received.
typedef struct incoming {
    uint8_t *body;
    size_t length, room;
} incoming;

typedef struct midway {
    size_t sent;
} midway;

static void keep(char *to, size_t size, const char *text)
{
    if (text)
        strncpy(to, text, size - 1);
}

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
    return name ? MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name) : NULL;
}

static uint8_t *gunzip(const uint8_t *packed, size_t length, size_t *unpacked)
{
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    uint8_t *bytes = malloc(MAX_BODY);
    if (libdeflate_gzip_decompress(decompressor, packed, length, bytes, MAX_BODY, unpacked) !=
        LIBDEFLATE_SUCCESS)
        *unpacked = 0;
    libdeflate_free_decompressor(decompressor);
    return bytes;
}

// Returns the reply for it.
static http_reply remember(http_server *server, struct MHD_Connection *connection, const char *method,
                           const char *path, const incoming *request)
{
    http_request now = {.length = request->length};
    keep(now.method, sizeof now.method, method);
    keep(now.path, sizeof now.path, path);
    keep(now.content_type, sizeof now.content_type, header_of(connection, "Content-Type"));
    keep(now.content_encoding, sizeof now.content_encoding, header_of(connection, "Content-Encoding"));
    keep(now.user_agent, sizeof now.user_agent, header_of(connection, "User-Agent"));
    keep(now.extra, sizeof now.extra, header_of(connection, server->extra));
    if (strcmp(now.content_encoding, "gzip") == 0) {
        now.body = gunzip(request->body, request->length, &now.body_length);
    } else {
        now.body_length = request->length;
        now.body = malloc(request->length + 1);
        if (request->length)
            memcpy(now.body, request->body, request->length);
    }
    pthread_mutex_lock(&server->lock);
    free(server->last.body);
    server->last = now;
    unsigned n = server->requests++;
    http_reply reply = {.status = 200};
    if (server->planned)
        reply = server->plan[n < server->planned ? n : server->planned - 1];
    if (server->judge)
        server->judge(server->judge_context, &now, &reply);
    pthread_mutex_unlock(&server->lock);
    return reply;
}

static bool is_stopping(http_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool stopping = server->stopping;
    pthread_mutex_unlock(&server->lock);
    return stopping;
}

// UINT_MAX: until the server stops.
static void linger(http_server *server, unsigned ms)
{
    for (unsigned waited = 0; waited < ms && !is_stopping(server); waited += 5)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

// Sends half of the promised bytes, then an error, which closes the connection.
static ssize_t send_half(void *context, uint64_t position, char *buffer, size_t max)
{
    midway *half = context;
    if (position > 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t length = max < half->sent ? max : half->sent;
    memset(buffer, 'x', length);
    return (ssize_t)length;
}

static enum MHD_Result answer(struct MHD_Connection *connection, const http_reply *reply)
{
    struct MHD_Response *response;
    if (reply->manner == HTTP_HANG_UP_MIDWAY) {
        midway *half = malloc(sizeof *half);
        half->sent = reply->length / 2;
        response = MHD_create_response_from_callback(reply->length, 4096, send_half, half, free);
    } else if (reply->body || reply->length == 0) {
        response = MHD_create_response_from_buffer(reply->length, (void *)(uintptr_t)reply->body,
                                                   MHD_RESPMEM_MUST_COPY);
    } else {
        char *bytes = malloc(reply->length);
        memset(bytes, 'x', reply->length);
        response = MHD_create_response_from_buffer(reply->length, bytes, MHD_RESPMEM_MUST_FREE);
    }
    if (reply->header)
        MHD_add_response_header(response, reply->header, reply->value);
    enum MHD_Result queued = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data, size_t *data_length,
                              void **state)
{
    (void)version;
    http_server *server = context;
    incoming *request = *state;
    if (!request) {
        *state = calloc(1, sizeof(incoming));
        return *state ? MHD_YES : MHD_NO;
    }
    if (*data_length) {
        if (request->length + *data_length > request->room) {
            request->room = 2 * (request->length + *data_length);
            request->body = realloc(request->body, request->room);
        }
        memcpy(request->body + request->length, data, *data_length);
        request->length += *data_length;
        *data_length = 0;
        return MHD_YES;
    }
    http_reply reply = remember(server, connection, method, path, request);
    linger(server, reply.manner == HTTP_STALL ? ~0u : reply.delay_ms);
    if (reply.manner == HTTP_STALL || reply.manner == HTTP_HANG_UP)
        return MHD_NO;
    return answer(connection, &reply);
}

static void complete(void *context, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    incoming *request = *state;
    if (request)
        free(request->body);
    free(request);
    *state = NULL;
}

static void connected(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_ConnectionNotificationCode what)
{
    (void)connection;
    (void)state;
    http_server *server = context;
    pthread_mutex_lock(&server->lock);
    server->connections += what == MHD_CONNECTION_NOTIFY_STARTED;
    pthread_mutex_unlock(&server->lock);
}

static http_server *start(const char *extra, unsigned flags, unsigned port, struct MHD_OptionItem *more)
{
    http_server *server = calloc(1, sizeof *server);
    server->extra = extra;
    pthread_mutex_init(&server->lock, NULL);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | flags, 0, NULL, NULL, handle,
        server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, complete, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, connected, server, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    if (server->daemon)
        return server;
    free(server);
    return NULL;
}

http_server *http_server_start(const char *extra)
{
    return start(extra, 0, 0, (struct MHD_OptionItem[]){{MHD_OPTION_END, 0, NULL}});
}

http_server *http_server_start_tls(const char *extra, const char *certificate, const char *key,
                                   const char *clients, unsigned port)
{
    struct MHD_OptionItem more[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {clients ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, (void *)(uintptr_t)clients},
        {MHD_OPTION_END, 0, NULL}};
    return start(extra, MHD_USE_TLS, port, more);
}

void http_server_stop(http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_mutex_unlock(&server->lock);
    MHD_stop_daemon(server->daemon);
    free(server->last.body);
    free(server);
}

unsigned http_server_port(const http_server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void http_server_plan(http_server *server, const http_reply *reply)
{
    pthread_mutex_lock(&server->lock);
    server->plan[server->planned++] = *reply;
    pthread_mutex_unlock(&server->lock);
}

void http_server_judge(http_server *server, http_judge *judge, void *context)
{
    pthread_mutex_lock(&server->lock);
    server->judge = judge;
    server->judge_context = context;
    pthread_mutex_unlock(&server->lock);
}

unsigned http_server_requests(http_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned requests = server->requests;
    pthread_mutex_unlock(&server->lock);
    return requests;
}

unsigned http_server_connections(http_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned connections = server->connections;
    pthread_mutex_unlock(&server->lock);
    return connections;
}

const http_request *http_server_last(http_server *server)
{
    return &server->last;
}
