// SPDX-License-Identifier: Apache-2.0
//
// A traced libmicrohttpd server: real daemons on loopback, and clients that write raw bytes, so that the test
// controls what arrives and when.
//
// ctest: TIMEOUT 240
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <nanospan/microhttpd.h>
#include <nanospan/nanospan.h>

#include "http/url.h"
#include "microhttpd/forwarded.h"
#include "microhttpd/routes.h"
#include "support/capture.h"

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define PARENT_ID "b7ad6b7169203331"
#define TRACEPARENT "traceparent: 00-" TRACE_ID "-" PARENT_ID "-03\r\n"

enum { PATIENCE_MS = 60000 };

static const nsp_mhd_route routes[] = {
    {"GET", "/api/signals", "HTTP GET /api/signals"},
    {"GET", "/orders/{id}", NULL},
    {"POST", "/upload", NULL},
    {NULL, "/static/*", NULL},
    {"BREW", "/coffee", NULL},
};

// ---- the server ----

// What the handler does, as the path says.
typedef struct application {
    pthread_mutex_t lock;
    struct MHD_Connection *suspended;
    pthread_t worker;
    bool worker_started;
    unsigned calls, completed, logged;
    size_t uploaded;
    bool wrong;           // a callback found something wrong
    char baggage[64];     // of the last request
    nsp_context incoming; // of the last request
    bool span_current, recording;
    enum MHD_RequestTerminationCode last_end;
} application;

static application app;

static unsigned count_of(const unsigned *counter)
{
    pthread_mutex_lock(&app.lock);
    unsigned count = *counter;
    pthread_mutex_unlock(&app.lock);
    return count;
}

typedef struct upload {
    const nsp_span *span;
    size_t bytes;
} upload;

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status)
{
    static char text[] = "answer\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

typedef struct job {
    struct MHD_Connection *connection;
    nsp_span *span;
    const nsp_incoming *incoming;
} job;

// Works on a suspended request.
static void *work(void *argument)
{
    job it = *(job *)argument;
    free(argument);
    const nsp_incoming *before = nsp_incoming_enter(it.incoming);
    nsp_span_enter(it.span);
    nsp_span *span = nsp_span_begin(NSP_NAME("work elsewhere"));
    nsp_span_end(span);
    nsp_span_leave(it.span);
    nsp_incoming_enter(before);
    usleep(20000);
    MHD_resume_connection(it.connection);
    return NULL;
}

static void note_request(void)
{
    const nsp_incoming *incoming = nsp_incoming_current();
    nsp_span *span = nsp_span_current();
    pthread_mutex_lock(&app.lock);
    app.calls++;
    app.span_current = span != NULL;
    app.recording = nsp_span_recording(span);
    app.baggage[0] = '\0';
    if (incoming != NULL) {
        app.incoming = incoming->context;
        nsp_baggage_get(&incoming->baggage, "tenant", app.baggage, sizeof app.baggage, NULL);
    }
    pthread_mutex_unlock(&app.lock);
}

static enum MHD_Result receive(struct MHD_Connection *connection, size_t *size, void **state)
{
    upload *it = *state;
    if (it == NULL) {
        it = calloc(1, sizeof *it);
        it->span = nsp_span_current();
        *state = it;
        return MHD_YES;
    }
    if (it->span != nsp_span_current())
        app.wrong = true;
    NSP_SPAN(span, "receive part");
    it->bytes += *size;
    if (*size != 0) {
        *size = 0;
        return MHD_YES;
    }
    app.uploaded = it->bytes;
    return answer(connection, 201);
}

static enum MHD_Result handler(void *context, struct MHD_Connection *connection, const char *path,
                               const char *method, const char *version, const char *data, size_t *size,
                               void **state)
{
    (void)method;
    (void)version;
    (void)data;
    if (context != &app)
        app.wrong = true;
    note_request();
    if (strcmp(path, "/upload") == 0)
        return receive(connection, size, state);
    if (strcmp(path, "/hang") == 0) {
        *size = 0;
        return MHD_YES;
    }
    if (strcmp(path, "/refuse") == 0)
        return MHD_NO;
    if (strcmp(path, "/suspend") == 0 && *state == NULL) {
        *state = calloc(1, 1);
        job *it = malloc(sizeof *it);
        *it = (job){connection, nsp_span_current(), nsp_incoming_current()};
        MHD_suspend_connection(connection);
        app.worker_started = pthread_create(&app.worker, NULL, work, it) == 0;
        return MHD_YES;
    }
    if (*state == NULL) { // an answer before the end of the request would close the connection
        *state = calloc(1, 1);
        return MHD_YES;
    }
    NSP_SPAN(span, "work");
    if (strncmp(path, "/status/", 8) == 0)
        return answer(connection, (unsigned)atoi(path + 8));
    return answer(connection, strcmp(path, "/orders/17") == 0 || strncmp(path, "/n/", 3) == 0 ? 200 : 404);
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode why)
{
    (void)connection;
    if (context != &app)
        app.wrong = true;
    nsp_span_set_str(nsp_span_current(), NSP_KEY("test.end"), "seen");
    free(*state);
    *state = NULL;
    pthread_mutex_lock(&app.lock);
    app.completed++;
    app.last_end = why;
    pthread_mutex_unlock(&app.lock);
}

#define MODE_INTERNAL MHD_USE_INTERNAL_POLLING_THREAD

static uint16_t port;
static struct MHD_Daemon *server;

static void forget_application(void)
{
    memset(&app, 0, sizeof app);
    pthread_mutex_init(&app.lock, NULL);
}

static void serve(unsigned flags, unsigned threads, unsigned timeout_s)
{
    nsp_mhd_server about = NSP_MHD_SERVER_INIT;
    about.routes = routes;
    about.route_count = sizeof routes / sizeof routes[0];
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct MHD_OptionItem more[] = {
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)completed, &app},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)timeout_s, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    forget_application();
    server = threads > 1 ? nsp_mhd_start_daemon(&about, flags, 0, NULL, NULL, handler, &app,
                                                MHD_OPTION_SOCK_ADDR, &loopback, MHD_OPTION_THREAD_POOL_SIZE,
                                                threads, MHD_OPTION_ARRAY, more, MHD_OPTION_END)
                         : nsp_mhd_start_daemon(&about, flags, 0, NULL, NULL, handler, &app, MHD_OPTION_ARRAY,
                                                more, MHD_OPTION_SOCK_ADDR, &loopback, MHD_OPTION_END);
    assert_non_null(server);
    port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
    assert_int_not_equal(port, 0);
}

// After this, every request has ended.
static void stop(void)
{
    if (app.worker_started)
        pthread_join(app.worker, NULL);
    nsp_mhd_stop_daemon(server);
    server = NULL;
    assert_false(app.wrong);
}

// ---- the client ----

static int dial(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text, size_t length)
{
    while (length != 0) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
        assert_true(n > 0);
        text += n;
        length -= (size_t)n;
    }
}

// Reads until the text has occurred this often, or until the end; returns how often it has.
static unsigned hear(int fd, const char *text, unsigned times, char *heard, size_t size)
{
    size_t length = 0;
    unsigned seen = 0;
    while (seen < times) {
        struct pollfd one = {fd, POLLIN, 0};
        if (poll(&one, 1, PATIENCE_MS) != 1)
            break;
        ssize_t n = recv(fd, heard + length, size - 1 - length, 0);
        if (n <= 0)
            break;
        length += (size_t)n;
        heard[length] = '\0';
        seen = 0;
        for (const char *at = heard; (at = strstr(at, text)) != NULL; at++)
            seen++;
    }
    heard[length] = '\0';
    return seen;
}

// Sends one request on a connection of its own. Returns the status of the answer, 0 if there is none.
static unsigned ask(const char *request)
{
    char heard[4096];
    int fd = dial();
    say(fd, request, strlen(request));
    hear(fd, "answer\n", 1, heard, sizeof heard);
    close(fd);
    return strncmp(heard, "HTTP/1.", 7) == 0 ? (unsigned)atoi(heard + 9) : 0;
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: exchange.test:8443\r\nConnection: close\r\n"

static const captured_span *server_span(size_t index)
{
    for (size_t i = 0; i < capture_count(); i++)
        if (capture_at(i)->kind == NSP_KIND_SERVER && index-- == 0)
            return capture_at(i);
    fail_msg("there are fewer server spans");
    return NULL;
}

static size_t server_spans(void)
{
    size_t count = 0;
    for (size_t i = 0; i < capture_count(); i++)
        count += capture_at(i)->kind == NSP_KIND_SERVER;
    return count;
}

#define assert_text(span, key, value) assert_string_equal(captured_text(span, key), value)
#define assert_no_text(span, key) assert_null(captured_text(span, key))

static void assert_id(const uint8_t *id, size_t size, const char *hex)
{
    char text[2 * NSP_TRACE_ID_SIZE + 1];
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    assert_string_equal(text, hex);
}

// Sends one request. Returns its span, which is settled and the only one.
static const captured_span *span_of(const char *request, unsigned status)
{
    serve(MODE_INTERNAL, 1, 0);
    assert_int_equal(ask(request), status);
    stop();
    capture_settle();
    assert_int_equal(server_spans(), 1);
    return server_span(0);
}

static int end(void **state)
{
    if (server != NULL)
        nsp_mhd_stop_daemon(server);
    server = NULL;
    (void)state;
    capture_end();
    return 0;
}

// ---- attributes ----

static void a_request_is_described(void **state)
{
    (void)state;
    const captured_span *span = span_of(REQUEST("GET", "/orders/17?side=buy&token=s3cret&sig=a%20b&n=1")
                                            TRACEPARENT "User-Agent: tester/1.0\r\n"
                                                        "baggage: tenant=blue%20sky\r\n\r\n",
                                        200);
    assert_string_equal(span->name, "GET /orders/{id}");
    assert_int_equal(span->status, NSP_SPAN_STATUS_UNSET);
    assert_text(span, "http.request.method", "GET");
    assert_no_text(span, "http.request.method_original");
    assert_text(span, "http.route", "/orders/{id}");
    assert_text(span, "http.response.status_code", "200");
    assert_int_equal(captured_attribute_of(span, "http.response.status_code")->type, NSP_TYPE_I64);
    assert_text(span, "url.path", "/orders/17");
    assert_text(span, "url.query", "side=buy&token=REDACTED&sig=REDACTED&n=1");
    assert_text(span, "url.scheme", "http");
    assert_text(span, "server.address", "exchange.test");
    assert_text(span, "server.port", "8443");
    assert_text(span, "client.address", "127.0.0.1");
    assert_text(span, "network.peer.address", "127.0.0.1");
    assert_in_range(atoi(captured_text(span, "network.peer.port")), 1, 65535);
    assert_text(span, "network.protocol.version", "1.1");
    assert_text(span, "user_agent.original", "tester/1.0");
    assert_no_text(span, "error.type");
    assert_text(span, "test.end", "seen"); // set in the application's completion callback
    assert_int_equal(span->attribute_count, 14);

    assert_id(span->trace_id, sizeof span->trace_id, TRACE_ID);
    assert_id(span->parent_id, sizeof span->parent_id, PARENT_ID);
    assert_true(span->parent_remote);
    assert_true(captured_child_of(capture_named("work"), span));
    assert_int_equal(capture_count(), 2);
    assert_string_equal(app.baggage, "blue sky");
    assert_true(app.incoming.remote);
    assert_true(span->end_ns >= capture_named("work")->end_ns &&
                span->start_ns <= capture_named("work")->start_ns);
}

static void without_a_parent_it_is_a_root(void **state)
{
    (void)state;
    static const uint8_t none[NSP_SPAN_ID_SIZE];
    const captured_span *span = span_of("GET /n/1 HTTP/1.0\r\ntraceparent: nonsense\r\n\r\n", 200);
    assert_memory_equal(span->parent_id, none, sizeof none);
    assert_false(span->parent_remote);
    assert_string_equal(app.baggage, "");
    assert_false(nsp_context_valid(&app.incoming));
    assert_text(span, "network.protocol.version", "1.0");
    assert_text(span, "server.address", "127.0.0.1"); // from the socket
    assert_int_equal(atoi(captured_text(span, "server.port")), port);
    assert_no_text(span, "user_agent.original");
    assert_no_text(span, "url.query");
}

static void *count_line(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)context;
    (void)uri;
    (void)connection;
    pthread_mutex_lock(&app.lock);
    app.logged++;
    pthread_mutex_unlock(&app.lock);
    return NULL;
}

static void a_span_begins_with_the_request_line(void **state)
{
    (void)state;
    char heard[1024];
    forget_application();
    server =
        nsp_mhd_start_daemon(NULL, MODE_INTERNAL, 0, NULL, NULL, handler, &app, MHD_OPTION_URI_LOG_CALLBACK,
                             count_line, &app, MHD_OPTION_NOTIFY_COMPLETED, completed, &app, MHD_OPTION_END);
    assert_non_null(server);
    port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
    int fd = dial();
    say(fd, "GET /n/1 HTTP/1.1\r\n", 19);
    while (count_of(&app.logged) == 0) // otherwise a busy server reads both parts at once
        usleep(1000);
    usleep(50000);
    say(fd, "Host: a\r\nConnection: close\r\n\r\n", 30);
    assert_int_equal(hear(fd, "answer\n", 1, heard, sizeof heard), 1);
    close(fd);
    stop();
    capture_settle();
    assert_true(capture_named("work")->start_ns - capture_named("GET")->start_ns >= 40000000);
}

static void proxies_are_believed(void **state)
{
    (void)state;
    const captured_span *span = span_of("GET /n/1 HTTP/1.1\r\nHost: inner:80\r\nConnection: "
                                        "close\r\nX-Forwarded-For: 203.0.113.9, 10.0.0.1\r\n"
                                        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: outer.test\r\n\r\n",
                                        200);
    assert_text(span, "client.address", "203.0.113.9");
    assert_text(span, "url.scheme", "https");
    assert_text(span, "server.address", "outer.test");
    assert_text(span, "server.port", "443");
    assert_text(span, "network.peer.address", "127.0.0.1");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char request[4096], many[1200];
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    snprintf(request, sizeof request, REQUEST("GET", "/n/%s?a=%s") "User-Agent: %s\r\n\r\n", many, many,
             many);
    const captured_span *span = span_of(request, 200);
    assert_int_equal(strlen(captured_text(span, "url.path")), 256);
    assert_int_equal(strlen(captured_text(span, "url.query")), 255);
    assert_int_equal(strlen(captured_text(span, "user_agent.original")), 128);
    assert_int_equal(span->dropped_attributes, 0);
}

// ---- names ----

static void spans_are_named_after_routes(void **state)
{
    (void)state;
    static const struct {
        const char *request, *name, *route;
    } cases[] = {
        {"GET /api/signals?symbol=BTCUSDT", "HTTP GET /api/signals", "/api/signals"},
        {"HEAD /api/signals", "HTTP GET /api/signals", "/api/signals"},
        {"HEAD /orders/5", "HEAD /orders/{id}", "/orders/{id}"},
        {"POST /api/signals", "POST", NULL},
        {"GET /orders", "GET", NULL},
        {"GET /orders/", "GET", NULL},
        {"GET /orders/5/fills", "GET", NULL},
        {"GET /orders/a%2Eb", "GET /orders/{id}", "/orders/{id}"},
        {"PUT /static/a/b.css", "PUT /static/*", "/static/*"},
        {"GET /static", "GET /static/*", "/static/*"},
        {"GET /staticky", "GET", NULL},
        {"PURGE /static/a", "HTTP /static/*", "/static/*"},
        {"BREW /coffee", "HTTP /coffee", "/coffee"},
        {"STIR /coffee", "HTTP", NULL},
        {"get /api/signals", "HTTP", NULL},
        {"DELETE /wp-admin.php", "DELETE", NULL},
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    serve(MODE_INTERNAL, 1, 0);
    for (size_t i = 0; i < CASES; i++) {
        char request[256];
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                 cases[i].request);
        ask(request);
    }
    stop();
    capture_settle();
    assert_int_equal(server_spans(), CASES);
    for (size_t i = 0; i < CASES; i++) {
        const captured_span *span = server_span(i);
        char method[16];
        snprintf(method, sizeof method, "%.*s", (int)strcspn(cases[i].request, " "), cases[i].request);
        assert_string_equal(span->name, cases[i].name);
        if (cases[i].route != NULL)
            assert_text(span, "http.route", cases[i].route);
        else
            assert_no_text(span, "http.route");
        if (captured_text(span, "http.request.method_original") != NULL) {
            assert_text(span, "http.request.method", "_OTHER");
            assert_text(span, "http.request.method_original", method);
        } else {
            assert_text(span, "http.request.method", method);
        }
    }
    assert_text(server_span(13), "http.request.method_original", "STIR");
    assert_text(server_span(14), "http.request.method_original", "get");
}

static void routes_need_not_outlive_the_start(void **state)
{
    (void)state;
    char method[] = "GET", pattern[] = "/n/{n}", name[] = "numbers";
    nsp_mhd_route route = {method, pattern, name};
    nsp_mhd_server about = NSP_MHD_SERVER_INIT;
    about.routes = &route;
    about.route_count = 1;
    forget_application();
    server = nsp_mhd_start_daemon(&about, MODE_INTERNAL, 0, NULL, NULL, handler, &app,
                                  MHD_OPTION_NOTIFY_COMPLETED, completed, &app, MHD_OPTION_END);
    assert_non_null(server);
    port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
    memset(method, 'x', 3);
    memset(pattern, 'x', 5);
    memset(name, 'x', 5);
    route = (nsp_mhd_route){NULL, NULL, NULL};
    assert_int_equal(ask(REQUEST("GET", "/n/1") "\r\n"), 200);
    stop();
    capture_settle();
    assert_text(capture_named("numbers"), "http.route", "/n/{n}");
}

// ---- outcomes ----

static void only_answers_from_500_on_are_errors(void **state)
{
    (void)state;
    static const unsigned statuses[] = {204, 302, 400, 404, 499, 500, 503, 599};
    enum { CASES = sizeof statuses / sizeof statuses[0] };
    serve(MODE_INTERNAL, 1, 0);
    for (size_t i = 0; i < CASES; i++) {
        char request[128];
        snprintf(request, sizeof request, REQUEST("GET", "/status/%u") "\r\n", statuses[i]);
        assert_int_equal(ask(request), statuses[i]);
    }
    stop();
    capture_settle();
    for (size_t i = 0; i < CASES; i++) {
        const captured_span *span = server_span(i);
        char status[8];
        snprintf(status, sizeof status, "%u", statuses[i]);
        assert_text(span, "http.response.status_code", status);
        assert_int_equal(span->status, statuses[i] >= 500 ? NSP_SPAN_STATUS_ERROR : NSP_SPAN_STATUS_UNSET);
        assert_string_equal(span->status_message, "");
        if (statuses[i] >= 500)
            assert_text(span, "error.type", status);
        else
            assert_no_text(span, "error.type");
    }
}

static void assert_failed(const captured_span *span, const char *type)
{
    assert_int_equal(span->status, NSP_SPAN_STATUS_ERROR);
    assert_text(span, "error.type", type);
    assert_no_text(span, "http.response.status_code");
    assert_text(span, "test.end", "seen");
}

static void a_handler_that_refuses_is_an_error(void **state)
{
    (void)state;
    assert_failed(span_of(REQUEST("GET", "/refuse") "\r\n", 0), "handler_error");
    assert_int_equal(app.last_end, MHD_REQUEST_TERMINATED_WITH_ERROR);
}

static void a_client_that_goes_away_is_an_error(void **state)
{
    (void)state;
    static const char part[] = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nonly this";
    serve(MODE_INTERNAL, 1, 0);
    for (int i = 0; i < 2; i++) {
        int fd = dial();
        say(fd, part, sizeof part - 1);
        while (count_of(&app.calls) < 2u * (unsigned)(i + 1))
            usleep(1000);
        if (i == 0) {
            shutdown(fd, SHUT_WR);
        } else { // a reset
            struct linger now = {1, 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close(fd);
        }
        for (int waited = 0; count_of(&app.completed) != (unsigned)i + 1; waited++) {
            assert_true(waited < PATIENCE_MS);
            usleep(1000);
        }
        if (i == 0)
            close(fd);
    }
    stop();
    capture_settle();
    assert_int_equal(server_spans(), 2);
    assert_failed(server_span(0), "client_abort");
    assert_failed(server_span(1), "read_error");
    assert_string_equal(server_span(0)->name, "POST /upload");
}

static void a_handler_that_never_answers_times_out(void **state)
{
    (void)state;
    char heard[64];
    serve(MODE_INTERNAL | MHD_USE_EPOLL, 1, 1);
    int fd = dial();
    static const char request[] = "POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    say(fd, request, sizeof request - 1);
    assert_int_equal(hear(fd, "answer", 1, heard, sizeof heard), 0);
    close(fd);
    stop();
    capture_settle();
    assert_int_equal(server_spans(), 1);
    assert_failed(server_span(0), "timeout");
}

static void shutdown_ends_what_is_open(void **state)
{
    (void)state;
    serve(MODE_INTERNAL, 4, 0);
    int fds[6];
    static const char request[] = "POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    for (size_t i = 0; i < 6; i++) {
        fds[i] = dial();
        say(fds[i], request, sizeof request - 1);
    }
    for (;;) {
        if (count_of(&app.calls) >= 12) // each request called twice: for its head and for half of its body
            break;
        usleep(1000);
    }
    stop();
    for (size_t i = 0; i < 6; i++)
        close(fds[i]);
    capture_settle();
    assert_int_equal(server_spans(), 6);
    for (size_t i = 0; i < 6; i++)
        assert_failed(server_span(i), "shutdown");
}

// ---- connections ----

static void an_upload_is_one_span_over_all_its_calls(void **state)
{
    (void)state;
    enum { SIZE = 4 << 20 };
    char heard[1024], *body = malloc(SIZE);
    memset(body, 'b', SIZE);
    serve(MODE_INTERNAL, 1, 0);
    int fd = dial();
    int length = snprintf(heard, sizeof heard, REQUEST("POST", "/upload") "Content-Length: %d\r\n\r\n", SIZE);
    say(fd, heard, (size_t)length);
    say(fd, body, SIZE);
    free(body);
    assert_int_equal(hear(fd, "answer\n", 1, heard, sizeof heard), 1);
    close(fd);
    stop();
    assert_int_equal(app.uploaded, SIZE);
    capture_settle();
    assert_int_equal(server_spans(), 1);
    const captured_span *span = capture_named("POST /upload");
    assert_text(span, "http.response.status_code", "201");
    assert_true(app.calls > 3);
    assert_int_equal(capture_count_named("receive part"), app.calls - 1);
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, "receive part") == 0)
            assert_true(captured_child_of(capture_at(i), span));
}

static void a_suspended_request_goes_on_in_another_thread(void **state)
{
    (void)state;
    serve(MODE_INTERNAL | MHD_ALLOW_SUSPEND_RESUME, 2, 0);
    assert_int_equal(ask(REQUEST("GET", "/suspend") TRACEPARENT "\r\n"), 404);
    stop();
    capture_settle();
    const captured_span *span = capture_named("GET");
    assert_int_equal(server_spans(), 1);
    assert_true(captured_child_of(capture_named("work elsewhere"), span));
    assert_true(captured_child_of(capture_named("work"), span));
    assert_true(span->end_ns - span->start_ns >= 20000000);
    assert_id(span->parent_id, sizeof span->parent_id, PARENT_ID);
}

static void pipelined_requests_have_a_span_each(void **state)
{
    (void)state;
    enum { REQUESTS = 20 };
    static char requests[REQUESTS * 64], heard[REQUESTS * 256];
    serve(MODE_INTERNAL, 1, 0);
    int fd = dial();
    for (int round = 0; round < 2; round++) { // all at once, twice on one connection
        size_t length = 0;
        for (int i = 0; i < REQUESTS; i++)
            length += (size_t)snprintf(requests + length, sizeof requests - length,
                                       "GET /n/%d?i=%d HTTP/1.1\r\nHost: a\r\n\r\n", i, i);
        say(fd, requests, length);
        assert_int_equal(hear(fd, "answer\n", REQUESTS, heard, sizeof heard), REQUESTS);
    }
    close(fd);
    stop();
    capture_settle();
    assert_int_equal(server_spans(), 2 * REQUESTS);
    for (size_t i = 0; i < 2 * REQUESTS; i++) {
        char path[16], query[16];
        snprintf(path, sizeof path, "/n/%zu", i % REQUESTS);
        snprintf(query, sizeof query, "i=%zu", i % REQUESTS);
        assert_text(server_span(i), "url.path", path);
        assert_text(server_span(i), "url.query", query);
        if (i != 0)
            assert_true(server_span(i)->start_ns >= server_span(i - 1)->start_ns);
    }
}

enum { CLIENTS = 8, EACH = 25 };

static void *client(void *argument)
{
    uintptr_t number = (uintptr_t)argument;
    char heard[1024], request[256];
    int fd = dial();
    for (unsigned i = 0; i < EACH; i++) {
        int length = snprintf(
            request, sizeof request,
            "GET /n/%u-%u HTTP/1.1\r\nHost: a\r\ntraceparent: 00-%016x%016x-%016x-03\r\n\r\n",
            (unsigned)number, i, 7u, (unsigned)number * 1000 + i + 1, (unsigned)number * 1000 + i + 1);
        say(fd, request, (size_t)length);
        if (hear(fd, "answer\n", 1, heard, sizeof heard) != 1)
            return argument;
    }
    close(fd);
    return NULL;
}

static void many_at_once(unsigned flags, unsigned threads)
{
    pthread_t clients[CLIENTS];
    serve(flags, threads, 0);
    for (uintptr_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, client, (void *)i), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        void *failed;
        pthread_join(clients[i], &failed);
        assert_null(failed);
    }
    stop();
    capture_settle();
    assert_int_equal(server_spans(), CLIENTS * EACH);
    assert_int_equal(capture_count(), 2 * CLIENTS * EACH);
    assert_int_equal(capture_distinct(), 2 * CLIENTS * EACH);
    static bool seen[CLIENTS][EACH];
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < CLIENTS * EACH; i++) {
        const captured_span *span = server_span(i);
        unsigned number, round;
        char id[2 * NSP_SPAN_ID_SIZE + 1];
        assert_int_equal(sscanf(captured_text(span, "url.path"), "/n/%u-%u", &number, &round), 2);
        assert_false(seen[number][round]);
        seen[number][round] = true;
        snprintf(id, sizeof id, "%016x", number * 1000 + round + 1);
        assert_id(span->parent_id, sizeof span->parent_id, id);
        assert_id(span->trace_id + 8, 8, id);
        assert_true(span->parent_remote);
        assert_text(span, "http.response.status_code", "200");
        size_t children = 0;
        for (size_t k = 0; k < capture_count(); k++)
            children += captured_child_of(capture_at(k), span);
        assert_int_equal(children, 1);
    }
    capture_forget();
}

static void every_thread_mode_traces_every_request(void **state)
{
    (void)state;
    many_at_once(MODE_INTERNAL, 4);
    many_at_once(MODE_INTERNAL | MHD_USE_EPOLL, 4);
    many_at_once(MODE_INTERNAL | MHD_USE_POLL, 1);
    many_at_once(MHD_USE_THREAD_PER_CONNECTION | MODE_INTERNAL, 1);
    many_at_once(MHD_USE_AUTO_INTERNAL_THREAD, 2);
}

static bool over;

static void *ask_once(void *argument)
{
    (void)argument;
    uintptr_t status = ask(REQUEST("GET", "/n/1") "\r\n");
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    return (void *)status;
}

// The application runs its own loop inside a span, which must not affect the requests.
static void an_event_loop_of_the_application_keeps_its_own_span(void **state)
{
    (void)state;
    pthread_t asking;
    void *status;
    serve(MHD_NO_FLAG, 1, 0);
    nsp_span *loop = nsp_span_begin(NSP_NAME("loop"));
    over = false;
    assert_int_equal(pthread_create(&asking, NULL, ask_once, NULL), 0);
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        fd_set readable, writable, broken;
        MHD_socket highest = 0;
        FD_ZERO(&readable);
        FD_ZERO(&writable);
        FD_ZERO(&broken);
        assert_int_equal(MHD_get_fdset(server, &readable, &writable, &broken, &highest), MHD_YES);
        struct timeval soon = {0, 5000};
        select(highest + 1, &readable, &writable, &broken, &soon);
        assert_int_equal(MHD_run(server), MHD_YES);
        assert_ptr_equal(nsp_span_current(), loop);
        assert_null(nsp_incoming_current());
    }
    pthread_join(asking, &status);
    assert_int_equal((uintptr_t)status, 200);
    stop();
    nsp_span_end(loop);
    capture_settle();
    assert_int_equal(capture_count(), 3);
    assert_memory_not_equal(server_span(0)->trace_id, capture_named("loop")->trace_id, NSP_TRACE_ID_SIZE);
    assert_true(captured_child_of(capture_named("work"), server_span(0)));
}

// ---- the application's own callbacks ----

static int marker;

static void *log_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)connection;
    if (context != &app || strcmp(uri, "/n/1?a=b%20c") != 0)
        app.wrong = true;
    app.logged++;
    return &marker;
}

static enum MHD_Result expect_marker(void *context, struct MHD_Connection *connection, const char *path,
                                     const char *method, const char *version, const char *data, size_t *size,
                                     void **state)
{
    (void)context;
    (void)path;
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    if (*state != &marker)
        app.wrong = true;
    *state = &app;
    return answer(connection, 200);
}

static void expect_state(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    pthread_mutex_lock(&app.lock);
    app.wrong |= *state != (app.calls == 0 ? (void *)&app : (void *)&marker);
    app.last_end = why;
    app.completed++;
    pthread_mutex_unlock(&app.lock);
}

static void keep_still(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static void callbacks_of_the_application_work_as_ever(void **state)
{
    (void)state;
    forget_application();
    server = nsp_mhd_start_daemon(NULL, MODE_INTERNAL | MHD_USE_ERROR_LOG, 0, NULL, NULL, expect_marker, NULL,
                                  MHD_OPTION_EXTERNAL_LOGGER, keep_still, NULL,
                                  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)4096,
                                  MHD_OPTION_URI_LOG_CALLBACK, log_uri, &app, MHD_OPTION_NOTIFY_COMPLETED,
                                  expect_state, NULL, MHD_OPTION_CONNECTION_LIMIT, 10u, MHD_OPTION_END);
    assert_non_null(server);
    port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
    assert_int_equal(ask(REQUEST("GET", "/n/1?a=b%20c") "\r\n"), 200);
    for (int i = 0; count_of(&app.completed) != 1 && i < PATIENCE_MS; i++)
        usleep(1000);
    // Refused by libmicrohttpd itself: the callbacks that saw its first line see its end too, and it has no
    // span.
    pthread_mutex_lock(&app.lock);
    app.calls = 1;
    pthread_mutex_unlock(&app.lock);
    char request[8192], heard[1024];
    memset(request, 'x', sizeof request);
    int length = snprintf(request, sizeof request, "GET /n/1?a=b%%20c HTTP/1.1\r\nLong: ");
    request[length] = 'x';
    int fd = dial();
    send(fd, request, sizeof request, MSG_NOSIGNAL);
    hear(fd, "\r\n\r\n", 1, heard, sizeof heard);
    close(fd);
    stop();
    assert_int_equal(app.logged, 2);
    assert_int_equal(app.completed, 2);
    capture_settle();
    assert_int_equal(server_spans(), 1);
    assert_string_equal(server_span(0)->name, "GET");
}

static void a_request_that_is_refused_unseen_is_not_told_of(void **state)
{
    (void)state;
    char heard[1024];
    serve(MODE_INTERNAL, 1, 0);
    int fd = dial();
    static const char bad[] = "GET /n/1 HTTP/1.1\r\nContent-Length: minus one\r\n\r\n";
    say(fd, bad, sizeof bad - 1);
    hear(fd, "\r\n\r\n", 1, heard, sizeof heard);
    close(fd);
    stop();
    assert_int_equal(app.completed, app.calls == 0 ? 0 : 1);
    capture_settle();
    assert_int_equal(server_spans(), app.calls == 0 ? 0 : 1);
}

static void what_cannot_be_passed_on_fails_the_start(void **state)
{
    (void)state;
    nsp_mhd_route nameless = {"GET", NULL, NULL};
    nsp_mhd_server about = NSP_MHD_SERVER_INIT, raw;
    memset(&raw, 0, sizeof raw); // without NSP_MHD_SERVER_INIT, its routes would be ignored
    errno = 0;
    assert_null(nsp_mhd_start_daemon(&raw, MODE_INTERNAL, 0, NULL, NULL, handler, NULL, MHD_OPTION_END));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(
        nsp_mhd_start_daemon(NULL, MODE_INTERNAL, 0, NULL, NULL, handler, NULL, 4711, 1, MHD_OPTION_END));
    assert_int_equal(errno, EINVAL);
    about.routes = &nameless;
    about.route_count = 1;
    errno = 0;
    assert_null(nsp_mhd_start_daemon(&about, MODE_INTERNAL, 0, NULL, NULL, handler, NULL, MHD_OPTION_END));
    assert_int_equal(errno, EINVAL);
    assert_null(nsp_mhd_start_daemon(NULL, MODE_INTERNAL, 0, NULL, NULL, NULL, NULL, MHD_OPTION_END));
    nsp_mhd_stop_daemon(NULL);
    // A daemon that was not started by this library.
    struct MHD_Daemon *plain = MHD_start_daemon(MODE_INTERNAL, 0, NULL, NULL, handler, NULL, MHD_OPTION_END);
    assert_non_null(plain);
    nsp_mhd_stop_daemon(plain);
}

// ---- traces that are not recorded ----

static void an_unsampled_trace_stays_one(void **state)
{
    (void)state;
    assert_int_equal(nsp_sampler_set_rate(0.0), NSP_OK);
    serve(MODE_INTERNAL, 1, 0);
    assert_int_equal(ask(REQUEST("GET", "/n/1") "\r\n"), 200);
    assert_true(app.span_current);
    assert_false(app.recording);
    assert_int_equal(ask(REQUEST("GET", "/n/1") "traceparent: 00-" TRACE_ID "-" PARENT_ID
                                                "-02\r\nbaggage: tenant=a\r\n\r\n"),
                     200);
    assert_false(app.recording);
    assert_string_equal(app.baggage, "a");
    assert_int_equal(ask(REQUEST("GET", "/n/1") TRACEPARENT "\r\n"), 200); // the caller has decided
    stop();
    capture_settle();
    assert_int_equal(capture_count(), 2);
    assert_id(server_span(0)->parent_id, NSP_SPAN_ID_SIZE, PARENT_ID);
}

static void with_tracing_off_requests_are_served_and_passed_on(void **state)
{
    (void)state;
    serve(MODE_INTERNAL, 1, 0);
    assert_int_equal(ask(REQUEST("GET", "/n/1") TRACEPARENT "baggage: tenant=a\r\n\r\n"), 200);
    assert_int_equal(ask(REQUEST("GET", "/refuse") "\r\n"), 0);
    stop();
    assert_false(app.span_current);
    assert_int_equal(app.completed, 2);
    serve(MODE_INTERNAL, 1, 0);
    assert_int_equal(ask(REQUEST("GET", "/n/1") TRACEPARENT "baggage: tenant=a\r\n\r\n"), 200);
    stop();
    assert_string_equal(app.baggage, "a");
    assert_id(app.incoming.trace_id, sizeof app.incoming.trace_id, TRACE_ID);
}

// ---- the parts ----

static void assert_slice(nsp__slice slice, const char *text)
{
    if (text == NULL) {
        assert_null(slice.text);
        return;
    }
    assert_non_null(slice.text);
    assert_int_equal(slice.length, strlen(text));
    assert_memory_equal(slice.text, text, slice.length);
}

static void forwarded_fields_are_read(void **state)
{
    (void)state;
    const char *field = "for=\"[2001:db8::1]:4711\";Proto=https;host=a.test;by=b, for=10.0.0.1";
    assert_slice(nsp__forwarded(field, "for"), "[2001:db8::1]:4711");
    assert_slice(nsp__forwarded(field, "proto"), "https");
    assert_slice(nsp__forwarded(field, "host"), "a.test");
    assert_slice(nsp__forwarded("a, for=1", "for"), NULL);
    assert_slice(nsp__forwarded("for=, for=1", "for"), NULL);
    assert_slice(nsp__forwarded("for", "for"), NULL);
    assert_slice(nsp__forwarded("for=\"open", "for"), "open");
    assert_slice(nsp__forwarded(";;;=x;for=y", "for"), "y");
    assert_slice(nsp__forwarded("a b c;for=y", "for"), "y");
    assert_slice(nsp__forwarded(NULL, "for"), NULL);
    assert_slice(nsp__first_of(" a , b"), "a");
    assert_slice(nsp__first_of("a"), "a");
    assert_slice(nsp__first_of(" ,b"), NULL);
    assert_slice(nsp__first_of(NULL), NULL);
}

static void hosts_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint32_t port;
    } cases[] = {{"a.test:80", "a.test", 80},
                 {"a.test", "a.test", 0},
                 {"[::1]:9", "::1", 9},
                 {"[::1]", "::1", 0},
                 {"fe80::1", "fe80::1", 0},
                 {"a:port", "a", 0},
                 {"a:65536", "a", 0},
                 {"", "", 0},
                 {":80", "", 80},
                 {"[::1", "::1", 0},
                 {"a:99999999999", "a", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t number = 1;
        assert_slice(nsp__host_split((nsp__slice){cases[i].text, strlen(cases[i].text)}, &number),
                     cases[i].host);
        assert_int_equal(number, cases[i].port);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, capture_sampled, end)
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_described),
        TEST(without_a_parent_it_is_a_root),
        TEST(a_span_begins_with_the_request_line),
        TEST(proxies_are_believed),
        TEST(long_texts_are_cut),
        TEST(spans_are_named_after_routes),
        TEST(routes_need_not_outlive_the_start),
        TEST(only_answers_from_500_on_are_errors),
        TEST(a_handler_that_refuses_is_an_error),
        TEST(a_client_that_goes_away_is_an_error),
        TEST(a_handler_that_never_answers_times_out),
        TEST(shutdown_ends_what_is_open),
        TEST(an_upload_is_one_span_over_all_its_calls),
        TEST(a_suspended_request_goes_on_in_another_thread),
        TEST(pipelined_requests_have_a_span_each),
        TEST(every_thread_mode_traces_every_request),
        TEST(an_event_loop_of_the_application_keeps_its_own_span),
        TEST(callbacks_of_the_application_work_as_ever),
        TEST(a_request_that_is_refused_unseen_is_not_told_of),
        TEST(what_cannot_be_passed_on_fails_the_start),
        TEST(an_unsampled_trace_stays_one),
        cmocka_unit_test(with_tracing_off_requests_are_served_and_passed_on),
        cmocka_unit_test(forwarded_fields_are_read),
        cmocka_unit_test(hosts_are_split),
    };
    return cmocka_run_group_tests_name("microhttpd", tests, NULL, NULL);
}
