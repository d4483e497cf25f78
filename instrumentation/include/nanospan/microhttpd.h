// SPDX-License-Identifier: Apache-2.0
//
// Tracing of a libmicrohttpd server: one call replaces MHD_start_daemon, and every request gets a server
// span. Library libnanospan-microhttpd, CMake target nanospan::microhttpd, pkg-config nanospan-microhttpd.
//
//     static const nsp_mhd_route routes[] = {
//         {"GET", "/api/signals", "HTTP GET /api/signals"},
//         {"GET", "/orders/{id}", NULL},
//     };
//     nsp_mhd_server server = NSP_MHD_SERVER_INIT;
//     server.routes = routes;
//     server.route_count = 2;
//     struct MHD_Daemon *daemon =
//         nsp_mhd_start_daemon(&server, MHD_USE_INTERNAL_POLLING_THREAD, 8000, NULL, NULL, handler, NULL,
//                              MHD_OPTION_THREAD_POOL_SIZE, 4u, MHD_OPTION_END);
//     ...
//     nsp_mhd_stop_daemon(daemon);
//
// The span begins when the request line has been read, and ends when libmicrohttpd is done with the request,
// for whatever reason. Its parent is the context in the request's header fields (nsp_extract); without one,
// the span is the root of a new trace. During every call of the handler, and of the application's
// MHD_OPTION_NOTIFY_COMPLETED callback, it is the current span (nsp_span_current), and the context and
// baggage that came with the request are current too (nsp_incoming_current). Requests that the handler makes
// in turn therefore pass context and baggage on. A handler that suspends its connection may hand both
// pointers to the thread that does the work: they are valid until the request is completed. That thread
// enters them, and leaves them before it resumes the connection.
//
// The application's handler, its request state (*con_cls), its MHD_OPTION_NOTIFY_COMPLETED and
// MHD_OPTION_URI_LOG_CALLBACK, and MHD_queue_response work as they do without this library. There is one
// limit: this library parses the options, so an option that it does not know, because a later libmicrohttpd
// added it, makes the start fail (NULL, errno EINVAL). A request that libmicrohttpd refuses itself, before it
// calls the handler, has no span.
//
// Attributes follow the HTTP semantic conventions of OpenTelemetry: http.request.method (and
// method_original), http.route, http.response.status_code, url.path, url.query, url.scheme, server.address
// and port, client.address, network.peer.address and port, network.protocol.version, user_agent.original,
// error.type. The status is ERROR for responses of 500 and above, and where the response was not sent
// completely. In url.query, the values of parameters whose names mark them as secrets are replaced by
// REDACTED. Long texts are cut: path and query at 256 bytes, user agent and addresses at 128. client.address,
// server.address and url.scheme are taken from the header fields of proxies (Forwarded, X-Forwarded-For,
// -Host and -Proto) where there are any, without a check; network.peer is always the address of the socket.
// Methods other than the standard ones (or those of OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS) are reported as
// _OTHER, and as HTTP in span names.
//
// error.type is the status code as text from 500 on, or one of handler_error (the handler returned MHD_NO),
// client_abort, read_error, timeout, shutdown, connection_error.
//
// Cost: one block of memory (9 KiB) from malloc for each request in progress, traced or not, and a detached
// span (nsp_config.detached_spans limits how many can be open). A server's thread is attached by its first
// traced request. On a server's threads less than 4 KiB of stack are taken besides what libmicrohttpd and the
// handler take; starting a daemon takes up to 16 KiB.
#ifndef NANOSPAN_MICROHTTPD_H
#define NANOSPAN_MICROHTTPD_H

#include <stdarg.h>

#include <microhttpd.h>
#include <nanospan/nanospan.h>

// A route that spans are named after. It does not select the handler. In a pattern, a part in braces stands
// for one segment of a path, and "/*" at the end for everything that follows: "/orders/{id}", "/static/*".
typedef struct nsp_mhd_route {
    const char *method;    // "GET" (matches HEAD as well); NULL: every method
    const char *pattern;   // is also the attribute http.route
    const char *span_name; // NULL: "{METHOD} {pattern}"
} nsp_mhd_route;

// Initialize it with NSP_MHD_SERVER_INIT. All of it is copied.
typedef struct nsp_mhd_server {
    size_t size;
    const nsp_mhd_route *routes; // the first match names the span; without a match the name is "{METHOD}"
    size_t route_count;
} nsp_mhd_server;

#define NSP_MHD_SERVER_INIT                                                                                  \
    {                                                                                                        \
        sizeof(nsp_mhd_server), NULL, 0                                                                      \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Calls MHD_start_daemon, and gives each request a span. server may be NULL (no routes). All flags and
// options are passed on; every thread mode works. May be called before nsp_init and with tracing off:
// requests are traced while tracing is on. Returns NULL on failure, like MHD_start_daemon, with errno: EINVAL
// if there is no handler, a server that was not initialized, a route without a pattern or an unknown option,
// ENOMEM, or what libmicrohttpd left there. Thread safe.
NSP_API struct MHD_Daemon *nsp_mhd_start_daemon(const nsp_mhd_server *server, unsigned int flags,
                                                uint16_t port, MHD_AcceptPolicyCallback apc, void *apc_cls,
                                                MHD_AccessHandlerCallback handler, void *handler_cls, ...);

// The same with a va_list, like MHD_start_daemon_va.
NSP_API struct MHD_Daemon *nsp_mhd_start_daemon_va(const nsp_mhd_server *server, unsigned int flags,
                                                   uint16_t port, MHD_AcceptPolicyCallback apc, void *apc_cls,
                                                   MHD_AccessHandlerCallback handler, void *handler_cls,
                                                   va_list options);

// Calls MHD_stop_daemon, which ends all spans, and then frees what belonged to the daemon. MHD_stop_daemon on
// its own also works, but leaves the copied routes in memory until the process exits. NULL is ignored;
// daemons that were started without this library are accepted. Thread safe.
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
