// SPDX-License-Identifier: Apache-2.0
//
// The figures over HTTP, for Prometheus to scrape: each request is a new look. One thread answers all of them, one
// after the other, so many at once cost no more than one.
#include "metrics.h"

#include "command.h"
#include "support/complain.h"
#include "support/listen.h"
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

// Connections on which nothing happens end well before Prometheus' usual patience of 10 s is over, and it takes many of
// them to keep it waiting that long.
enum { CONNECTIONS = 512, IDLE_SECONDS = 3, CONNECTION_BYTES = 8192 };

// Takes what is in the text.
static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *type, text *body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->length, body->data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        text_free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
    text body = {0};
    text_format(&body, "%s\n", why);
    return reply(connection, status, "text/plain; charset=utf-8", &body);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *bytes, size_t *length,
                              void **state)
{
    const metrics_options *o = context;
    (void)version;
    (void)bytes;
    (void)state;
    *length = 0;
    if (strcmp(path, "/metrics") != 0)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "not found; the metrics are at /metrics");
    // The body of an answer to HEAD is left out by libmicrohttpd.
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are allowed");
    figures all = {0};
    if (figures_look(&all, o->shm_dir) != NSP_OK) {
        complain("the sessions cannot be read: %s", nsp_error_detail());
        return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, nsp_error_detail());
    }
    text body = {0};
    metrics_write(&body, &all, o->with_threads);
    figures_free(&all);
    return reply(connection, MHD_HTTP_OK, METRICS_TYPE, &body);
}

// libmicrohttpd reports broken connections, which are of no interest here.
static void say_nothing(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static int serve_until_told(const metrics_options *o, int listener, unsigned port, int signals)
{
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        handle, (void *)(uintptr_t)o, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_LISTEN_SOCKET,
        listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    if (daemon == NULL) {
        complain("cannot start the HTTP server: %s", strerror(errno));
        close(listener);
        return EXIT_PROBLEM;
    }
    const bool sound = o->port_file == NULL || listen_write_port(o->port_file, port);
    char place[300];
    listen_place(place, sizeof place, o->listen, port);
    if (!o->quiet)
        fprintf(stderr, "nanospan metrics: listening on %s, path /metrics; press Ctrl-C to end\n", place);
    struct pollfd watched = {.fd = signals, .events = POLLIN};
    while (sound && poll(&watched, 1, -1) <= 0)
        ;
    MHD_stop_daemon(daemon); // closes the socket
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}

int metrics_serve(const metrics_options *options)
{
    // Blocked before any thread starts, so that signals reach only the descriptor.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
    const int signals = signalfd(-1, &ending, SFD_CLOEXEC);
    if (signals < 0) {
        complain("cannot create a signal descriptor: %s", strerror(errno));
        return EXIT_PROBLEM;
    }
    unsigned port = 0;
    int usage = 0;
    const int listener = listen_on("listen", options->listen, &port, &usage);
    const int result = listener >= 0 ? serve_until_told(options, listener, port, signals)
                       : usage       ? EXIT_USAGE
                                     : EXIT_PROBLEM;
    close(signals);
    return result;
}
