// SPDX-License-Identifier: Apache-2.0
#include "microhttpd/describe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "http/url.h"
#include "microhttpd/forwarded.h"

// A detached span has 2 KiB for everything that is set on it: a client's URL must not use up the
// application's share.
enum { TEXT_MAX = 128, PATH_MAX_SHOWN = 256 };

static const char *field(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void set_text(nsp_span *span, nsp_name key, nsp__slice text)
{
    nsp_span_set_strn(span, key, text.text, text.length < TEXT_MAX ? text.length : TEXT_MAX);
}

// An address as text, and its port; false if it is neither IPv4 nor IPv6.
static bool read_address(const struct sockaddr *address, char text[INET6_ADDRSTRLEN], uint32_t *port)
{
    if (address == NULL)
        return false;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        *port = ntohs(in->sin_port);
        return inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN) != NULL;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        *port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) // an IPv4 client on a socket that serves both
            return inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], text, INET6_ADDRSTRLEN) != NULL;
        return inet_ntop(AF_INET6, &in6->sin6_addr, text, INET6_ADDRSTRLEN) != NULL;
    }
    return false;
}

// The address of the socket, for the rare request without a Host field.
static bool own_address(struct MHD_Connection *connection, char text[INET6_ADDRSTRLEN], uint32_t *port)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    return info != NULL && getsockname(info->connect_fd, (struct sockaddr *)(void *)&own, &size) == 0 &&
           read_address((const struct sockaddr *)(const void *)&own, text, port);
}

static void describe_server(nsp_span *span, struct MHD_Connection *connection, const char *forwarded,
                            nsp__slice scheme)
{
    char text[INET6_ADDRSTRLEN];
    uint32_t port = 0;
    nsp__slice host = nsp__forwarded(forwarded, "host");
    if (host.text == NULL)
        host = nsp__first_of(field(connection, "X-Forwarded-Host"));
    if (host.text == NULL)
        host = nsp__first_of(field(connection, MHD_HTTP_HEADER_HOST));
    if (host.text != NULL) {
        host = nsp__host_split(host, &port);
        if (port == 0)
            port = nsp__default_port(scheme);
    } else if (own_address(connection, text, &port)) {
        host = (nsp__slice){text, strlen(text)};
    } else {
        return;
    }
    set_text(span, NSP_KEY("server.address"), host);
    nsp_span_set_i64(span, NSP_KEY("server.port"), port);
}

static void describe_client(nsp_span *span, struct MHD_Connection *connection, const char *forwarded)
{
    char text[INET6_ADDRSTRLEN];
    uint32_t port;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    bool peer = info != NULL && read_address(info->client_addr, text, &port);
    if (peer) {
        nsp_span_set_str(span, NSP_KEY("network.peer.address"), text);
        nsp_span_set_i64(span, NSP_KEY("network.peer.port"), port);
    }
    nsp__slice client = nsp__forwarded(forwarded, "for");
    if (client.text == NULL)
        client = nsp__first_of(field(connection, "X-Forwarded-For"));
    if (client.text != NULL)
        client = nsp__host_split(client, &port);
    else if (peer)
        client = (nsp__slice){text, strlen(text)};
    if (client.text != NULL)
        set_text(span, NSP_KEY("client.address"), client);
}

static void describe_url(nsp_span *span, const nsp__request *request, const char *path, nsp__slice scheme)
{
    nsp_span_set_strn(span, NSP_KEY("url.path"), path, strnlen(path, PATH_MAX_SHOWN));
    if (request->query_length != 0) {
        char query[NSP__QUERY_MAX];
        size_t length = nsp__redact_query(query, sizeof query, request->query, request->query_length);
        nsp_span_set_strn(span, NSP_KEY("url.query"), query, length);
    }
    set_text(span, NSP_KEY("url.scheme"), scheme);
}

void nsp__describe_request(const nsp__request *request, struct MHD_Connection *connection,
                           const nsp__method *method, const nsp__route *route, const nsp__request_line *line)
{
    nsp_span *span = request->span;
    const char *forwarded = field(connection, "Forwarded");
    nsp__slice scheme = nsp__forwarded(forwarded, "proto");
    if (scheme.text == NULL)
        scheme = nsp__first_of(field(connection, "X-Forwarded-Proto"));
    if (scheme.text == NULL)
        scheme = line->tls ? (nsp__slice){"https", 5} : (nsp__slice){"http", 4};

    nsp__method_set(span, method, line->method);
    if (route != NULL)
        nsp_span_set_str(span, NSP_KEY("http.route"), route->pattern);
    describe_url(span, request, line->path, scheme);
    describe_server(span, connection, forwarded, scheme);
    describe_client(span, connection, forwarded);
    if (strncmp(line->version, "HTTP/", 5) == 0)
        nsp_span_set_str(span, NSP_KEY("network.protocol.version"), line->version + 5);
    const char *agent = field(connection, MHD_HTTP_HEADER_USER_AGENT);
    if (agent != NULL)
        set_text(span, NSP_KEY("user_agent.original"), (nsp__slice){agent, strlen(agent)});
}
