// SPDX-License-Identifier: Apache-2.0
#include "web_guard.h"

#include "common/hex.h"
#include "support/complain.h"
#include "support/listen.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_PORT = 80 };

static bool draw_token(char *out)
{
    unsigned char bytes[WEB_TOKEN_BYTES];
    size_t have = 0;
    while (have < sizeof bytes) {
        const ssize_t got = getrandom(bytes + have, sizeof bytes - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            complain("cannot draw a token for the live page: %s", strerror(errno));
            return false;
        }
        have += (size_t)got;
    }
    nsp__hex_encode(out, bytes, sizeof bytes);
    out[2 * sizeof bytes] = '\0';
    return true;
}

typedef union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

static void judge_address(web_guard *guard, const address *bound)
{
    if (bound->any.sa_family == AF_INET) {
        const uint32_t ip = ntohl(bound->v4.sin_addr.s_addr);
        guard->loopback = ip >> 24 == 127;
        guard->any = ip == INADDR_ANY;
    } else {
        guard->loopback = IN6_IS_ADDR_LOOPBACK(&bound->v6.sin6_addr);
        guard->any = IN6_IS_ADDR_UNSPECIFIED(&bound->v6.sin6_addr);
    }
}

bool web_guard_init(web_guard *guard, int listener, const char *given, unsigned port)
{
    *guard = (web_guard){.port = port};
    address bound = {0};
    socklen_t size = sizeof bound;
    char digits[INET6_ADDRSTRLEN + 32];
    if (!draw_token(guard->token))
        return false;
    if (getsockname(listener, &bound.any, &size) != 0 ||
        getnameinfo(&bound.any, size, digits, sizeof digits, NULL, 0, NI_NUMERICHOST) != 0) {
        complain("cannot find out on which address the live page listens: %s", strerror(errno));
        return false;
    }
    judge_address(guard, &bound);
    listen_place(guard->place, sizeof guard->place, given, port);
    snprintf(guard->numeric, sizeof guard->numeric, bound.any.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
             digits, port);
    return true;
}

void web_guard_url(const web_guard *guard, char *out, size_t size)
{
    if (guard->any)
        snprintf(out, size, "http://127.0.0.1:%u/#token=%s", guard->port, guard->token);
    else
        snprintf(out, size, "http://%s/#token=%s", guard->place, guard->token);
}

// Is the host of this Host header the name? Without a port, it is that of HTTP.
static bool host_is(const web_guard *guard, const char *header, const char *name)
{
    char place[WEB_PLACE_SIZE];
    snprintf(place, sizeof place, "%s:%u", name, guard->port);
    return strcasecmp(header, place) == 0 || (guard->port == HTTP_PORT && strcasecmp(header, name) == 0);
}

// Is it an address in digits? Then no name can have led here.
static bool host_is_numeric(const web_guard *guard, const char *header)
{
    char host[INET6_ADDRSTRLEN + 2];
    unsigned char bytes[sizeof(struct in6_addr)];
    const char *end = strrchr(header, ':');
    size_t length = end != NULL && strchr(end, ']') == NULL ? (size_t)(end - header) : strlen(header);
    if (length >= sizeof host)
        return false;
    memcpy(host, header, length);
    host[length] = '\0';
    if (!host_is(guard, header, host))
        return false;
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        return inet_pton(AF_INET6, host + 1, bytes) == 1;
    }
    return inet_pton(AF_INET, host, bytes) == 1;
}

static bool host_right(const web_guard *guard, const char *header)
{
    char name[256] = "";
    if (strcasecmp(header, guard->place) == 0 || strcasecmp(header, guard->numeric) == 0)
        return true;
    if (guard->loopback || guard->any)
        if (host_is(guard, header, "localhost") || host_is(guard, header, "127.0.0.1") ||
            host_is(guard, header, "[::1]"))
            return true;
    if (!guard->any)
        return false;
    return host_is_numeric(guard, header) ||
           (gethostname(name, sizeof name - 1) == 0 && *name != '\0' && host_is(guard, header, name));
}

typedef struct field {
    const char *name, *value;
    unsigned count;
} field;

static enum MHD_Result look(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    for (field *one = context; one->name != NULL; one++)
        if (strcasecmp(name, one->name) == 0) {
            one->value = value != NULL ? value : "";
            one->count++;
        }
    return MHD_YES;
}

unsigned web_guard_refuses(const web_guard *guard, struct MHD_Connection *connection, const char *method,
                           const char **why)
{
    field fields[] = {{.name = "Host"}, {.name = "Origin"}, {0}};
    const field *host = &fields[0], *origin = &fields[1];
    MHD_get_connection_values(connection, MHD_HEADER_KIND, look, fields);
    if (host->count != 1 || !host_right(guard, host->value)) {
        *why = "this is the live page of nanospan sink; the Host of a request must be the address and "
               "port on which it listens";
        return MHD_HTTP_MISDIRECTED_REQUEST;
    }
    if (origin->count > 1 ||
        (origin->count == 1 && (strncasecmp(origin->value, "http://", strlen("http://")) != 0 ||
                                strcasecmp(origin->value + strlen("http://"), host->value) != 0))) {
        *why = "requests from pages of other origins are refused";
        return MHD_HTTP_FORBIDDEN;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *why = "only GET and HEAD are allowed";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    return 0;
}

bool web_guard_knows(const web_guard *guard, struct MHD_Connection *connection)
{
    static const char SCHEME[] = "Bearer ";
    const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    if (given == NULL || strncasecmp(given, SCHEME, sizeof SCHEME - 1) != 0)
        return false;
    given += sizeof SCHEME - 1;
    // All digits are compared, however many are right, so that the time it takes says nothing about them.
    const size_t length = strlen(given);
    volatile unsigned char differs = length != sizeof guard->token - 1;
    for (size_t i = 0; i < sizeof guard->token - 1; i++)
        differs = (unsigned char)(differs | (guard->token[i] ^ given[i < length ? i : 0]));
    return differs == 0;
}
