// SPDX-License-Identifier: Apache-2.0
//
// Tracing of a libmicrohttpd server: one call in place of MHD_start_daemon, and every request has a server span.
// Library libnanospan-microhttpd, CMake target nanospan::microhttpd, pkg-config nanospan-microhttpd.
//
//     static const nsp_mhd_route routes[] = {
//         {"GET", "/api/signals", "HTTP GET /api/signals"},
//         {"GET", "/orders/{id}", NULL},
//     };
//     nsp_mhd_server server = NSP_MHD_SERVER_INIT;
//     server.routes = routes;
//     server.route_count = 2;
//     struct MHD_Daemon *daemon = nsp_mhd_start_daemon(&server, MHD_USE_INTERNAL_POLLING_THREAD, 8000, NULL, NULL, handler,
//                                                      NULL, MHD_OPTION_THREAD_POOL_SIZE, 4u, MHD_OPTION_END);
//     ...
//     nsp_mhd_stop_daemon(daemon);
//
// The span begins when the request line has been read and ends when libmicrohttpd is done with the request, however that
// comes about. Its parent is what the request's fields say (nsp_extract), or it is the root of a new trace. Around every
// call of the handler, and of the application's MHD_OPTION_NOTIFY_COMPLETED callback, it is the current span
// (nsp_span_current), and what came with the request is current too (nsp_incoming_current), so that calls made below pass
// context and baggage on. A handler that suspends its connection may give both pointers to the thread that does the work:
// they are valid until the request is completed; that thread enters them, and leaves them before it resumes the connection.
//
// The application's handler, its request state (*con_cls), its MHD_OPTION_NOTIFY_COMPLETED and
// MHD_OPTION_URI_LOG_CALLBACK and MHD_queue_response work as they do without this library. The one limit: the options are
// read here, so an option that a later libmicrohttpd adds, unknown here, makes the start fail (NULL, errno EINVAL). A request
// that libmicrohttpd refuses itself, before it calls the handler, has no span.
//
// Attributes follow the HTTP semantic conventions of OpenTelemetry: http.request.method (and method_original), http.route,
// http.response.status_code, url.path, url.query, url.scheme, server.address and port, client.address,
// network.peer.address and port, network.protocol.version, user_agent.original, error.type. Status is ERROR for answers
// of 500 and above, and where no whole answer was sent. Values of url.query that are secrets by their names are replaced by
// REDACTED. Long texts are cut: path and query at 256 bytes, user agent and addresses at 128. Fields of proxies (Forwarded,
// X-Forwarded-For, -Host and -Proto) are believed for client.address, server.address and url.scheme; network.peer is
// always the socket's. Methods beyond the standard ones (or OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS) are _OTHER, and HTTP in
// names.
//
// error.type: the status code as text from 500 on; handler_error (the handler returned MHD_NO), client_abort,
// read_error, timeout, shutdown, connection_error.
//
// Cost: one block of memory (9 KiB) from malloc for each request while it is being worked on, traced or not, and a detached
// span (nsp_config.detached_spans is how many can be open). A server's thread is attached by its first traced request.
// On a server's threads less than 4 KiB of stack are taken besides what libmicrohttpd and the handler take; starting a
// daemon takes up to 16 KiB.
#ifndef NANOSPAN_MICROHTTPD_H
#define NANOSPAN_MICROHTTPD_H

#include <stdarg.h>

#include <microhttpd.h>
#include <nanospan/nanospan.h>

// A route that spans are named after. It does not choose the handler. In a pattern a part in braces stands for one part of a
// path, and a last "/*" for all that follows: "/orders/{id}", "/static/*".
typedef struct nsp_mhd_route {
    const char *method;    // "GET" (which HEAD belongs to as well); NULL: every method
    const char *pattern;   // also http.route
    const char *span_name; // NULL: "{METHOD} {pattern}"
} nsp_mhd_route;

// Set up by NSP_MHD_SERVER_INIT. All of it is copied.
typedef struct nsp_mhd_server {
    size_t size;
    const nsp_mhd_route *routes; // the first that fits is taken; if none fits, spans are named "{METHOD}"
    size_t route_count;
} nsp_mhd_server;

#define NSP_MHD_SERVER_INIT                                                                                  \
    {                                                                                                        \
        sizeof(nsp_mhd_server), NULL, 0                                                                      \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// MHD_start_daemon with a span for each request; server may be NULL (no routes). All flags and options are passed on, in
// any thread mode. Works before nsp_init and with tracing off: requests are traced while tracing is on. NULL on failure, as
// MHD_start_daemon. Thread safe.
NSP_API struct MHD_Daemon *nsp_mhd_start_daemon(const nsp_mhd_server *server, unsigned int flags,
                                                uint16_t port, MHD_AcceptPolicyCallback apc, void *apc_cls,
                                                MHD_AccessHandlerCallback handler, void *handler_cls, ...);

// The same, as MHD_start_daemon_va.
NSP_API struct MHD_Daemon *nsp_mhd_start_daemon_va(const nsp_mhd_server *server, unsigned int flags,
                                                   uint16_t port, MHD_AcceptPolicyCallback apc, void *apc_cls,
                                                   MHD_AccessHandlerCallback handler, void *handler_cls,
                                                   va_list options);

// MHD_stop_daemon, which ends all spans, then frees what belonged to the daemon. MHD_stop_daemon alone does as well, but
// leaves the copied routes in memory until the process exits. NULL is ignored, any daemon is fine. Thread safe.
NSP_API void nsp_mhd_stop_daemon(struct MHD_Daemon *daemon);

#else

static inline __attribute__((unused)) struct MHD_Daemon *nsp_mhd_start_daemon_va(
    const nsp_mhd_server *server, unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback apc,
    void *apc_cls, MHD_AccessHandlerCallback handler, void *handler_cls, va_list options)
{
    (void)server;
    return MHD_start_daemon_va(flags, port, apc, apc_cls, handler, handler_cls, options);
}

static inline __attribute__((unused)) struct MHD_Daemon *nsp_mhd_start_daemon(
    const nsp_mhd_server *server, unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback apc,
    void *apc_cls, MHD_AccessHandlerCallback handler, void *handler_cls, ...)
{
    struct MHD_Daemon *daemon;
    va_list options;
    va_start(options, handler_cls);
    daemon = nsp_mhd_start_daemon_va(server, flags, port, apc, apc_cls, handler, handler_cls, options);
    va_end(options);
    return daemon;
}

static inline __attribute__((unused)) void nsp_mhd_stop_daemon(struct MHD_Daemon *daemon)
{
    if (daemon != NULL)
        MHD_stop_daemon(daemon);
}

#endif
NSP_END_DECLS
#endif
