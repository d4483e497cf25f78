// SPDX-License-Identifier: Apache-2.0
#include "support/proxy.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, TURN_MS = 20 };

struct proxy {
    proxy_manner manner;
    unsigned status, port, to;
    int listener;
    pthread_t thread;
    bool stopping; // atomic
    pthread_mutex_t lock;
    char last[HEAD_BYTES]; // protected by the lock
};

static bool stopping(const proxy *me)
{
    return __atomic_load_n(&me->stopping, __ATOMIC_ACQUIRE);
}

// Returns false if nothing came and the proxy is to stop.
static bool wait_for(const proxy *me, struct pollfd *polled, unsigned count)
{
    while (!stopping(me))
        if (poll(polled, count, TURN_MS) > 0)
            return true;
    return false;
}

static bool read_head(proxy *me, int client)
{
    char head[HEAD_BYTES] = "";
    size_t length = 0;
    while (length + 1 < sizeof head && !strstr(head, "\r\n\r\n")) {
        if (!wait_for(me, &(struct pollfd){.fd = client, .events = POLLIN}, 1))
            return false;
        ssize_t got = recv(client, head + length, 1, 0); // by bytes, so that none for the tunnel is read
        if (got <= 0)
            return false;
        length += (size_t)got;
    }
    pthread_mutex_lock(&me->lock);
    memcpy(me->last, head, sizeof head);
    pthread_mutex_unlock(&me->lock);
    return true;
}

static bool pass_on(int from, int to)
{
    char bytes[65536];
    ssize_t got = recv(from, bytes, sizeof bytes, 0);
    for (ssize_t sent = 0, now; sent < got; sent += now)
        if ((now = send(to, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL)) <= 0)
            return false;
    return got > 0;
}

static void tunnel(proxy *me, int client)
{
    static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)me->to),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool going = connect(server, (struct sockaddr *)&address, sizeof address) == 0 &&
                 send(client, established, sizeof established - 1, MSG_NOSIGNAL) > 0;
    while (going) {
        struct pollfd ends[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        going = wait_for(me, ends, 2) && (!ends[0].revents || pass_on(client, server)) &&
                (!ends[1].revents || pass_on(server, client));
    }
    close(server);
}

static void serve(proxy *me, int client)
{
    char reply[128];
    if (!read_head(me, client) || me->manner == PROXY_HANG_UP)
        return;
    int length = snprintf(reply, sizeof reply,
                          "HTTP/1.1 %u No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", me->status);
    if (me->manner == PROXY_TUNNEL)
        tunnel(me, client);
    else
        send(client, reply, (size_t)length, MSG_NOSIGNAL);
}

static void *run(void *argument)
{
    proxy *me = argument;
    while (wait_for(me, &(struct pollfd){.fd = me->listener, .events = POLLIN}, 1)) {
        int client = accept4(me->listener, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0)
            serve(me, client);
        close(client);
    }
    return NULL;
}

proxy *proxy_start(proxy_manner manner, unsigned status, unsigned port)
{
    proxy *me = calloc(1, sizeof *me);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *me = (proxy){.manner = manner, .status = status, .to = port};
    pthread_mutex_init(&me->lock, NULL);
    me->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(me->listener, (struct sockaddr *)&address, size) == 0 && listen(me->listener, 8) == 0 &&
        getsockname(me->listener, (struct sockaddr *)&address, &size) == 0) {
        me->port = ntohs(address.sin_port);
        if (pthread_create(&me->thread, NULL, run, me) == 0)
            return me;
    }
    close(me->listener);
    free(me);
    return NULL;
}

void proxy_stop(proxy *me)
{
    __atomic_store_n(&me->stopping, true, __ATOMIC_RELEASE);
    pthread_join(me->thread, NULL);
    close(me->listener);
    pthread_mutex_destroy(&me->lock);
    free(me);
}

unsigned proxy_port(const proxy *me)
{
    return me->port;
}

const char *proxy_last(proxy *me)
{
    pthread_mutex_lock(&me->lock);
    const char *last = me->last;
    pthread_mutex_unlock(&me->lock);
    return last;
}
