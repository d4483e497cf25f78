// SPDX-License-Identifier: Apache-2.0
//
// Starting and stopping servers, and the functions that libmicrohttpd calls for each request.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "microhttpd/options.h"
#include "microhttpd/request.h"

typedef struct server {
    struct server *next;
    struct MHD_Daemon *daemon;
    bool tls;
    MHD_AccessHandlerCallback handler;
    void *handler_context;
    nsp__mhd_options options; // the application's callbacks
    nsp__routes routes;
} server;

// Servers that were started and not yet stopped.
static server *servers;
static pthread_mutex_t servers_lock = PTHREAD_MUTEX_INITIALIZER;

// ---- requests ----

// Called when the request line was read. The result becomes *con_cls; NULL if there is no memory.
static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    const server *self = context;
    nsp__request *request = nsp__request_new(uri);
    if (request != NULL && self->options.uri_log != NULL)
        request->state = self->options.uri_log(self->options.uri_log_context, uri, connection);
    return request;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_size, void **con_cls)
{
    const server *self = context;
    nsp__request *request = *con_cls;
    if (request == NULL)
        return MHD_NO;
    if (!request->presented) {
        const nsp__request_line line = {path, method, version, self->tls};
        nsp__request_begin(request, connection, &self->routes, &line);
    }
    const nsp_incoming *before = nsp__request_enter(request);
    enum MHD_Result result = self->handler(self->handler_context, connection, path, method, version,
                                           upload_data, upload_size, &request->state);
    nsp__request_leave(request, before);
    if (result == MHD_NO)
        request->refused = true;
    return result;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    const server *self = context;
    nsp__request *request = *con_cls;
    *con_cls = NULL;
    if (request == NULL)
        return;
    // A request that libmicrohttpd refused itself has no span. The application's callback is called for it
    // only if the application has seen the request before.
    if (self->options.completed != NULL && (request->presented || self->options.uri_log != NULL)) {
        const nsp_incoming *before = nsp__request_enter(request);
        self->options.completed(self->options.completed_context, connection, &request->state, why);
        nsp__request_leave(request, before);
    }
    if (request->presented)
        nsp__request_end(request, connection, why);
    free(request);
}

// ---- servers ----

static void release(server *self)
{
    nsp__routes_release(&self->routes);
    nsp__mhd_options_release(&self->options);
    free(self);
}

// False with errno.
static bool read_routes(server *self, const nsp_mhd_server *given)
{
    nsp_mhd_server own = NSP_MHD_SERVER_INIT;
    if (given != NULL && given->size < sizeof own) { // without NSP_MHD_SERVER_INIT; no version was smaller
        errno = EINVAL;
        return false;
    }
    if (given != NULL)
        memcpy(&own, given, sizeof own);
    for (size_t i = 0; i < own.route_count; i++)
        if (own.routes[i].pattern == NULL) {
            errno = EINVAL;
            return false;
        }
    return nsp__routes_copy(&self->routes, own.routes, own.route_count);
}

static void remember(server *self, struct MHD_Daemon *daemon)
{
    pthread_mutex_lock(&servers_lock);
    self->daemon = daemon;
    self->next = servers;
    servers = self;
    pthread_mutex_unlock(&servers_lock);
}

static server *forget(const struct MHD_Daemon *daemon)
{
    pthread_mutex_lock(&servers_lock);
    server **at = &servers;
    while (*at != NULL && (*at)->daemon != daemon)
        at = &(*at)->next;
    server *self = *at;
    if (self != NULL)
        *at = self->next;
    pthread_mutex_unlock(&servers_lock);
    return self;
}

struct MHD_Daemon *nsp_mhd_start_daemon_va(const nsp_mhd_server *given, unsigned int flags, uint16_t port,
                                           MHD_AcceptPolicyCallback apc, void *apc_cls,
                                           MHD_AccessHandlerCallback handler, void *handler_cls,
                                           va_list options)
{
    if (handler == NULL) {
        errno = EINVAL;
        return NULL;
    }
    server *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->tls = (flags & MHD_USE_TLS) != 0;
    self->handler = handler;
    self->handler_context = handler_cls;
    struct MHD_Daemon *daemon = NULL;
    if (nsp__mhd_options_read(&self->options, options) && read_routes(self, given))
        daemon = MHD_start_daemon(flags, port, apc, apc_cls, on_request, self, MHD_OPTION_ARRAY,
                                  self->options.items, MHD_OPTION_NOTIFY_COMPLETED, on_completed, self,
                                  MHD_OPTION_URI_LOG_CALLBACK, on_uri, self, MHD_OPTION_END);
    if (daemon == NULL) {
        int error = errno;
        release(self);
        errno = error;
        return NULL;
    }
    remember(self, daemon);
    return daemon;
}

struct MHD_Daemon *nsp_mhd_start_daemon(const nsp_mhd_server *given, unsigned int flags, uint16_t port,
                                        MHD_AcceptPolicyCallback apc, void *apc_cls,
                                        MHD_AccessHandlerCallback handler, void *handler_cls, ...)
{
    va_list options;
    va_start(options, handler_cls);
    struct MHD_Daemon *daemon =
        nsp_mhd_start_daemon_va(given, flags, port, apc, apc_cls, handler, handler_cls, options);
    va_end(options);
    return daemon;
}

void nsp_mhd_stop_daemon(struct MHD_Daemon *daemon)
{
    if (daemon == NULL)
        return;
    server *self = forget(daemon); // first, before another daemon can get the same address
    MHD_stop_daemon(daemon);
    if (self != NULL)
        release(self);
}
