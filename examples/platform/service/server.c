// SPDX-License-Identifier: Apache-2.0
#include "platform/service/server.h"

#include <microhttpd.h>
#include <nanospan/microhttpd.h>
#include <nanospan/nanospan.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/address.h"
#include "platform/service/database.h"

enum { BODY_MAX = 64 * 1024, ROUTES_MAX = 16, CONNECTIONS_PER_THREAD = 256, IDLE_SECONDS = 60 };

struct server {
    struct server_options options;
    char address[128];
    struct MHD_Daemon *daemon;
    unsigned under_way;          // running requests; atomic
    unsigned long long answered; // atomic
    bool stopping;               // atomic
};

// A running request. Its body arrives in pieces.
struct exchange {
    struct server *server;
    char *body;
    size_t length;
    bool too_large;
};

static bool is_health_check(const char *path)
{
    return strcmp(path, "/health") == 0 || strcmp(path, "/ready") == 0;
}

void reply_json(struct reply *reply, unsigned status, const char *result, json_t *body)
{
    reply->status = status;
    snprintf(reply->result, sizeof reply->result, "%s", result);
    free(reply->text);
    reply->text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(body);
}

void reply_failure(struct reply *reply, unsigned status, const char *result, const char *message, ...)
{
    va_list arguments;
    va_start(arguments, message);
    vsnprintf(reply->message, sizeof reply->message, message, arguments);
    va_end(arguments);
    reply_json(reply, status, result, json_pack("{s:s, s:s}", "error", result, "message", reply->message));
}

const char *request_query(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

// True if the path matches the route; *argument is the text in place of {...}, or NULL.
static bool path_fits(const char *pattern, const char *path, const char **argument)
{
    const char *brace = strchr(pattern, '{');
    *argument = NULL;
    if (brace == NULL)
        return strcmp(pattern, path) == 0;
    size_t fixed = (size_t)(brace - pattern);
    if (strncmp(pattern, path, fixed) != 0 || !path[fixed] || strchr(path + fixed, '/') != NULL)
        return false;
    *argument = path + fixed;
    return true;
}

// Health checks. /health: the process answers. /ready: everything that requests need is available.
static void answer_health(struct server *server, const char *path, struct reply *reply)
{
    const struct server_options *options = &server->options;
    json_t *body = json_pack("{s:s}", "service", options->service);
    bool ready = true;
    if (strcmp(path, "/ready") == 0) {
        struct connection connection;
        long long tables;
        json_t *checks = json_object();
        bool database = database_take(options->database, &connection) == SQLITE_OK &&
                        database_integer(connection.handle, "SELECT count(*) FROM sqlite_master", &tables);
        database_give(options->database, &connection);
        json_object_set_new(checks, "database", json_boolean(database));
        ready = (options->ready == NULL || options->ready(options->context, checks)) && database;
        json_object_set_new(body, "checks", checks);
    }
    json_object_set_new(body, "status", json_string(ready ? "ok" : "unavailable"));
    reply_json(reply, ready ? 200 : 503, "health", body);
}

static const char *handle(struct exchange *exchange, struct MHD_Connection *connection, const char *path,
                          const char *method, struct reply *reply)
{
    struct server *server = exchange->server;
    struct request request = {
        .context = server->options.context,
        .database = server->options.database,
        .body = exchange->body != NULL ? exchange->body : "",
        .body_length = exchange->length,
        .connection = connection,
    };
    const char *allowed = NULL;
    bool head = strcmp(method, "HEAD") == 0;
    if (is_health_check(path) && (head || strcmp(method, "GET") == 0)) {
        answer_health(server, path, reply);
        return NULL;
    }
    for (size_t i = 0; i < server->options.route_count; i++) {
        const struct route *route = &server->options.routes[i];
        if (!path_fits(route->path, path, &request.argument))
            continue;
        allowed = route->method;
        if (strcmp(method, route->method) != 0)
            continue;
        if (exchange->too_large)
            reply_failure(reply, 413, "body_too_large", "a body may have at most %d bytes", BODY_MAX);
        else
            route->handle(&request, reply);
        return NULL;
    }
    if (allowed != NULL)
        reply_failure(reply, 405, "method_not_allowed", "%s only accepts %s", path, allowed);
    else
        reply_failure(reply, 404, "not_found", "%s does not exist", path);
    return allowed;
}

// Sets what every server span has besides its HTTP attributes and status: the result of the request, and
// whether this service failed and how. An error of the caller is not a failure of the service.
static void describe(const struct reply *reply)
{
    nsp_span *span = nsp_span_current();
    nsp_span_set_str(span, NSP_KEY("result"), reply->result);
    nsp_span_set_bool(span, NSP_KEY("error"), reply->status >= 500);
    if (reply->status >= 500) {
        nsp_attr message = nsp_attr_str(NSP_KEY("message"), reply->message);
        nsp_span_add_event_with(span, NSP_NAME("request_failed"), 0, &message, 1);
    }
}

// Adds the trace id to the response, so that the reader of a response can find its trace. Not for traces that
// are not recorded.
static void name_trace(struct MHD_Response *response)
{
    nsp_context context;
    char text[2 * NSP_TRACE_ID_SIZE + 1];
    if (!nsp_span_recording(nsp_span_current()))
        return;
    nsp_span_context(NULL, &context);
    for (int i = 0; i < NSP_TRACE_ID_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", context.trace_id[i]);
    MHD_add_response_header(response, "X-Trace-Id", text);
}

static enum MHD_Result send_reply(struct server *server, struct MHD_Connection *connection,
                                  const struct reply *reply, const char *allowed)
{
    static char lost[] = "{\"error\":\"out_of_memory\"}";
    bool whole = reply->text != NULL;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(whole ? reply->text : lost), whole ? reply->text : lost, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    name_trace(response);
    if (allowed != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allowed);
    if (reply->status == 503)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (__atomic_load_n(&server->stopping, __ATOMIC_RELAXED))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result result = MHD_queue_response(connection, whole ? reply->status : 500, response);
    MHD_destroy_response(response);
    return result;
}

static void take_body(struct exchange *exchange, const char *data, size_t size)
{
    char *longer = NULL;
    if (exchange->length + size <= BODY_MAX)
        longer = realloc(exchange->body, exchange->length + size + 1);
    if (longer == NULL) {
        exchange->too_large = true;
        return;
    }
    memcpy(longer + exchange->length, data, size);
    exchange->body = longer;
    exchange->length += size;
    longer[exchange->length] = 0;
}

// libmicrohttpd calls this once for the head of a request, then for each piece of its body, then for the
// response.
static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *path,
                             const char *method, const char *version, const char *data, size_t *size,
                             void **state)
{
    struct server *server = context;
    struct exchange *exchange = *state;
    (void)version;
    if (exchange == NULL) {
        exchange = *state = calloc(1, sizeof *exchange);
        if (exchange == NULL)
            return MHD_NO;
        exchange->server = server;
        __atomic_fetch_add(&server->under_way, 1, __ATOMIC_RELAXED);
        return MHD_YES;
    }
    if (*size) {
        take_body(exchange, data, *size);
        *size = 0;
        return MHD_YES;
    }
    struct reply reply = {.result = "none"};
    const char *allowed = handle(exchange, connection, path, method, &reply);
    if (!is_health_check(path)) {
        describe(&reply);
        __atomic_fetch_add(&server->answered, 1, __ATOMIC_RELAXED);
    }
    enum MHD_Result result = send_reply(server, connection, &reply, allowed);
    free(reply.text);
    return result;
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode how)
{
    struct server *server = context;
    struct exchange *exchange = *state;
    (void)connection;
    (void)how;
    if (exchange == NULL)
        return;
    free(exchange->body);
    free(exchange);
    *state = NULL;
    __atomic_fetch_sub(&server->under_way, 1, __ATOMIC_RELAXED);
}

static bool start_daemon(struct server *server, int listener)
{
    const struct server_options *options = &server->options;
    nsp_mhd_route traced[ROUTES_MAX] = {{"GET", "/health", NULL}, {"GET", "/ready", NULL}};
    nsp_mhd_server instrumented = NSP_MHD_SERVER_INIT;
    size_t count = 2;
    for (size_t i = 0; i < options->route_count && count < ROUTES_MAX; i++)
        traced[count++] =
            (nsp_mhd_route){options->routes[i].method, options->routes[i].path, options->routes[i].span_name};
    instrumented.routes = traced;
    instrumented.route_count = count;
    // Health checks begin no traces. A health check that carries a sampled context is still recorded in that
    // trace.
    nsp_sampler_set_rule("* /health", 0);
    nsp_sampler_set_rule("* /ready", 0);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    unsigned pool = options->threads > 1 ? options->threads : 0; // one thread needs no pool
    server->daemon = nsp_mhd_start_daemon(
        &instrumented, flags, 0, NULL, NULL, serve, server, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_THREAD_POOL_SIZE, pool, MHD_OPTION_CONNECTION_LIMIT,
        options->threads * CONNECTIONS_PER_THREAD, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_END);
    return server->daemon != NULL;
}

struct server *server_start(const struct server_options *options)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return NULL;
    server->options = *options;
    int listener = address_listen(options->listen, server->address, sizeof server->address);
    if (listener < 0) {
        free(server);
        return NULL;
    }
    listen(listener, SOMAXCONN);
    if (!start_daemon(server, listener)) {
        fprintf(stderr, "cannot serve on '%s'\n", server->address);
        close(listener);
        free(server);
        return NULL;
    }
    return server;
}

const char *server_address(const struct server *server)
{
    return server->address;
}

void server_stop(struct server *server, unsigned patience_ms)
{
    const struct timespec step = {.tv_nsec = 5 * 1000 * 1000};
    __atomic_store_n(&server->stopping, true, __ATOMIC_RELAXED);
    int listener = MHD_quiesce_daemon(server->daemon);
    for (; patience_ms >= 5 && __atomic_load_n(&server->under_way, __ATOMIC_RELAXED); patience_ms -= 5)
        nanosleep(&step, NULL);
    nsp_mhd_stop_daemon(server->daemon);
    server->daemon = NULL;
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
}

unsigned long long server_answered(const struct server *server)
{
    return __atomic_load_n(&server->answered, __ATOMIC_RELAXED);
}

void server_free(struct server *server)
{
    free(server);
}
