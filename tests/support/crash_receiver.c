// SPDX-License-Identifier: Apache-2.0
#include "support/crash_receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/http_server.h"
#include "support/session_dir.h"

struct crash_receiver {
    crash_target target;
    unsigned delay_ms;
    size_t limit; // of a request, in bytes; SIZE_MAX: none
    unsigned parts;
    const char *service;
    char endpoint[SESSION_PATH_MAX + 16];
    http_server *server; // NULL: the pipe
    crash_spans received;
    int pipe;
    pthread_t reader;
    bool stop_reading; // atomic
    char *text;        // what came out of the pipe
    size_t length, room;
};

// ---- HTTP ----

static void judge(void *context, const http_request *request, http_reply *reply)
{
    crash_receiver *me = context;
    reply->delay_ms = me->delay_ms;
    if (request->body_length > me->limit) {
        reply->status = 413;
        return;
    }
    if (me->limit != SIZE_MAX && ++me->parts % 2 == 0) { // so some batches are settled in part
        reply->status = 503;
        return;
    }
    if (me->target == CRASH_TO_PROTOBUF)
        crash_spans_add_protobuf(&me->received, request->body, request->body_length, me->service);
    else
        crash_spans_add_json(&me->received, (const char *)request->body, request->body_length, me->service);
}

static bool start_server(crash_receiver *me)
{
    me->server = http_server_start(NULL);
    if (me->server == NULL)
        return false;
    http_server_judge(me->server, judge, me);
    snprintf(me->endpoint, sizeof me->endpoint, "http://127.0.0.1:%u", http_server_port(me->server));
    return true;
}

// ---- a pipe ----

// Reads what is there; false: nothing.
static bool read_pipe(crash_receiver *me, size_t most)
{
    if (me->length + most > me->room) {
        me->room = 2 * (me->length + most);
        me->text = realloc(me->text, me->room);
        if (me->text == NULL)
            abort();
    }
    ssize_t count = read(me->pipe, me->text + me->length, most);
    me->length += count > 0 ? (size_t)count : 0;
    return count > 0;
}

static void *read_slowly(void *argument)
{
    crash_receiver *me = argument;
    while (!__atomic_load_n(&me->stop_reading, __ATOMIC_ACQUIRE)) {
        struct pollfd ready = {me->pipe, POLLIN, 0};
        if (poll(&ready, 1, 5) > 0)
            read_pipe(me, 8192);
        nanosleep(&(struct timespec){.tv_nsec = (long)me->delay_ms * 100000}, NULL);
    }
    return NULL;
}

static bool start_pipe(crash_receiver *me, const char *directory)
{
    snprintf(me->endpoint, sizeof me->endpoint, "%s/pipe", directory);
    if (mkfifo(me->endpoint, 0600) != 0)
        return false;
    me->pipe = open(me->endpoint, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (me->pipe < 0)
        return false;
    errno = pthread_create(&me->reader, NULL, read_slowly, me);
    if (errno == 0)
        return true;
    close(me->pipe);
    return false;
}

// A line that the engine had no time to end was not received.
static void take_lines(crash_receiver *me)
{
    const char *at = me->text, *limit = me->text + me->length;
    for (const char *end; at < limit && (end = memchr(at, '\n', (size_t)(limit - at))) != NULL; at = end + 1)
        if (end != at)
            crash_spans_add_json(&me->received, at, (size_t)(end - at), me->service);
}

static void stop_pipe(crash_receiver *me)
{
    __atomic_store_n(&me->stop_reading, true, __ATOMIC_RELEASE);
    pthread_join(me->reader, NULL);
    while (read_pipe(me, 65536))
        ;
    close(me->pipe);
    take_lines(me);
    free(me->text);
}

// ---- both ----

crash_receiver *crash_receiver_start(crash_target target, unsigned delay_ms, size_t limit,
                                     const char *directory, const char *service)
{
    crash_receiver *me = calloc(1, sizeof *me);
    if (me == NULL)
        return NULL;
    me->target = target;
    me->delay_ms = delay_ms;
    me->limit = limit;
    me->service = service;
    if (target == CRASH_TO_PIPE ? start_pipe(me, directory) : start_server(me))
        return me;
    free(me);
    return NULL;
}

const char *crash_receiver_exporter(const crash_receiver *receiver)
{
    return receiver->target == CRASH_TO_PIPE ? "file" : "otlp";
}

const char *crash_receiver_endpoint(const crash_receiver *receiver)
{
    return receiver->endpoint;
}

const char *crash_receiver_protocol(const crash_receiver *receiver)
{
    return receiver->target == CRASH_TO_PROTOBUF ? "http/protobuf" : "http/json";
}

void crash_receiver_stop(crash_receiver *receiver, crash_spans *received)
{
    if (receiver == NULL)
        return;
    if (receiver->server != NULL)
        http_server_stop(receiver->server);
    else
        stop_pipe(receiver);
    *received = receiver->received;
    free(receiver);
}
