// SPDX-License-Identifier: Apache-2.0
//
// Is the endpoint valid, does its name resolve, and does it accept connections? doctor/probe_export.c then
// checks the protocol.
#include "doctor.h"

#include "connect.h"
#include "proxy.h"
#include "probe_export.h"
#include "target.h"
#include "support/units.h"
#include <errno.h>

static const char *protocol_name(const doctor *d)
{
    if (d->target.grpc)
        return "gRPC";
    return d->target.way.protocol == NSP_OTLP_HTTP_JSON ? "HTTP with JSON" : "HTTP with protobuf";
}

static void tell_target(doctor *d)
{
    const doctor_target *t = &d->target;
    doctor_say(d, DOCTOR_OK, "endpoint.url", "OTLP over %s, %s, to %s; %s", protocol_name(d),
               t->way.tls ? "with TLS" : "in clear text", t->way.shown,
               t->protocol_given            ? "the protocol is set by a PROTOCOL variable"
               : t->way.unix_socket != NULL ? "gRPC because no PROTOCOL variable is set"
               : t->grpc                    ? "gRPC because the port is 4317"
                                            : "HTTP because the port is not 4317 or there is a path");
    if (!t->grpc && strcmp(t->port, "4317") == 0)
        doctor_say(d, DOCTOR_NOTE, "endpoint.port",
                   "4317 is usually the port for gRPC, but the protocol is HTTP");
    if (t->grpc && strcmp(t->port, "4318") == 0)
        doctor_say(d, DOCTOR_NOTE, "endpoint.port",
                   "4318 is usually the port for HTTP, but the protocol is gRPC");
}

// ---- names and connections ----

static void advise_name(doctor *d)
{
    const doctor_target *t = &d->target;
    if (strchr(t->host, '.') == NULL)
        doctor_advise(
            d,
            "a name such as '%s' is known only inside its container network: run the doctor where the "
            "engine runs, or use localhost and a published port from outside",
            t->host);
    doctor_advise(d, "check the spelling in the endpoint variable, and try: getent hosts %s", t->host);
}

static bool resolve(doctor *d, connect_address *addresses, size_t *count)
{
    const doctor_target *t = &d->target;
    char error[128], took[UNITS_SIZE];
    uint64_t start = doctor_now();
    *count =
        connect_resolve(t->host, t->port, addresses, doctor_time(d, 5 * DOCTOR_SECOND), error, sizeof error);
    uint64_t elapsed = doctor_now() - start;
    if (*count == 0) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.resolve", "the name %s cannot be resolved: %s", t->host, error);
        if (elapsed >= 4 * DOCTOR_SECOND)
            doctor_advise(d, "check the name servers in /etc/resolv.conf");
        else
            advise_name(d);
        return false;
    }
    units_duration(took, elapsed);
    text list = {0};
    for (size_t i = 0; i < *count; i++)
        text_format(&list, "%s%s", i ? ", " : "", addresses[i].shown);
    bool slow = elapsed > DOCTOR_SECOND;
    doctor_say(d, slow ? DOCTOR_WARN : DOCTOR_OK, "endpoint.resolve", "%s resolves to %.*s%s%s", t->host,
               (int)list.length, list.data, slow ? ", but the name server took " : "", slow ? took : "");
    if (slow)
        doctor_advise(d, "check the name servers in /etc/resolv.conf; the first export waits for them");
    text_free(&list);
    return true;
}

static void advise_refused(doctor *d)
{
    doctor_target *t = &d->target;
    const char *other = strcmp(t->port, "4317") == 0 ? "4318" : "4317";
    connect_address neighbour[CONNECT_ADDRESSES_MAX];
    char error[128];
    size_t count =
        connect_resolve(t->host, other, neighbour, doctor_time(d, DOCTOR_SECOND), error, sizeof error);
    connect_try(neighbour, count, doctor_time(d, DOCTOR_SECOND));
    bool open = false;
    for (size_t i = 0; i < count; i++)
        open = open || neighbour[i].error == 0;
    if (open)
        doctor_advise(d,
                      "port %s of the same host does accept connections, and is usually the port for %s: use "
                      "that port, "
                      "or start the other receiver",
                      other, strcmp(other, "4317") == 0 ? "gRPC" : "HTTP");
    doctor_advise(
        d,
        "start the receiver: docker ps | grep -e jaeger -e collector shows whether it is running and "
        "whether port %s is published; to see traces without another program, run nanospan sink and set "
        "OTLP_ENDPOINT=http://localhost:4318",
        t->port);
    doctor_advise(
        d, "in a container, localhost means the container itself: use the receiver's service name instead");
}

static bool connect_any(doctor *d, connect_address *addresses, size_t count)
{
    doctor_target *t = &d->target;
    bool refused = false, silent = false;
    text good = {0}, bad = {0};
    connect_try(addresses, count, doctor_time(d, 3 * DOCTOR_SECOND));
    for (size_t i = 0; i < count; i++) {
        const connect_address *a = &addresses[i];
        if (a->error == 0 && !t->connected)
            snprintf(t->address, sizeof t->address, "%s", a->shown);
        t->connected = t->connected || a->error == 0;
        refused = refused || a->error == ECONNREFUSED;
        silent = silent || a->error == ETIMEDOUT;
        if (a->error == 0)
            text_format(&good, "%s%s", good.length ? ", " : "", a->shown);
        else
            text_format(&bad, "%s%s: %s", bad.length ? "; " : "", a->shown, strerror(a->error));
    }
    if (t->connected)
        doctor_say(d, DOCTOR_OK, "endpoint.connect", "port %s accepts connections at %.*s%s%.*s%s", t->port,
                   (int)good.length, good.data, bad.length ? " (not at " : "", (int)bad.length,
                   bad.length ? bad.data : "", bad.length ? ")" : "");
    else
        doctor_say(d, DOCTOR_FAIL, "endpoint.connect", "nothing accepts connections at port %s: %.*s",
                   t->port, (int)bad.length, bad.data);
    if (!t->connected && refused)
        advise_refused(d);
    if (!t->connected && silent)
        doctor_advise(
            d, "there was no reply at all: look for a firewall, a security group, or a host that is down");
    text_free(&good);
    text_free(&bad);
    return t->connected;
}

static bool connect_socket(doctor *d, connect_address *addresses, size_t *count)
{
    doctor_target *t = &d->target;
    *count = connect_unix_address(addresses, t->way.unix_socket, t->way.abstract_socket);
    connect_try(addresses, *count, doctor_time(d, 2 * DOCTOR_SECOND));
    int error = *count ? addresses[0].error : ENAMETOOLONG;
    t->connected = error == 0;
    doctor_say(d, error ? DOCTOR_FAIL : DOCTOR_OK, "endpoint.connect", "the socket %s %s%s",
               t->way.unix_socket, error ? "does not accept connections: " : "accepts connections",
               error ? strerror(error) : "");
    if (error == ENOENT)
        doctor_advise(d,
                      "start the receiver, or correct the path; in a container, mount the socket's folder");
    else if (error == EACCES)
        doctor_advise(d, "let this user write to the socket and enter the folders above it");
    else if (error)
        doctor_advise(d, "start the receiver that listens there");
    return t->connected;
}

void doctor_endpoint(doctor *d)
{
    doctor_target *t = &d->target;
    connect_address addresses[CONNECT_ADDRESSES_MAX];
    size_t count = 0;
    if (!t->otlp)
        return;
    if (!doctor_target_read(d))
        return;
    tell_target(d);
    doctor_proxy proxy;
    bool proxied = doctor_proxy_find(d, &proxy);
    bool connected = proxied ? doctor_proxy_connect(d, &proxy, addresses, &count)
                     : t->way.unix_socket != NULL
                         ? connect_socket(d, addresses, &count)
                         : resolve(d, addresses, &count) && connect_any(d, addresses, count);
    if (connected)
        doctor_probe_export(d, proxied ? &proxy : NULL, addresses, count);
}
