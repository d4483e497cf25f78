// SPDX-License-Identifier: Apache-2.0
#include "listen.h"

#include "complain.h"
#include "output_file.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool split(const char *address, char *host, size_t host_size, char *port, size_t port_size)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL) {
        const size_t length = strlen(address);
        if (!length || length >= port_size || strspn(address, "0123456789") != length)
            return false;
        snprintf(host, host_size, "127.0.0.1");
        memcpy(port, address, length + 1);
        return true;
    }
    const char *from = address;
    size_t length = (size_t)(colon - address);
    if (length >= 2 && address[0] == '[' && colon[-1] == ']') {
        from++;
        length -= 2;
    } else if (memchr(address, ':', length) != NULL) {
        return false;
    }
    size_t digits = strlen(colon + 1);
    if (!length || length >= host_size || !digits || digits >= port_size ||
        strspn(colon + 1, "0123456789") != digits)
        return false;
    memcpy(host, from, length);
    host[length] = '\0';
    memcpy(port, colon + 1, digits + 1);
    return true;
}

static int try_listen(const struct addrinfo *found)
{
    int on = 1;
    int fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static unsigned bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int listen_on(const char *option, const char *address, unsigned *port, int *usage)
{
    char host[256], digits[6];
    *usage = 0;
    if (!split(address, host, sizeof host, digits, sizeof digits) || atoi(digits) > 65535) {
        complain("--%s takes HOST:PORT, such as localhost:8080 or [::1]:8080, or a port of 127.0.0.1 alone, "
                 "up to 65535; not '%s'",
                 option, address);
        *usage = 1;
        return -1;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    int wrong = getaddrinfo(host, digits, &hints, &found);
    if (wrong) {
        complain("cannot resolve the host '%s' of --%s: %s", host, option, gai_strerror(wrong));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *one = found; one != NULL && fd < 0; one = one->ai_next)
        fd = try_listen(one);
    int reason = errno;
    freeaddrinfo(found);
    if (fd < 0)
        complain("cannot listen on %s: %s%s%s", address, strerror(reason),
                 reason == EADDRINUSE
                     ? "; stop the program that listens there, or choose another port with --"
                     : "",
                 reason == EADDRINUSE ? option : "");
    else
        *port = bound_port(fd);
    return fd;
}

void listen_place(char *out, size_t size, const char *address, unsigned port)
{
    const char *colon = strrchr(address, ':');
    snprintf(out, size, "%.*s:%u", colon != NULL ? (int)(colon - address) : (int)strlen("127.0.0.1"),
             colon != NULL ? address : "127.0.0.1", port);
}

bool listen_write_port(const char *name, unsigned port)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%u", port);
    return output_file_line(name, 0666, digits);
}
