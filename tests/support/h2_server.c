// SPDX-License-Identifier: Apache-2.0
#include "support/h2_server.h"

#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PLAN = 64, CONNECTIONS = 128, LINES = 16, LINE_BYTES = 16384 };

struct h2_server {
    int listener;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock; // protects everything below
    h2_reply plan[PLAN];
    unsigned planned, requests, connections;
    h2_judge *judge;
    void *judge_context;
    h2_request last;
    int sockets[CONNECTIONS];
    pthread_t threads[CONNECTIONS];
    bool stopping;
};

// One connection, with only one stream at a time.
typedef struct connection {
    h2_server *server;
    int socket;
    nghttp2_session *session;
    h2_reply reply; // to the stream that is being read
    h2_request request;
    size_t answered; // bytes of data
    bool close;      // when all is sent
} connection;

// A block of headers for nghttp2, made of text; it holds the text of the values.
typedef struct block {
    char text[LINE_BYTES];
    nghttp2_nv lines[LINES];
    size_t count;
} block;

static void add(block *to, const char *name, const char *value)
{
    to->lines[to->count++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                                          .value = (uint8_t *)(uintptr_t)value,
                                          .namelen = strlen(name),
                                          .valuelen = strlen(value),
                                          .flags = NGHTTP2_NV_FLAG_NONE};
}

static void add_lines(block *to, const char *lines)
{
    snprintf(to->text, sizeof to->text, "%s", lines ? lines : "");
    char *rest = to->text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line;) {
        char *colon = strstr(line, ": ");
        *colon = 0;
        add(to, line, colon + 2);
    }
}

static void submit_trailers(connection *me, int32_t stream)
{
    block *trailers = calloc(1, sizeof *trailers);
    add_lines(trailers, me->reply.trailers);
    nghttp2_submit_trailer(me->session, stream, trailers->lines, trailers->count);
    free(trailers);
}

static ssize_t next_data(nghttp2_session *session, int32_t stream, uint8_t *out, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)source;
    connection *me = context;
    const h2_reply *reply = &me->reply;
    size_t part = reply->length - me->answered;
    if (part > room)
        part = room;
    if (reply->chunk && part > reply->chunk)
        part = reply->chunk;
    if (part)
        memcpy(out, (const uint8_t *)reply->data + me->answered, part);
    me->answered += part;
    if (me->answered < reply->length)
        return (ssize_t)part;
    if (reply->manner == H2_HALF)
        return part ? (ssize_t)part : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (reply->trailers) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(me, stream);
    }
    return (ssize_t)part;
}

static void answer(connection *me, int32_t stream)
{
    h2_reply *reply = &me->reply;
    char status[16];
    snprintf(status, sizeof status, "%u", reply->status ? reply->status : 200);
    if (reply->delay_ms)
        nanosleep(
            &(struct timespec){.tv_sec = reply->delay_ms / 1000, .tv_nsec = reply->delay_ms % 1000 * 1000000},
            NULL);
    switch (reply->manner) {
    case H2_SILENT:
    case H2_STALLED:
    case H2_GOAWAY: return;
    case H2_RESET: nghttp2_submit_rst_stream(me->session, NGHTTP2_FLAG_NONE, stream, reply->error); return;
    case H2_GOAWAY_LATER:
        nghttp2_submit_goaway(me->session, NGHTTP2_FLAG_NONE, stream, reply->error, NULL, 0);
        me->close = true;
        return;
    case H2_HANG_UP: me->close = true; return;
    default: break;
    }
    bool only = !reply->data && !reply->apart && reply->manner != H2_HALF;
    char all[LINE_BYTES];
    snprintf(all, sizeof all, "%s%s", reply->headers ? reply->headers : "",
             only && reply->trailers ? reply->trailers : "");
    block *headers = calloc(1, sizeof *headers);
    const char *type = reply->content_type ? reply->content_type : "application/grpc";
    add(headers, ":status", status);
    if (*type)
        add(headers, "content-type", type);
    add_lines(headers, all);
    me->answered = 0;
    nghttp2_data_provider data = {.read_callback = next_data};
    nghttp2_submit_response(me->session, stream, headers->lines, headers->count, only ? NULL : &data);
    free(headers);
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                       size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                       void *context)
{
    (void)session;
    (void)frame;
    (void)flags;
    connection *me = context;
    size_t used = strlen(me->request.headers);
    snprintf(me->request.headers + used, sizeof me->request.headers - used, "%.*s: %.*s\n", (int)name_length,
             (const char *)name, (int)value_length, (const char *)value);
    return 0;
}

static int headers_begin(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    (void)frame;
    connection *me = context;
    free(me->request.body);
    me->request = (h2_request){0};
    static const h2_reply success = {.data = "\0\0\0\0\0", .length = 5, .trailers = "grpc-status: 0\n"};
    h2_server *server = me->server;
    pthread_mutex_lock(&server->lock);
    unsigned number = server->requests++;
    if (!server->planned)
        me->reply = success;
    else
        me->reply = server->plan[number < server->planned ? number : server->planned - 1];
    pthread_mutex_unlock(&server->lock);
    return 0;
}

static int data_came(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                     size_t length, void *context)
{
    (void)flags;
    connection *me = context;
    me->request.body = realloc(me->request.body, me->request.length + length);
    memcpy(me->request.body + me->request.length, bytes, length);
    me->request.length += length;
    if (me->reply.manner != H2_STALLED)
        nghttp2_session_consume(session, stream, length);
    return 0;
}

static void request_read(connection *me)
{
    h2_server *server = me->server;
    pthread_mutex_lock(&server->lock);
    free(server->last.body);
    server->last = me->request;
    me->request = (h2_request){0};
    pthread_mutex_unlock(&server->lock);
}

static int frame_came(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    connection *me = context;
    int32_t stream = frame->hd.stream_id;
    bool headers = frame->hd.type == NGHTTP2_HEADERS, ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (headers && me->reply.manner == H2_GOAWAY)
        nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, 0, me->reply.error, NULL, 0);
    if (headers && me->reply.manner == H2_EARLY)
        answer(me, stream);
    if ((headers || frame->hd.type == NGHTTP2_DATA) && ends) {
        pthread_mutex_lock(&me->server->lock);
        if (me->server->judge)
            me->server->judge(me->server->judge_context, &me->request, &me->reply);
        pthread_mutex_unlock(&me->server->lock);
        request_read(me);
        if (me->reply.manner != H2_EARLY)
            answer(me, stream);
    }
    return 0;
}

static bool send_all(connection *me)
{
    for (;;) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(me->session, &bytes);
        if (length <= 0)
            return length == 0;
        for (ssize_t sent = 0, now; sent < length; sent += now) {
            now = send(me->socket, bytes + sent, (size_t)(length - sent), MSG_NOSIGNAL);
            if (now <= 0)
                return false;
        }
    }
}

static void *serve(void *argument)
{
    connection *me = argument;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header_came);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, headers_begin);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data_came);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_came);
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_session_server_new2(&me->session, callbacks, me, options);
    nghttp2_submit_settings(me->session, NGHTTP2_FLAG_NONE, NULL, 0);
    uint8_t bytes[65536];
    bool going = send_all(me);
    while (going && !me->close) {
        ssize_t length = recv(me->socket, bytes, sizeof bytes, 0);
        going = length > 0 && nghttp2_session_mem_recv(me->session, bytes, (size_t)length) == length &&
                send_all(me);
    }
    shutdown(me->socket, SHUT_RDWR); // closed only at the end, so that its number is not used again meanwhile
    nghttp2_session_del(me->session);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(options);
    free(me->request.body);
    free(me);
    return NULL;
}

static void *accept_all(void *argument)
{
    h2_server *server = argument;
    for (;;) {
        int socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket < 0)
            return NULL;
        connection *me = calloc(1, sizeof *me);
        me->server = server;
        me->socket = socket;
        pthread_mutex_lock(&server->lock);
        bool room = !server->stopping && server->connections < CONNECTIONS &&
                    pthread_create(&server->threads[server->connections], NULL, serve, me) == 0;
        if (room)
            server->sockets[server->connections++] = socket;
        pthread_mutex_unlock(&server->lock);
        if (!room) {
            close(socket);
            free(me);
        }
    }
}

static bool listen_on(h2_server *server, const char *unix_socket)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->listener = socket(unix_socket ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (unix_socket) {
        // A name that begins with @ is abstract.
        size_t length = strlen(unix_socket);
        memcpy(local.sun_path, unix_socket, length);
        if (*unix_socket == '@')
            local.sun_path[0] = 0;
        size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*unix_socket != '@'));
    }
    if (bind(server->listener, unix_socket ? (struct sockaddr *)&local : (struct sockaddr *)&address, size) !=
            0 ||
        listen(server->listener, 64) != 0)
        return false;
    if (!unix_socket && getsockname(server->listener, (struct sockaddr *)&address, &size) != 0)
        return false;
    server->port = ntohs(address.sin_port);
    return true;
}

h2_server *h2_server_start(const char *unix_socket)
{
    h2_server *server = calloc(1, sizeof *server);
    pthread_mutex_init(&server->lock, NULL);
    if (listen_on(server, unix_socket) && pthread_create(&server->thread, NULL, accept_all, server) == 0)
        return server;
    close(server->listener);
    free(server);
    return NULL;
}

void h2_server_stop(h2_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    for (unsigned i = 0; i < server->connections; i++)
        shutdown(server->sockets[i], SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    for (unsigned i = 0; i < server->connections; i++) {
        pthread_join(server->threads[i], NULL);
        close(server->sockets[i]);
    }
    close(server->listener);
    pthread_mutex_destroy(&server->lock);
    free(server->last.body);
    free(server);
}

unsigned h2_server_port(const h2_server *server)
{
    return server->port;
}

void h2_server_plan(h2_server *server, const h2_reply *reply)
{
    pthread_mutex_lock(&server->lock);
    if (server->planned == PLAN)
        abort();
    server->plan[server->planned++] = *reply;
    pthread_mutex_unlock(&server->lock);
}

static unsigned read_count(h2_server *server, const unsigned *count)
{
    pthread_mutex_lock(&server->lock);
    unsigned value = *count;
    pthread_mutex_unlock(&server->lock);
    return value;
}

void h2_server_judge(h2_server *server, h2_judge *judge, void *context)
{
    pthread_mutex_lock(&server->lock);
    server->judge = judge;
    server->judge_context = context;
    pthread_mutex_unlock(&server->lock);
}

unsigned h2_server_requests(h2_server *server)
{
    return read_count(server, &server->requests);
}

unsigned h2_server_connections(h2_server *server)
{
    return read_count(server, &server->connections);
}

const h2_request *h2_server_last(h2_server *server)
{
    // A sender that gave up may ask before the server has read its request.
    for (int tries = 0; tries < 6000; tries++) {
        pthread_mutex_lock(&server->lock);
        bool there = server->last.headers[0] != 0;
        pthread_mutex_unlock(&server->lock);
        if (there)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return &server->last;
}
