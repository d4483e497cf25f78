// SPDX-License-Identifier: Apache-2.0
#include "connect.h"

#include "doctor.h"
#include "common/time.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

// ---- resolving ----

// Shared by the thread that resolves and the thread that waits for it. The last one to finish frees it.
typedef struct resolving {
    pthread_mutex_t mutex;
    pthread_cond_t done_or_left;
    char host[256], port[8];
    struct addrinfo *found;
    int error, system_error;
    bool done, left;
} resolving;

static void resolving_free(resolving *r)
{
    if (r->found != NULL)
        freeaddrinfo(r->found);
    pthread_mutex_destroy(&r->mutex);
    pthread_cond_destroy(&r->done_or_left);
    free(r);
}

static void *resolve(void *argument)
{
    resolving *r = argument;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(r->host, r->port, &hints, &found);
    pthread_mutex_lock(&r->mutex);
    r->found = error == 0 ? found : NULL;
    r->system_error = errno;
    r->error = error;
    r->done = true;
    bool left = r->left;
    pthread_cond_signal(&r->done_or_left);
    pthread_mutex_unlock(&r->mutex);
    if (left)
        resolving_free(r);
    return NULL;
}

static size_t take_addresses(const resolving *r, connect_address out[CONNECT_ADDRESSES_MAX])
{
    size_t count = 0;
    for (const struct addrinfo *at = r->found; at != NULL && count < CONNECT_ADDRESSES_MAX;
         at = at->ai_next) {
        connect_address *address = &out[count];
        if (at->ai_addrlen > sizeof address->socket)
            continue;
        memset(address, 0, sizeof *address);
        memcpy(&address->socket, at->ai_addr, at->ai_addrlen);
        address->length = at->ai_addrlen;
        if (getnameinfo(at->ai_addr, at->ai_addrlen, address->shown, sizeof address->shown, NULL, 0,
                        NI_NUMERICHOST) == 0)
            count++;
    }
    return count;
}

size_t connect_resolve(const char *host, const char *port, connect_address out[CONNECT_ADDRESSES_MAX],
                       uint64_t timeout_ns, char *error, size_t size)
{
    resolving *r = need_zeroes(1, sizeof *r);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->done_or_left, &monotonic);
    pthread_condattr_destroy(&monotonic);
    snprintf(r->host, sizeof r->host, "%s", host[0] == '[' ? host + 1 : host);
    r->host[strcspn(r->host, "]")] = '\0';
    snprintf(r->port, sizeof r->port, "%s", port);
    pthread_t thread;
    struct timespec until = nsp__timespec_of(nsp__after(doctor_now(), timeout_ns));
    size_t count = 0;
    if (pthread_create(&thread, NULL, resolve, r) != 0) {
        snprintf(error, size, "no thread could be started for the lookup");
        resolving_free(r);
        return 0;
    }
    pthread_mutex_lock(&r->mutex);
    while (!r->done && pthread_cond_timedwait(&r->done_or_left, &r->mutex, &until) == 0)
        ;
    bool done = r->done;
    r->left = !done;
    pthread_mutex_unlock(&r->mutex);
    if (!done) {
        pthread_detach(thread);
        snprintf(error, size, "the name server does not answer");
        return 0;
    }
    pthread_join(thread, NULL); // it may still be unlocking, and its resolver frees its memory when it ends
    if (r->error)
        snprintf(error, size, "%s",
                 r->error == EAI_SYSTEM ? strerror(r->system_error) : gai_strerror(r->error));
    else if ((count = take_addresses(r, out)) == 0)
        snprintf(error, size, "the name has no address");
    resolving_free(r);
    return count;
}

// ---- connecting ----

static int poll_time(uint64_t until)
{
    uint64_t now = doctor_now();
    return now < until ? (int)((until - now) / 1000000 + 1) : 0;
}

static int begin_connect(const connect_address *address, int *error)
{
    int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *error = 0;
    if (fd < 0 || (connect(fd, (const struct sockaddr *)&address->socket, address->length) != 0 &&
                   errno != EINPROGRESS)) {
        *error = errno;
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static int connect_result(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void connect_try(connect_address *addresses, size_t count, uint64_t timeout_ns)
{
    struct pollfd waiting[CONNECT_ADDRESSES_MAX];
    uint64_t until = doctor_now() + timeout_ns;
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        waiting[i] =
            (struct pollfd){.fd = begin_connect(&addresses[i], &addresses[i].error), .events = POLLOUT};
        open += waiting[i].fd >= 0;
    }
    for (int left; open && (left = poll_time(until)) > 0 && poll(waiting, count, left) >= 0;)
        for (size_t i = 0; i < count; i++) {
            if (waiting[i].fd < 0 || !waiting[i].revents)
                continue;
            addresses[i].error = connect_result(waiting[i].fd);
            close(waiting[i].fd);
            waiting[i].fd = -1;
            open--;
        }
    for (size_t i = 0; i < count; i++)
        if (waiting[i].fd >= 0) {
            addresses[i].error = ETIMEDOUT;
            close(waiting[i].fd);
        }
}

bool connect_unix_address(connect_address *out, const char *name, bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length + 1 > sizeof address.sun_path)
        return false;
    memcpy(address.sun_path + abstract, name, length);
    memset(out, 0, sizeof *out);
    memcpy(&out->socket, &address, sizeof address);
    // An abstract name begins with a zero byte and is not terminated by one.
    out->length =
        abstract ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length) : sizeof address;
    return true;
}

// ---- probing ----

static connect_reply reply_kind(const uint8_t *bytes, size_t length)
{
    enum { SETTINGS = 4, ALERT = 0x15 };
    const char *chars = (const char *)bytes;
    if (length == 0)
        return REPLY_CLOSED;
    if (length >= 5 && memcmp(chars, "HTTP/", 5) == 0)
        return memmem(chars, length, "HTTPS", 5) != NULL ? REPLY_HTTP1_ASKS_FOR_TLS : REPLY_HTTP1;
    if (length >= 9 && bytes[3] == SETTINGS && bytes[0] == 0 && bytes[2] % 6 == 0)
        return REPLY_HTTP2;
    if (length >= 3 && bytes[0] == ALERT && bytes[1] == 3)
        return REPLY_TLS;
    return REPLY_OTHER;
}

// Reads until the end, the time limit, or HTTP/2. It does not stop at the first bytes of HTTP/1, because the
// hint at TLS is in the body.
static connect_reply read_reply(int fd, uint64_t until)
{
    uint8_t bytes[2048];
    size_t length = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    bool ended = false;
    while (!ended && length < sizeof bytes && reply_kind(bytes, length) != REPLY_HTTP2 &&
           poll_time(until) > 0) {
        // A server that keeps the connection open after its reply sends nothing more, so a short wait is
        // enough.
        int left = poll_time(until), patience = length ? 100 : left;
        if (poll(&waiting, 1, patience < left ? patience : left) <= 0)
            break;
        ssize_t got = recv(fd, bytes + length, sizeof bytes - length, 0);
        ended = got == 0 || (got < 0 && errno != EAGAIN);
        length += got > 0 ? (size_t)got : 0;
    }
    if (length == 0)
        return ended ? REPLY_CLOSED : REPLY_SILENT;
    return reply_kind(bytes, length);
}

connect_reply connect_probe(const connect_address *address, const void *bytes, size_t length,
                            uint64_t timeout_ns)
{
    uint64_t until = doctor_now() + timeout_ns;
    int error, fd = begin_connect(address, &error);
    if (fd < 0)
        return REPLY_NONE;
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    connect_reply reply = REPLY_NONE;
    if (poll(&waiting, 1, poll_time(until)) == 1 && connect_result(fd) == 0 &&
        send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length)
        reply = read_reply(fd, until);
    close(fd);
    return reply;
}
