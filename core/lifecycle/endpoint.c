// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/endpoint.h"

#include <string.h>
#include <strings.h>

// The transport knows how long a socket's name may be.
static bool socket_valid(const char *text, bool *is_socket)
{
    *is_socket = true;
    if (strncasecmp(text, "unix-abstract:", 14) == 0)
        return text[14] != 0;
    if (strncasecmp(text, "unix:", 5) == 0)
        return strncmp(text + 5, "//", 2) == 0 ? text[7] == '/' && text[8] : text[5] != 0;
    *is_socket = false;
    return false;
}

bool nsp__endpoint_valid(const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    }
    bool is_socket, valid = socket_valid(text, &is_socket);
    if (is_socket)
        return valid;
    const char *host = strstr(text, "://");
    if (host) {
        if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
            return false;
        host += 3;
    } else {
        host = text;
    }
    size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);
    const char *end = host + length;
    if (at)
        host = at + 1;
    const char *port;
    if (*host == '[') {
        const char *bracket = memchr(host, ']', (size_t)(end - host));
        if (!bracket || bracket == host + 1)
            return false;
        port = bracket + 1;
        if (port < end && *port != ':')
            return false;
    } else {
        port = memchr(host, ':', (size_t)(end - host));
        if (!port)
            port = end;
        if (port == host)
            return false;
    }
    if (port == end)
        return true;
    unsigned number = 0;
    if (++port == end)
        return false;
    for (; port < end; port++) {
        if (*port < '0' || *port > '9')
            return false;
        number = number * 10 + (unsigned)(*port - '0');
        if (number > 65535)
            return false;
    }
    return number > 0;
}
