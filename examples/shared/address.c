// SPDX-License-Identifier: Apache-2.0
#include "shared/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Reads an address. If it is not valid, prints a line on standard error and returns false.
static bool resolve(const char *text, struct sockaddr_storage *out, socklen_t *length)
{
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)out;
        *un = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(text + 5) >= sizeof un->sun_path) {
            fprintf(stderr, "address '%s': the path is too long\n", text);
            return false;
        }
        strcpy(un->sun_path, text + 5);
        *length = sizeof *un;
        return true;
    }
    char host[256] = "127.0.0.1";
    const char *colon = strrchr(text, ':'), *port = text;
    if (colon != NULL) {
        size_t size = (size_t)(colon - text);
        port = colon + 1;
        if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
            text++;
            size -= 2;
        }
        if (size >= sizeof host)
            size = sizeof host - 1;
        memcpy(host, text, size);
        host[size] = 0;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error) {
        fprintf(stderr, "address '%s': %s; write HOST:PORT or unix:PATH\n", text, gai_strerror(error));
        return false;
    }
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

void address_no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void describe(int fd, const char *text, char *actual, size_t actual_size)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    char host[128], port[16];
    snprintf(actual, actual_size, "%s", text);
    if (strncmp(text, "unix:", 5) == 0 || getsockname(fd, (struct sockaddr *)&bound, &length) != 0)
        return;
    if (getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(actual, actual_size, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

int address_listen(const char *text, char *actual, size_t actual_size)
{
    struct sockaddr_storage address;
    socklen_t length;
    int on = 1;
    if (!resolve(text, &address, &length))
        return -1;
    if (address.ss_family == AF_UNIX)
        unlink(text + 5); // a socket left by an earlier run
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && address.ss_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 4) != 0) {
        fprintf(stderr, "cannot listen on '%s': %s\n", text, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    describe(fd, text, actual, actual_size);
    return fd;
}

int address_connect(const char *text, int wait_ms)
{
    struct sockaddr_storage address;
    socklen_t length;
    if (!resolve(text, &address, &length))
        return -1;
    for (;; wait_ms -= 10) {
        int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, length) == 0)
            return fd;
        int error = errno;
        if (fd >= 0)
            close(fd);
        if (wait_ms <= 0) {
            fprintf(stderr, "cannot connect to '%s': %s; is the engine running?\n", text, strerror(error));
            return -1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
}

bool address_write_file(const char *path, const char *text)
{
    char draft[4096];
    snprintf(draft, sizeof draft, "%s.draft", path);
    FILE *file = fopen(draft, "w");
    bool good = file != NULL && fprintf(file, "%s\n", text) > 0;
    if (file != NULL && fclose(file) != 0)
        good = false;
    if (!good || rename(draft, path) != 0) {
        fprintf(stderr, "cannot write '%s': %s\n", path, strerror(errno));
        return false;
    }
    return true;
}
