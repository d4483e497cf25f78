// SPDX-License-Identifier: Apache-2.0
#include "microhttpd/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "microhttpd/describe.h"

nsp__request *nsp__request_new(const char *uri)
{
    nsp__request *request = malloc(sizeof *request);
    if (request == NULL)
        return NULL;
    memset(request, 0, offsetof(nsp__request, query));
    request->start = nsp_now();
    const char *query = uri != NULL ? strchr(uri, '?') : NULL;
    if (query != NULL) {
        request->query_length = strnlen(query + 1, NSP__QUERY_MAX);
        memcpy(request->query, query + 1, request->query_length);
    }
    return request;
}

// ---- context and baggage that came with the request ----

typedef struct search {
    const char *name;
    size_t name_length, index;
    const char *value;
    size_t length;
} search;

static enum MHD_Result compare(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
                               const char *value, size_t length)
{
    search *for_what = context;
    (void)kind;
    if (name_length != for_what->name_length || strncasecmp(name, for_what->name, name_length) != 0)
        return MHD_YES;
    if (for_what->index-- != 0)
        return MHD_YES;
    for_what->value = value != NULL ? value : "";
    for_what->length = value != NULL ? length : 0;
    return MHD_NO;
}

static bool get_field(void *fields, const char *name, size_t index, const char **value, size_t *length)
{
    struct MHD_Connection *connection = fields;
    search it = {name, strlen(name), index, NULL, 0};
    if (index == 0) // usually there is at most one
        return MHD_lookup_connection_value_n(connection, MHD_HEADER_KIND, name, it.name_length, value,
                                             length) == MHD_YES;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, compare, &it);
    *value = it.value;
    *length = it.length;
    return it.value != NULL;
}

void nsp__request_begin(nsp__request *request, struct MHD_Connection *connection, const nsp__routes *routes,
                        const nsp__request_line *line)
{
    const nsp_carrier carrier = {connection, get_field, NULL};
    const nsp__method *method = nsp__method_of(line->method);
    const nsp__route *route = nsp__routes_find(routes, method, line->method, line->path);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_SERVER;
    options.start = request->start;
    options.parent = &request->incoming.context;
    options.new_root = nsp_extract(&request->incoming, &carrier) != NSP_OK; // not the thread's span
    request->presented = true;
    request->span =
        nsp_span_begin_detached(route != NULL ? route->names[method->index] : method->name, &options);
    if (nsp_span_recording(request->span))
        nsp__describe_request(request, connection, method, route, line);
}

const nsp_incoming *nsp__request_enter(const nsp__request *request)
{
    nsp_span_enter(request->span);
    return nsp_incoming_enter(&request->incoming);
}

void nsp__request_leave(const nsp__request *request, const nsp_incoming *before)
{
    nsp_incoming_enter(before);
    nsp_span_leave(request->span);
}

// ---- how the request ended ----

// The status of the response that was queued, by the handler or by libmicrohttpd itself; 0 if none was.
static unsigned status_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return info != NULL ? info->http_status : 0;
}

static const char *failure(const nsp__request *request, enum MHD_RequestTerminationCode why)
{
    switch (why) {
    case MHD_REQUEST_TERMINATED_COMPLETED_OK: return NULL;
    case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED: return "timeout";
    case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN: return "shutdown";
    case MHD_REQUEST_TERMINATED_READ_ERROR: return "read_error";
    case MHD_REQUEST_TERMINATED_CLIENT_ABORT: return "client_abort";
    case MHD_REQUEST_TERMINATED_WITH_ERROR: break;
    }
    return request->refused ? "handler_error" : "connection_error";
}

void nsp__request_end(nsp__request *request, struct MHD_Connection *connection,
                      enum MHD_RequestTerminationCode why)
{
    if (nsp_span_recording(request->span)) {
        char text[16];
        const char *error = failure(request, why);
        unsigned status = status_of(connection);
        if (status != 0)
            nsp_span_set_i64(request->span, NSP_KEY("http.response.status_code"), status);
        if (error == NULL && status >= 500) {
            snprintf(text, sizeof text, "%u", status);
            error = text;
        }
        if (error != NULL) {
            nsp_span_set_str(request->span, NSP_KEY("error.type"), error);
            nsp_span_set_status(request->span, NSP_SPAN_STATUS_ERROR, NULL);
        }
    }
    nsp_span_end(request->span);
}
